"""Where settings come from: flag, environment, file, default, in that order; every mistake is named, all at once."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo

from pipeline.config import WorkerConfig
from pipeline.config_rules import broken_rules
from pipeline.errors import ConfigInvalid

PREFIX: Final = "PIPELINE_"
FILE: Final = "PIPELINE_CONFIG"
OTHERS: Final = ("PIPELINE_LOAD_", "PIPELINE_EXTERNAL_API_", "PIPELINE_DEMO_", "PIPELINE_SLOW_CLIENT_")
FIELDS: Final[dict[str, FieldInfo]] = {field.name: field for field in msgspec.structs.fields(WorkerConfig)}
SECTIONS: Final = sorted({name.split("_", 1)[0] for name in FIELDS})


def load(*, flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None) -> WorkerConfig:
    """Return the configuration. Raises ConfigInvalid, which names every problem and where it comes from."""
    problems: list[str] = []
    given = _from_file(file, problems) if file is not None else {}
    given |= _from_environment(environ, problems)
    given |= {name: ("--" + name.replace("_", "-"), value) for name, value in flags.items() if value is not None}
    values = {}
    for name, (origin, value) in given.items():
        try:
            values[name] = msgspec.convert(value, FIELDS[name].type, strict=False)
        except msgspec.ValidationError as problem:
            problems.append(f"{origin}: {problem}")
    if not problems:
        config = WorkerConfig(**values)
        problems.extend(broken_rules(config))
    if problems:
        raise ConfigInvalid(problems)
    return config


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, Any]]:
    found = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key.startswith(OTHERS) or key == FILE:
            continue
        name = key.removeprefix(PREFIX).lower()
        if name in FIELDS:
            found[name] = (key, value)
        else:
            problems.append(f"{key}: no such setting{_nearest(key, [PREFIX + one.upper() for one in FIELDS])}")
    return found


def _from_file(file: Path, problems: list[str]) -> dict[str, tuple[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text())
    except (OSError, ValueError) as problem:
        problems.append(f"{file}: {problem}")
        return {}
    found = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"{file}: {section}: a setting outside of a section")
            continue
        if section not in SECTIONS:
            problems.append(f"{file}: [{section}]: no such section{_nearest(section, SECTIONS)}")
            continue
        for key, value in table.items():
            name = f"{section}_{key}"
            if name in FIELDS:
                found[name] = (f"{file}: {section}.{key}", value)
            else:
                known = [one.removeprefix(f"{section}_") for one in FIELDS if one.startswith(f"{section}_")]
                problems.append(f"{file}: {section}.{key}: no such setting{_nearest(key, known)}")
    return found


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
