"""Configuration: read once, frozen, each value knowing where it came from.

Precedence: command line > environment NETSCOPE_* > .env > /etc/netscope/*.toml > default.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from collector.errors import ConfigurationProblem

PREFIX: Final = "NETSCOPE_"
DIRECTORY: Final = Path("/etc/netscope")
_RUNGS: Final = ("auto", "length", "fexit", "kprobe", "exit")
_IGNORED: Final = frozenset({"NETSCOPE_TEST_RUNG"})  # the test suite's own


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
    return "" if value > 0 else "must be greater than 0"


def _rung(value: str) -> str:
    if value in _RUNGS:
        return ""
    return f"must be one of {', '.join(_RUNGS)}{nearest(value, _RUNGS)}"


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
    drain_interval_ms: float = _setting(5.0, "time between two readings of the ring", float, _positive)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The configuration, and where each value came from."""

    config: Config
    origin: Mapping[str, str]


def nearest(word: str, choices: tuple[str, ...] | list[str]) -> str:
    """Return `; did you mean X?` where a choice is near, else nothing."""
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path = DIRECTORY,
    working: Path | None = None,
) -> Loaded:
    """Read every source. Raises ConfigurationProblem that names all problems at once."""
    environment = os.environ if environment is None else environment  # noqa: TID251  # the one place
    reading = _Reading()
    for path in sorted(directory.glob("*.toml")) if directory.is_dir() else ():
        reading.file(path)
    reading.words(_dotenv((working or Path.cwd()) / ".env"), ".env")
    reading.words({k: v for k, v in environment.items() if k.startswith(PREFIX) and k not in _IGNORED}, "environment")
    for name, value in (flags or {}).items():
        if value is not None:
            reading.values[name], reading.origin[name] = value, "command line"
    return reading.finish()


class _Reading:
    """Sources read one after another, later ones on top."""

    def __init__(self) -> None:
        self.known = {one.name: one for one in fields(Config)}
        self.values: dict[str, Any] = {}
        self.origin = dict.fromkeys(self.known, "default")
        self.problems: list[str] = []

    def _take(self, name: str, text: Any, origin: str, shown: str) -> None:
        if name not in self.known:
            self.problems.append(f"{origin}: unknown key {shown}{nearest(name, list(self.known))}")
            return
        try:
            self.values[name] = self.known[name].metadata["parse"](
                str(text) if not isinstance(text, list) else ",".join(text)
            )
            self.origin[name] = origin
        except ValueError as problem:
            self.problems.append(f"{origin}: {shown}={text!r}: {problem}")

    def file(self, path: Path) -> None:
        try:
            for name, value in tomllib.loads(path.read_text()).items():
                self._take(name, value, str(path), name)
        except (OSError, tomllib.TOMLDecodeError) as problem:
            self.problems.append(f"{path}: {problem}")

    def words(self, found: Mapping[str, str], origin: str) -> None:
        for name, text in found.items():
            self._take(name.removeprefix(PREFIX).lower(), text, origin, name)

    def finish(self) -> Loaded:
        for name, value in self.values.items():
            check = self.known[name].metadata["check"]
            if check and (problem := check(value)):
                self.problems.append(f"{self.origin[name]}: {name}={value!r} {problem}")
        if self.problems:
            raise ConfigurationProblem("\n".join(self.problems), fix="collector config show --origin lists every key")
        return Loaded(config=Config(**self.values), origin=self.origin)


def _dotenv(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.strip().partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
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
