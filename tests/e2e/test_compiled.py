"""The core as it is installed, compiled, passes the tests of the core as it is written."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE_TESTS = ["tests/unit/collector/test_outcomes.py", "tests/unit/collector/test_losses.py",
              "tests/unit/collector/test_trace_context.py", "tests/property/collector/test_any_bytes.py", "tests/unit/collector/metrics/test_resilience.py",
              "tests/unit/collector/metrics/test_exposition.py", "tests/unit/collector/metrics/test_circuit.py", "tests/property/collector/test_metrics_percentiles.py",
              "tests/unit/api/test_feed.py", "tests/unit/api/test_recent.py", "tests/unit/api/test_services.py"]  # fmt: skip


@pytest.mark.timeout(600)
def test_the_compiled_core_passes_the_core_s_tests() -> None:
    subprocess.run([ROOT / "tools" / "compile"], check=True, stdin=subprocess.DEVNULL)
    python = ROOT / ".venv" / "bin" / "python"
    env = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{ROOT / '.cache' / 'compiled'}:{ROOT}"}
    which = "import collector.correlate.connection as one; print(one.__file__)"
    found = subprocess.run([python, "-c", which], env=env, check=True, capture_output=True, text=True).stdout
    assert ".cache/compiled/" in found
    assert found.strip().endswith(".so")
    command = [python, "-m", "pytest", "-q", "-o", "pythonpath=", "-p", "no:cacheprovider", *CORE_TESTS]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
