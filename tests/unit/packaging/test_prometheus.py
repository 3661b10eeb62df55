"""Rules and alerts hold in promtool, and every alert has a runbook and a test."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "packaging/prometheus"
ALERTS = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)"
)


def promtool(*words):
    return subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=110, check=False)


@needs_promtool
def test_the_configuration_is_valid():
    done = promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_do_what_their_tests_say():
    done = promtool("test", "rules", "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested():
    tested = set(re.findall(r"alertname: (\w+)", (FOLDER / "rules_test.yml").read_text()))
    assert len(ALERTS) > 10
    assert set(ALERTS) == tested


def test_every_alert_has_a_runbook_that_names_it():
    text = (FOLDER / "alerts.yml").read_text()
    for block in text.split("- alert: ")[1:]:
        name = block.split()[0]
        runbook = ROOT / re.search(r"runbook_url: (\S+)", block)[1]
        assert name in runbook.read_text(), f"{runbook} does not name {name}"


def test_every_runbook_is_listed():
    there = {path.name for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README.md"}
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/runbooks/README.md").read_text()))
    mine = set(re.findall(r"docs/runbooks/(\S+)", (FOLDER / "alerts.yml").read_text()))
    assert mine <= listed
    assert mine <= there
