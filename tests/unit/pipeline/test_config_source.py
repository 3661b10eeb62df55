"""Settings come from flag, environment, file and default, in that order, and every mistake is named at once."""

from pathlib import Path

import pytest

from pipeline import config_source
from pipeline.config import WorkerConfig
from pipeline.errors import ConfigInvalid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text('[kafka]\ntopic = "from-file"\ngroup = "from-file"\n[call]\ndeadline_s = 7\n')
    return path


def problems(*, flags: dict | None = None, environ: dict | None = None, file: Path | None = None) -> list[str]:
    with pytest.raises(ConfigInvalid) as raised:
        config_source.load(flags=flags or {}, environ=environ or {}, file=file)
    return list(raised.value.problems)


def test_nothing_given_is_the_defaults() -> None:
    assert config_source.load(flags={}, environ={"HOME": "/root"}, file=None) == WorkerConfig()


def test_flag_before_environment_before_file_before_default(file: Path) -> None:
    config = config_source.load(
        flags={"kafka_topic": "from-flag", "api_url": None},
        environ={"PIPELINE_KAFKA_TOPIC": "from-environment", "PIPELINE_KAFKA_GROUP": "from-environment"},
        file=file,
    )
    assert (config.kafka_topic, config.kafka_group, config.call_deadline_s) == ("from-flag", "from-environment", 7.0)
    assert config.api_url == WorkerConfig().api_url


def test_text_becomes_numbers_and_switches() -> None:
    environ = {"PIPELINE_CALL_MAX_IN_FLIGHT": "8", "PIPELINE_RETRY_BASE_S": "0.5", "PIPELINE_WORKER_PREFLIGHT": "false"}
    config = config_source.load(flags={}, environ=environ, file=None)
    assert (config.call_max_in_flight, config.retry_base_s, config.worker_preflight) == (8, 0.5, False)


def test_other_commands_variables_are_not_ours() -> None:
    environ = {"PIPELINE_LOAD_RATE": "7", "PIPELINE_DEMO_DURATION": "7", "PIPELINE_CONFIG": "x"}
    assert config_source.load(flags={}, environ=environ, file=None) == WorkerConfig()


def test_an_unknown_setting_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text('[kafka]\ntopci = "x"\n[cal]\ndeadline_s = 1\n')
    found = problems(environ={"PIPELINE_KAFKA_GRUOP": "x"}, file=path)
    assert [problem.rpartition("; ")[2] for problem in found] == [
        "did you mean topic?",
        "did you mean call?",
        "did you mean PIPELINE_KAFKA_GROUP?",
    ]


@pytest.mark.parametrize("text", ["not toml", "stray = 1\n", "\x00"])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    assert str(path) in problems(file=path)[0]
    assert "nowhere.toml" in problems(file=tmp_path / "nowhere.toml")[0]


def test_every_mistake_of_type_and_range_is_named_with_its_origin(file: Path) -> None:
    found = problems(
        flags={"call_max_in_flight": "none"},
        environ={"PIPELINE_BREAKER_FAILURE_RATE": "1.5", "PIPELINE_WORKER_METRICS_PORT": "70000"},
        file=file,
    )
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "--call-max-in-flight",
        "PIPELINE_BREAKER_FAILURE_RATE",
        "PIPELINE_WORKER_METRICS_PORT",
    ]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"kafka_bootstrap_servers": "broker"}, "kafka_bootstrap_servers"),
        ({"kafka_bootstrap_servers": "a:1,b:0"}, "'b:0'"),
        ({"kafka_security_protocol": "TLS"}, "kafka_security_protocol"),
        ({"kafka_security_protocol": "SASL_SSL"}, "kafka_sasl_username"),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "u"}, "kafka_sasl_password"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism"),
        ({"kafka_cert_file": "/nowhere/cert"}, "kafka_key_file"),
        ({"kafka_ca_file": "/nowhere/ca"}, "kafka_ca_file"),
        ({"kafka_parked_topic": "ingress"}, "kafka_parked_topic"),
        ({"api_url": "ftp://host"}, "api_url"),
        ({"api_url": "http://user:secret@host/?q"}, "api_url"),
        ({"call_attempt_timeout_s": "9"}, "call_attempt_timeout_s"),
        ({"retry_base_s": "3"}, "retry_base_s"),
        ({"retry_after_cap_s": "5"}, "retry_after_cap_s"),
        ({"breaker_open_s": "9"}, "breaker_open_s"),
        ({"breaker_slow_call_s": "4"}, "breaker_slow_call_s"),
        ({"rounds_pause_s": "99"}, "rounds_pause_s"),
        ({"intake_resume_records": "1000"}, "intake_resume_records"),
        ({"intake_max_records": "100000"}, "intake_max_records"),
        ({"call_max_in_flight": "2000"}, "call_max_in_flight"),
        ({"intake_drain_s": "10"}, "intake_drain_s"),
        ({"worker_stall_s": "5"}, "worker_stall_s"),
        ({"worker_log_level": "loud"}, "worker_log_level"),
    ],
)
def test_what_cannot_work_together_is_refused_by_name(flags: dict[str, str], named: str) -> None:
    assert any(named in problem for problem in problems(flags=flags))


def test_the_password_is_in_no_message() -> None:
    found = problems(flags={"kafka_sasl_password": "hunter2", "kafka_security_protocol": "SASL_SSL"})
    assert "hunter2" not in "\n".join(found)
