"""The share of CI: a few kernels, played beside the other tests by what the processors have left over.

`python -m tests.vm.background FOLDER` writes FOLDER/NAME.json as each is done; tests that come last collect them.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import prove
from tests.vm.kernels import ARM, BY_NAME, CannotHave, Kernel, unpacked

SHARE: dict[str, tuple[str, ...]] = {"6.1": ("fexit", "kprobe"), "6.12": ("length",)}
_IDLE = ("setpriv", "--pdeathsig", "KILL", "chrt", "--idle", "0", "nice", "-n", "19")
_PATIENCE_S = 900.0  # after the last of the other tests: then the machine is ours alone


@dataclass(slots=True)
class Background:
    """The process, and where it leaves what came out."""

    process: subprocess.Popen[bytes]
    folder: Path

    def outcome(self, kernel: Kernel) -> dict[str, Any] | None:
        """Wait for what this kernel showed: `complaints`, or `cannot`, why it cannot be had. None: it is not played."""
        if kernel is not ARM and kernel.name not in SHARE:
            return None
        path = _path(self.folder, kernel)
        deadline = time.monotonic() + _PATIENCE_S
        while not path.exists():
            ended = self.process.poll() is not None
            if not path.exists() and (ended or time.monotonic() > deadline):
                said = (self.folder / "said").read_text()[-4000:]
                return {"complaints": [f"{'ended early' if ended else 'not done in time'}: {said}"]}
            time.sleep(0.2)
        return dict(json.loads(path.read_text()))

    def end(self) -> None:
        """End it; its machine ends with it."""
        self.process.kill()
        self.process.wait()


def start(folder: Path) -> Background:
    """Start it at the lowest priority there is: whoever else wants a processor gets it."""
    command = [*_IDLE, sys.executable, "-m", "tests.vm.background", str(folder)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=prove.ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
    return Background(process, folder)


def _path(folder: Path, kernel: Kernel) -> Path:
    return folder / f"{kernel.name}-{kernel.flavour}.json"


def _tell(folder: Path, kernel: Kernel, outcome: dict[str, object]) -> None:
    partial = folder / "partial"
    partial.write_text(json.dumps(outcome))
    partial.rename(_path(folder, kernel))


def _played(name: str, rungs: tuple[str, ...]) -> dict[str, object]:
    _fetched(BY_NAME[name])
    try:
        result = prove.prove(BY_NAME[name], rungs)
    except CannotHave as reason:
        return {"cannot": str(reason)}
    return {"complaints": prove.complaints(result, rungs), "boot_to_verdict_s": result["boot_to_verdict_s"]}


def _fetched(kernel: Kernel) -> dict[str, object]:
    """Fetch it; the archive's bad minute is waited for, because nobody waits for us."""
    for pause in (20, 60, 120, 0):
        try:
            unpacked(kernel)
        except CannotHave as reason:
            said = str(reason)
            time.sleep(pause)
        else:
            return {"complaints": []}
    return {"cannot": said}


def main() -> None:
    folder = Path(sys.argv[1])
    os.chdir(prove.ROOT)
    for name, rungs in SHARE.items():
        _tell(folder, BY_NAME[name], _played(name, rungs))
    _tell(folder, ARM, _fetched(ARM))


if __name__ == "__main__":
    main()
