import re
import subprocess
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[3] / "packaging/netscope.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    copy = tmp_path / "netscope.service"
    copy.write_text(SERVICE.read_text().replace("/usr/local/sbin/collector run", "/usr/bin/true"))  # not installed here
    return copy


def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_is_hardened(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_it_keeps_only_what_loading_and_giving_up_root_need() -> None:
    kept = re.search(r"^CapabilityBoundingSet=(.*)$", SERVICE.read_text(), re.MULTILINE)
    assert kept
    assert set(kept.group(1).split()) == {
        "CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_KILL", "CAP_SYS_NICE", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP",
    }  # fmt: skip
