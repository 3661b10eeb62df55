import os
import resource
import socket

import pytest

from collector import listening
from collector.errors import CollectorProblem, ConfigurationProblem

LOOPBACK = listening.address("127.0.0.1:0")
ANY = listening.address("0.0.0.0:0")


@pytest.mark.parametrize(
    ("text", "url", "loopback"),
    [
        ("127.0.0.1:0", "http://127.0.0.1:7", True),
        ("[::1]:80", "http://[::1]:7", True),
        ("localhost:7070", "http://localhost:7", True),
        ("0.0.0.0:7070", "http://0.0.0.0:7", False),
        ("[::]:7070", "http://[::]:7", False),
        ("10.1.2.3:7070", "http://10.1.2.3:7", False),
    ],
)
def test_addresses(text, url, loopback):
    found = listening.address(text)
    assert (found.url(7), found.loopback) == (url, loopback)


def test_a_name_is_no_address():
    with pytest.raises(ConfigurationProblem, match="no IP address"):
        listening.address("example.org:80")


def test_a_port_in_use_says_so():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(CollectorProblem, match="Address already in use") as caught,
    ):
        listening.bind(listening.address(f"127.0.0.1:{taken.getsockname()[1]}"))
    assert "--listen" in caught.value.fix


def test_binding_gives_a_listening_socket():
    with listening.bind(LOOPBACK) as found, socket.create_connection(found.getsockname()):
        assert not found.getblocking()


def token_file(tmp_path, content, mode=0o600):
    path = tmp_path / "token"
    path.write_bytes(content)
    os.chmod(path, mode)
    return str(path)


def test_loopback_needs_no_token():
    assert listening.token(LOOPBACK, "") is None


def test_any_other_address_does():
    with pytest.raises(ConfigurationProblem, match="a token is needed"):
        listening.token(ANY, "")


def test_a_token_is_one_word(tmp_path):
    assert listening.token(ANY, token_file(tmp_path, b"0123456789abcdef\n")) == b"0123456789abcdef"


@pytest.mark.parametrize("content", [b"", b"short", b"two words of 16 letters", b"\xff" * 20, b"x" * 5000])
def test_what_is_no_token_is_refused_without_telling_it(tmp_path, content):
    with pytest.raises(ConfigurationProblem, match="holds no token") as caught:
        listening.token(ANY, token_file(tmp_path, content))
    assert "two words" not in str(caught.value)


def test_a_token_others_can_read_is_refused(tmp_path):
    with pytest.raises(ConfigurationProblem, match="used by others"):
        listening.token(ANY, token_file(tmp_path, b"0123456789abcdef", 0o644))


def test_a_token_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationProblem, match="No such file"):
        listening.token(ANY, str(tmp_path / "none"))


def test_the_limit_of_descriptors_is_raised_but_never_lowered():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        assert listening.allow_descriptors(600) == 600
        assert listening.allow_descriptors(300) == 600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
