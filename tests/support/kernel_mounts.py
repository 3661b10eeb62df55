"""The kernel's own file systems, which a fresh machine may not have mounted."""

import subprocess
from pathlib import Path

_WANTED = (("tracefs", Path("/sys/kernel/tracing")), ("bpf", Path("/sys/fs/bpf")))


def mount_missing() -> None:
    """Mount tracefs and bpffs where they are not. Raises CalledProcessError."""
    mounted = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    for kind, place in _WANTED:
        if place.is_dir() and str(place) not in mounted:
            subprocess.run(["mount", "-t", kind, "none", str(place)], check=True)
