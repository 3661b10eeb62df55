"""Merge what the benchmarks wrote into docs/reference/bench/results.json, and set the table README.md beside it."""

import json
import sys
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs/reference/bench"
FIELDS: Final = ("figure", "value", "unit", "target", "met", "baseline", "method", "command")
_MET: Final = {True: "yes", False: "**no**", None: ""}

_RULE: Final = "each entry has these fields, in this order: " + ", ".join(FIELDS)


def merge(folder: Path) -> list[dict[str, Any]]:
    """Return the figures of every benchmark's file, by file name, then as written. Raises ValueError."""
    merged: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        if path.name == "results.json":
            continue
        for entry in json.loads(path.read_text()):
            if tuple(entry) != FIELDS:
                raise ValueError(f"{path.name}: {_RULE}; got {', '.join(entry)}")
            merged.append(entry)
    return merged


def results(figures: list[dict[str, Any]]) -> str:
    """Return the text of results.json."""
    return json.dumps(figures, indent=2) + "\n"


def table(figures: list[dict[str, Any]]) -> str:
    """Return the text of README.md."""
    lines = [
        "# Measured figures",
        "",
        "Generated from results.json by `make bench`; edit neither. Each row can be measured again by its command.",
        "",
        "| figure | value | target | met | baseline | method | command |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in figures:
        cells = (
            entry["figure"],
            _number(entry["value"], entry["unit"]),
            _number(entry["target"], entry["unit"]),
            _MET[entry["met"]],
            _number(entry["baseline"], entry["unit"]),
            entry["method"],
            f"`{entry['command']}`",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float | str | None, unit: str) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
            return f"{text} {unit}".strip()


def main(folder: Path = FOLDER) -> int:
    """Write both files."""
    try:
        figures = merge(folder)
    except ValueError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    (folder / "results.json").write_text(results(figures))
    (folder / "README.md").write_text(table(figures))
    print(f"bench: {len(figures)} figures in {folder}/results.json and README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
