"""What runs inside a machine: the collector's doctor, then the recorded traffic on every rung that fired. JSON lines on stdout."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path("/var/cache/netscope")


def tell(kind: str, **what: object) -> None:
    print(json.dumps({"told": kind, **what}), flush=True)


def take_cache(source: Path | str) -> None:
    """Believed only where root alone can write: so a copy, root's own."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in Path(source).glob("programs-*"):
        shutil.copyfile(path, CACHE / path.name)


def ask_doctor() -> list[str]:
    """Tell the diagnosis; return the rungs that fired."""
    started = time.monotonic()
    command = [sys.executable, "-m", "collector", "doctor", "--json"]
    doctor = subprocess.run(command, capture_output=True, text=True, check=False)
    if not doctor.stdout:
        tell("failed", step="doctor", why=doctor.stderr[-2000:])
        return []
    diagnosis = json.loads(doctor.stdout)
    tell("doctor", status=doctor.returncode, seconds=round(time.monotonic() - started, 1), diagnosis=diagnosis)
    return [rung["name"] for rung in diagnosis["facts"]["rungs"] if rung["fired"]]


def main() -> None:
    cache, *rungs = sys.argv[1:]
    take_cache(Path(cache))
    chosen = rungs or ask_doctor()
    os.environ["TEST_PATIENCE"] = "10"
    from tests.vm import traffic  # late: it reads the environment

    for rung in chosen:
        started = time.monotonic()
        try:
            record = traffic.record(rung)
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            tell("failed", step=rung, why=repr(problem)[:2000])
            continue
        tell("traffic", rung=rung, seconds=round(time.monotonic() - started, 1), record=record)


if __name__ == "__main__":
    main()
