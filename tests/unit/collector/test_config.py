"""Configuration: precedence, origins, every problem at once."""

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
        load(None, {"NETSCOPE_RING_SIZ": "1", "NETSCOPE_ROUTE_LIMIT": "x"}, "ring_size = 5000\nrung = 'lenght'")
    text = str(caught.value)
    assert "did you mean ring_size" in text
    assert "NETSCOPE_ROUTE_LIMIT='x'" in text
    assert "power of two" in text
    assert "did you mean length" in text


def test_lists_and_pairs(load):
    loaded = load(None, {"NETSCOPE_SERVICES": "py*=billing,java=core", "NETSCOPE_ROUTES": "/u/{id},/v"})
    assert loaded.config.services == (("py*", "billing"), ("java", "core"))
    assert loaded.config.routes == ("/u/{id}", "/v")
