"""Configuration: precedence, origins, every problem at once."""

import os

import pytest

from collector import config
from collector.errors import ConfigurationProblem


@pytest.fixture
def load(tmp_path):
    (tmp_path / "etc").mkdir()

    def call(flags=None, environment=None, toml="", dotenv=""):
        (tmp_path / "etc/a.toml").write_text(toml)
        (tmp_path / ".env").write_text(dotenv)
        return config.load(flags, environment=environment or {}, directory=tmp_path / "etc", working=tmp_path)

    return call


def test_precedence_and_origin(load):
    toml = "ring_size = 4096\nrung = 'exit'\nroute_limit = 7\nuser = 'a'"
    loaded = load({"rung": "length"}, {"NETSCOPE_RING_SIZE": "8192"}, toml, "NETSCOPE_ROUTE_LIMIT=9\n")
    assert (loaded.config.rung, loaded.origin["rung"]) == ("length", "command line")
    assert (loaded.config.ring_size, loaded.origin["ring_size"]) == (8192, "environment")
    assert (loaded.config.route_limit, loaded.origin["route_limit"]) == (9, ".env")
    assert loaded.config.user == "a"
    assert loaded.origin["user"].endswith("a.toml")
    assert loaded.origin["cache"] == "default"


def test_every_problem_is_named_at_once(load):
    with pytest.raises(ConfigurationProblem) as caught:
        load(None, {"NETSCOPE_RING_SIZ": "1", "NETSCOPE_ROUTE_LIMIT": "x"}, "ring_size = 5000\nrung = 'lngth'")
    text = str(caught.value)
    assert "did you mean ring_size" in text
    assert "NETSCOPE_ROUTE_LIMIT='x'" in text
    assert "power of two" in text
    assert "did you mean length" in text


def test_lists_and_pairs(load):
    loaded = load(None, {"NETSCOPE_SERVICES": "py*=billing,java=core", "NETSCOPE_ROUTES": "/u/{id},/v"})
    assert loaded.config.services == (("py*", "billing"), ("java", "core"))
    assert loaded.config.routes == ("/u/{id}", "/v")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("ring_size = true", "write a string"),
        ("services = [1, 2]", "list of strings"),
        ("[cache]\na = 1", "write a string"),
        ("drain_interval_ms = nan", "greater than 0"),
        ("drain_interval_ms = inf", "greater than 0"),
        ("services = ['=x']", "PATTERN=NAME"),
        ("this is no TOML", "a.toml"),
    ],
)
def test_values_of_a_wrong_kind(load, toml, message):
    with pytest.raises(ConfigurationProblem, match=message):
        load(toml=toml)


def test_dotenv_as_people_write_it(load):
    loaded = load(dotenv="# a comment\n\nexport NETSCOPE_USER='me'\nOTHER=1\nNETSCOPE_RUNG = \"exit\"\n")
    assert (loaded.config.user, loaded.config.rung) == ("me", "exit")


def test_only_root_and_who_called_sudo_steer_root_by_dotenv(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    path = tmp_path / ".env"
    path.write_text("NETSCOPE_CACHE=/tmp/mine\n")
    owner = path.stat().st_uid
    sources = {"directory": tmp_path / "none", "working": tmp_path}
    assert config.load(environment={"SUDO_UID": str(owner)}, **sources).config.cache == "/tmp/mine"
    if owner == 0:
        os.chown(path, 12345, -1)
    with pytest.raises(ConfigurationProblem, match="belongs to user"):
        config.load(environment={}, **sources)


def test_what_is_shown_is_valid_toml(load):
    loaded = load(None, {"NETSCOPE_SERVICES": "py*=billing", "NETSCOPE_ROUTES": "/u/{id}"})
    again = load(toml="\n".join(f"{name} = {text}" for name, text in config.described(loaded.config)))
    assert again.config == loaded.config
