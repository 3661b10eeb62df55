"""Configuration: read once, frozen, each value knowing where it came from.

Precedence: command line > environment NETSCOPE_* > .env > /etc/netscope/*.toml > default.
"""

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from collector.domain.bodies import LONGEST
from collector.errors import ConfigurationProblem, nearest

PREFIX: Final = "NETSCOPE_"
DIRECTORY: Final = Path("/etc/netscope")
_RUNGS: Final = ("auto", "length", "fexit", "kprobe", "exit", "enter")
LEVELS: Final = ("debug", "info", "warning", "error")
_IGNORED: Final = frozenset({"NETSCOPE_TEST_RUNG", "NETSCOPE_FULL"})  # the test suite's own


def _whole(text: str) -> int:
    return int(text.replace("_", ""))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    items = (item.partition("=") for item in text.split(",") if item.strip())
    pairs = tuple((pattern.strip(), name.strip()) for pattern, _, name in items)
    if not all(pattern and name for pattern, name in pairs):
        raise ValueError("write PATTERN=NAME[,PATTERN=NAME...]")
    return pairs


def _words(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _ring(value: int) -> str:
    return "" if value >= 4096 and not value & (value - 1) else "must be a power of two, at least 4096 (bytes)"


def _positive(value: float) -> str:
    return "" if 0 < value < math.inf else "must be a number greater than 0"


def _rung(value: str) -> str:
    if value in _RUNGS:
        return ""
    return f"must be one of {', '.join(_RUNGS)}{nearest(value, _RUNGS)}"


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    fits = host and port.isascii() and port.isdigit() and int(port) < 1 << 16
    return "" if fits else "must be ADDRESS:PORT, as 127.0.0.1:7070 or [::1]:7070"


def _level(value: str) -> str:
    return "" if value in LEVELS else f"must be one of {', '.join(LEVELS)}{nearest(value, LEVELS)}"


def _switch(value: str) -> str:
    return "" if value in ("on", "off") else "must be on or off"


def _compression(value: str) -> str:
    return "" if value in ("zstd", "gzip") else "must be zstd or gzip"


def _url(value: str) -> str:
    return "" if not value or value.startswith(("http://", "https://")) else "must begin with http:// or https://"


def _beginning(value: int) -> str:
    return "" if 0 <= value <= LONGEST else f"must be from 0 to {LONGEST}"


def _count(value: int) -> str:
    return "" if value >= 0 else "must be 0 or more"


def _setting(
    default: Any, help_: str, parse: Callable[[str], Any] = str, check: Callable[[Any], str] | None = None
) -> Any:
    return field(default=default, metadata={"help": help_, "parse": parse, "check": check})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting; its documentation is in docs/reference/config.md."""

    ring_size: int = _setting(1 << 23, "size of the kernel's ring of records, bytes (power of two)", _whole, _ring)
    rung: str = _setting("auto", "rung of the capability ladder: auto, length, fexit, kprobe or exit", str, _rung)
    user: str = _setting("netscope", "user to become once everything is attached (else nobody)")
    cache: str = _setting("/var/cache/netscope", "directory for compiled programs and headers made from BTF")
    drain_interval_ms: float = _setting(5.0, "time between two readings of the ring, watching", float, _positive)
    serve_interval_ms: float = _setting(100.0, "the same, serving: the fewer, the cheaper", float, _positive)
    probe_statistics: str = _setting(
        "on", "serving, let the kernel time the programs, for their cost: on or off", str, _switch
    )
    max_connections: int = _setting(1 << 17, "connections tracked at a time", _whole, _positive)
    services: tuple[tuple[str, str], ...] = _setting(
        (), "PATTERN=NAME,...: service names by command or command line", _pairs
    )
    routes: tuple[str, ...] = _setting((), "route templates, as /users/{id},...", _words)
    route_limit: int = _setting(500, "routes per service before the rest becomes _other", _whole, _positive)
    read_delay_warning_ms: float = _setting(50.0, "read delay above which an exchange is a warning", float, _positive)
    output_queue_lines: int = _setting(
        200_000, "lines that wait for a slow reader before they are counted as lost", _whole, _positive
    )
    listen: str = _setting(
        "127.0.0.1:7070", "address and port to serve at; any but a loopback address needs token_file", str, _listen
    )
    token_file: str = _setting("", "file with the bearer token that clients have to send")
    origins: tuple[str, ...] = _setting(
        (), "Origins of other sites' pages that may read, as https://noc.example", _words
    )
    hosts: tuple[str, ...] = _setting((), "more names that this service is asked by, where it needs no token", _words)
    log_level: str = _setting("info", "debug, info, warning or error; SIGUSR1 and SIGUSR2 change it", str, _level)
    workers: tuple[tuple[str, str], ...] = _setting(
        (), "SERVICE=URL,...: where workers tell of their own resilience, to compare it with what is seen", _pairs
    )
    recent_bytes: int = _setting(12 << 20, "memory for the newest events, bytes", _whole, _positive)
    feed_clients: int = _setting(600, "subscribers of the feed at a time", _whole, _positive)
    requests_per_minute: int = _setting(6_000, "requests of one address a minute", _whole, _positive)
    audit: str = _setting("on", "archive what is observed: on or off", str, _switch)
    audit_spool: str = _setting("/var/lib/netscope/spool", "directory where events are durable until they are archived")
    audit_spool_bytes: int = _setting(1 << 32, "bound of the spool, bytes", _whole, _positive)
    audit_queue_events: int = _setting(10_000, "events that wait for the spool's disk in memory", _whole, _positive)
    audit_segment_bytes: int = _setting(1 << 22, "size at which a spool segment goes to the archive", _whole, _positive)
    audit_segment_seconds: float = _setting(60.0, "age at which a spool segment goes to the archive", float, _positive)
    audit_directory: str = _setting("/var/lib/netscope/archive", "the archive, where no S3 endpoint is set")
    audit_compression: str = _setting("zstd", "of archived objects: zstd or gzip", str, _compression)
    audit_s3_endpoint: str = _setting("", "URL of the S3 endpoint that archives, as https://rgw.example", str, _url)
    audit_s3_bucket: str = _setting("netscope-audit", "bucket of the archive")
    audit_s3_region: str = _setting("default", "region that requests are signed for")
    audit_s3_credentials: str = _setting("", "file with the access key, in the AWS CLI's format; else AWS_* variables")
    audit_s3_authorities: str = _setting(
        "", "file of certificate authorities (PEM) for the endpoint; else the system's"
    )
    audit_retain_days: int = _setting(
        0, "Object Lock retention of each object, where the bucket has it", _whole, _count
    )
    audit_signing_key: str = _setting("", "file with the Ed25519 private key (PEM) that signs manifests")
    audit_anchor_file: str = _setting("", "file to which the hash of every manifest is appended")
    audit_payload_bytes: int = _setting(
        0, "beginning of each message body that is archived, redacted, bytes; 0: nothing", _whole, _beginning
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The configuration, where each value came from, and what was wrong (those values are the defaults)."""

    config: Config
    origin: Mapping[str, str]
    problems: tuple[str, ...]


def load(flags: Mapping[str, Any] | None = None, **sources: Any) -> Loaded:
    """Read every source, as `read` does. Raises ConfigurationProblem that names all problems at once."""
    loaded = read(flags, **sources)
    if loaded.problems:
        raise problem_of(loaded)
    return loaded


def problem_of(loaded: Loaded) -> ConfigurationProblem:
    """Return everything that is wrong as one problem."""
    return ConfigurationProblem("\n".join(loaded.problems), fix="collector config show --origin lists every key")


def read(
    flags: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path = DIRECTORY,
    working: Path | None = None,
) -> Loaded:
    """Read every source; flags are named as typed, as `--rung`."""
    environment = os.environ if environment is None else environment  # noqa: TID251  # the one place
    reading = _Reading()
    for path in sorted(directory.glob("*.toml")) if directory.is_dir() else ():
        reading.file(path)
    reading.dotenv((working or Path.cwd()) / ".env", environment.get("SUDO_UID", ""))
    reading.words({k: v for k, v in environment.items() if k.startswith(PREFIX) and k not in _IGNORED}, "environment")
    for flag, value in (flags or {}).items():
        if value is not None:
            reading.take(flag.removeprefix("--").replace("-", "_"), value, "command line", flag)
    return reading.finish()


class _Reading:
    """Sources read one after another, later ones on top."""

    def __init__(self) -> None:
        self.known = {one.name: one for one in fields(Config)}
        self.values: dict[str, Any] = {}
        self.origin = dict.fromkeys(self.known, "default")
        self.problems: list[str] = []

    def take(self, name: str, given: Any, origin: str, shown: str) -> None:
        """Take one value, or note what is wrong with it."""
        if name not in self.known:
            self.problems.append(f"{origin}: unknown key {shown}{nearest(name, self.known)}")
            return
        about = self.known[name].metadata
        try:
            value = about["parse"](_text(given))
        except ValueError as problem:
            self.problems.append(f"{origin}: {shown}={given!r}: {problem}")
            return
        if about["check"] and (wrong := about["check"](value)):
            self.problems.append(f"{origin}: {shown}={given!r} {wrong}")
            return
        self.values[name], self.origin[name] = value, origin

    def file(self, path: Path) -> None:
        """Read a TOML file of /etc/netscope."""
        try:
            found = tomllib.loads(path.read_text())
        except (OSError, ValueError) as problem:  # also no TOML, no UTF-8
            self.problems.append(f"{path}: {problem}")
            return
        for name, value in found.items():
            self.take(name, value, str(path), name)

    def words(self, found: Mapping[str, str], origin: str) -> None:
        """Read names as the environment has them."""
        for name, text in found.items():
            self.take(name.removeprefix(PREFIX).lower(), text, origin, name)

    def dotenv(self, path: Path, sudo_uid: str) -> None:
        """Read .env; as root only one of root's own or of who called sudo, else anybody could steer root."""
        try:
            found = _assignments(path.read_text())
            owner = path.stat().st_uid
        except FileNotFoundError:
            return
        except (OSError, ValueError) as problem:
            self.problems.append(f"{path}: {problem}")
            return
        if found and os.geteuid() == 0 and str(owner) not in ("0", sudo_uid):
            self.problems.append(f"{path}: belongs to user {owner}, not read as root: chown it, or work elsewhere")
            return
        self.words(found, ".env")

    def finish(self) -> Loaded:
        """Put it together."""
        return Loaded(config=Config(**self.values), origin=self.origin, problems=tuple(self.problems))


def _text(given: Any) -> str:
    match given:
        case bool() | dict():
            raise ValueError("write a string, a number or a list of strings")
        case list() if not all(isinstance(item, str) for item in given):
            raise ValueError("write a list of strings")
        case list():
            return ",".join(given)
        case _:
            return str(given)


def _assignments(text: str) -> dict[str, str]:
    lines = (line.strip().removeprefix("export ") for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs if name.strip().startswith(PREFIX)}


def described(config: Config) -> list[tuple[str, str]]:
    """Return (name, value as it is written in TOML) of every setting."""
    return [(one.name, _toml(getattr(config, one.name))) for one in fields(Config)]


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return str([f"{item[0]}={item[1]}" if isinstance(item, tuple) else item for item in value]).replace("'", '"')
    return f'"{value}"' if isinstance(value, str) else str(value)


def notify_socket() -> str:
    """Return the address at which systemd waits for READY=1, or nothing."""
    return os.environ.get("NOTIFY_SOCKET", "")  # noqa: TID251  # the one place


def no_colour() -> bool:
    """Tell whether the user wants no colour (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))  # noqa: TID251  # the one place


def aws_environment() -> dict[str, str]:
    """Return the variables with which the AWS CLI is configured."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}  # noqa: TID251  # the one place


def environment_with(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for a child, and `more`."""
    return {**os.environ, **more}  # noqa: TID251  # the one place
