"""How a benchmark says what it measured: one JSON list per script, merged by tools/bench_table.py."""

import json
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parents[2] / "docs/reference/bench"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure; `met` is null where it has no target, or none could be told."""

    figure: str
    value: float
    unit: str
    target: float | str | None
    met: bool | None
    baseline: str | float | None
    method: str
    command: str


def measured(  # as many as a figure has fields
    command: str, name: str, value: float, unit: str, target: float | str | None, *, method: str, at_least: bool = False,
    met: bool | None = None, settled: bool = True, baseline: str | float | None = None,
) -> Figure:  # fmt: skip
    """Return a figure, and print it.

    `met`: where it is more than a comparison with the target; `settled`: whether the machine was quiet enough to tell.
    """
    if not settled:
        met = None
    elif met is None and isinstance(target, int | float):
        met = value >= target if at_least else value <= target
    verdict = {True: "met", False: "missed", None: "not settled"}[met]
    about = "" if target is None else f" (target {target}, {verdict})"
    print(f"{name}: {value:.2f} {unit}{about}")
    return Figure(
        figure=name, value=round(value, 2), unit=unit, target=target, met=met, baseline=baseline, method=method,
        command=command,
    )  # fmt: skip


def write(name: str, figures: list[Figure], *, folder: Path = FOLDER) -> Path:
    """Write docs/reference/bench/<name>.json; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(msgspec.to_builtins(figures), indent=2) + "\n")
    return path
