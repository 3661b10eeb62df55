"""Where the service listens, and who may ask: sockets, the token file. All of it while still root."""

import ipaddress
import os
import resource
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.errors import CollectorProblem, ConfigurationProblem

_BACKLOG: Final = 2_048
_TOKEN_BYTES: Final = (16, 4_096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address and port. Port 0: any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Tell whether only this host reaches it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def url(self, port: int) -> str:
        """Return how to reach it over HTTP."""
        return f"http://[{self.host}]:{port}" if ":" in self.host else f"http://{self.host}:{port}"


def address(text: str) -> Address:
    """Read ADDRESS:PORT. Raises ConfigurationProblem."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        if host != "localhost":
            ipaddress.ip_address(host)
        return Address(host=host, port=int(port))
    except ValueError as problem:
        raise ConfigurationProblem(
            f"listen={text!r}: {host!r} is no IP address", fix="write an address, as 127.0.0.1:7070 or [::1]:7070"
        ) from problem


def bind(at: Address) -> socket.socket:
    """Return a listening socket. Raises CollectorProblem."""
    host = "127.0.0.1" if at.host == "localhost" else at.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol by name: asyncio sets TCP_NODELAY only where it stands there
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, at.port))
        listener.listen(_BACKLOG)
    except OSError as problem:
        listener.close()
        raise CollectorProblem(
            f"cannot listen at {at.host}:{at.port}: {problem.strerror}", fix="choose another with --listen ADDRESS:PORT"
        ) from problem
    listener.setblocking(False)  # noqa: FBT003  # its only way
    return listener


def allow_descriptors(wanted: int) -> int:
    """Raise the soft limit of open descriptors, as far as the hard one lets; return what is allowed now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def token(at: Address, path: str) -> bytes | None:
    """Return the bearer token, None where none is needed. Raises ConfigurationProblem; never tells the token."""
    if not path:
        if at.loopback:
            return None
        raise ConfigurationProblem(
            f"listen={at.host}:{at.port} is reachable from other hosts, so a token is needed",
            fix="umask 077; head -c 32 /dev/urandom | base64 > /etc/netscope/token; then --token-file that",
        )
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            found = file.read(_TOKEN_BYTES[1] + 1).strip()
    except OSError as problem:
        raise ConfigurationProblem(f"token_file={path!r}: {problem.strerror}") from problem
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationProblem(f"token_file={path!r} can be used by others", fix=f"chmod 600 {path}")
    if not _TOKEN_BYTES[0] <= len(found) <= _TOKEN_BYTES[1] or not found.isascii() or len(found.split()) != 1:
        raise ConfigurationProblem(
            f"token_file={path!r} holds no token: one word of {_TOKEN_BYTES[0]} to {_TOKEN_BYTES[1]} ASCII letters"
        )
    return found
