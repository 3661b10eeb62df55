"""`python -m tests.vm.debian [SUITE]`: setup and the kernel tests in another Debian, with its Python and its bcc, on this kernel.

debootstrap makes it, in a directory: there this checkout's last commit is set up as the README has it (`tools/setup run`), doctor is asked,
and the kernel tests run, each program compiled anew by that bcc. The outcome goes to docs/reference/debian.json. Exit 0: nothing failed.
"""

import argparse
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.vm.kernels import ROOT, STORE, CannotHave, mirror
from tests.vm.prove import alone
from tests.vm.suite import counted, short

RESULTS = ROOT / "docs/reference/debian.json"
_PACKAGES = (
    "ca-certificates,curl,gcc-multilib,iproute2,kmod,make,nftables,procps,python3,python3-bpfcc,python3-venv,wget"
)
_HOSTS_OWN = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_PASSED_ON = re.compile(r"(pip_|https?_proxy|no_proxy|ssl_cert|requests_ca)", re.IGNORECASE)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WITHIN = """
place=$1
mount --bind "$place" "$place"
for folder in proc sys dev; do mount --rbind "/$folder" "$place/$folder"; done
exec chroot "$place" sh -euc "$2"
"""
_SET_UP = """
cd /root/netscope
tools/setup run
.venv/bin/python -m pip install --quiet --no-input --require-hashes -r requirements.lock
rm -rf /var/cache/netscope /run/netns
"""
_TEST = """
cd /root/netscope
.venv/bin/python -m collector doctor --json > /root/doctor.json
exec .venv/bin/python -m pytest -q -p no:cacheprovider --junitxml=/root/report.xml tests/kernel
"""


def made(suite: str) -> Path:
    """Return where that Debian stands, made now if it is not in the store. Raises CannotHave."""
    place = STORE / "debian" / suite
    stamp = place / ".made"
    if stamp.exists():
        return place
    if not shutil.which("debootstrap", path=_PATH):
        raise CannotHave("another Debian needs: apt-get install debootstrap")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, str(place), mirror()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": _PATH})
    if done.returncode:
        raise CannotHave(f"debootstrap {suite}: {(done.stdout.strip().splitlines() or ['no reason given'])[-1]}")
    stamp.touch()
    return place


def within(place: Path, script: str) -> int:
    """Run a script there, with this host's /proc, /sys and /dev; return its status."""
    environment = {name: value for name, value in os.environ.items() if _PASSED_ON.match(name)}
    environment.pop("PIP_FIND_LINKS", None)  # a folder of this host
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _WITHIN, "sh", place, script],
        env={**environment, "HOME": "/root", "PATH": _PATH},
        check=False,
    ).returncode


def play(suite: str) -> dict[str, Any]:
    """Set up and test; return what came out. Raises CannotHave."""
    place = made(suite)
    for name in map(Path, _HOSTS_OWN):
        if name.exists():
            shutil.copyfile(name, place / name.relative_to("/"))
    checkout = place / "root/netscope"
    shutil.rmtree(checkout, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    if within(place, _SET_UP):
        raise CannotHave(f"Debian {suite}: setup failed")
    report = place / "root/report.xml"
    report.unlink(missing_ok=True)
    with alone():
        status = within(place, _TEST)
    facts = json.loads((place / "root/doctor.json").read_text())["facts"]
    result = counted(report)
    failed = [short(name) for name in result["failed"] + result["kept"]]
    if status and not failed:
        failed = [f"status {status}"]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": (place / "usr/bin/python3").readlink().name.removeprefix("python"),
        "bcc": facts["bcc"],
        "passed": len(result["passed"]),
        "failed": failed,
        "skipped": {short(name): reason for name, reason in result["skipped"].items()},
    }


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("suite", nargs="?", default="trixie", help="of Debian; default: %(default)s")
    suite = words.parse_args().suite
    try:
        result = play(suite)
    except CannotHave as reason:
        print(f"Debian {suite}: cannot be had: {reason}", file=sys.stderr)
        return 2
    print(
        f"Debian {suite}, Python {result['python']}, bcc {result['bcc']}: {result['passed']} passed,"
        f" {len(result['failed'])} failed {result['failed']}, {len(result['skipped'])} skipped"
    )
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**results, suite: result}, indent=2) + "\n")
    from tests.vm import report

    report.write()
    return bool(result["failed"])


if __name__ == "__main__":
    sys.exit(main())
