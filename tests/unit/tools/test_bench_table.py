import json
from pathlib import Path

import pytest

from tests.support import figures
from tests.support.figures import Figure
from tools import bench_table

PAIR = Figure(
    figure="added per pair",
    value=0.5,
    unit="us",
    target=0.6,
    met=True,
    baseline=1.75,
    method="5 runs",
    command="make bench",
)


def test_published_results_and_table_are_what_the_figures_give() -> None:
    merged = bench_table.merge(bench_table.FOLDER)
    published = bench_table.FOLDER / "results.json"
    assert published.read_text() == bench_table.results(merged), "run: make bench-table"
    assert published.with_name("README.md").read_text() == bench_table.table(merged), "run: make bench-table"


def test_files_merge_by_name_and_the_table_says_what_they_say(tmp_path: Path) -> None:
    figures.write("b", [PAIR], folder=tmp_path)
    figures.write(
        "a", [Figure(**{**json.loads(json.dumps(_fields(PAIR))), "figure": "x | y", "met": False})], folder=tmp_path
    )
    assert bench_table.main(tmp_path) == 0
    assert bench_table.main(tmp_path) == 0  # its own output is no input
    merged = json.loads((tmp_path / "results.json").read_text())
    assert [entry["figure"] for entry in merged] == ["x | y", "added per pair"]
    rows = (tmp_path / "README.md").read_text().splitlines()[-2:]
    assert rows == [
        r"| x \| y | 0.5 us | 0.6 us | **no** | 1.75 us | 5 runs | `make bench` |",
        "| added per pair | 0.5 us | 0.6 us | yes | 1.75 us | 5 runs | `make bench` |",
    ]


def test_a_figure_without_its_method_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('[{"figure": "x", "value": 1}]')
    assert bench_table.main(tmp_path) == 1
    assert "method" in capsys.readouterr().err


def _fields(figure: Figure) -> dict[str, object]:
    return {name: getattr(figure, name) for name in bench_table.FIELDS}
