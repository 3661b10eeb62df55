"""Install, use from anywhere, remove: on this host's files, in layers that vanish with the mount namespace."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

_IN_LAYERS = r"""
set -eu
checkout=$0
base=$(mktemp -d)
mount -t tmpfs none "$base" # an overlay cannot lie on another
for place in /etc /usr/local /var/cache; do
    mkdir -p "$base$place/upper" "$base$place/work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$base$place/upper,workdir=$base$place/work" "$place"
done
cd "$base"
make -s -C "$checkout" install
make -s -C "$checkout" install # again: an upgrade
[ "$(find /usr/local/lib/netscope -mindepth 1 -maxdepth 1 -type d | wc -l)" = 1 ]
getent passwd netscope
mkdir collector
echo 'raise SystemExit("imported from the working directory")' >collector/__init__.py
PATH=$PATH:/usr/local/sbin
collector --help
collector doctor
cd /
collector doctor --json
bash -n /usr/local/share/bash-completion/completions/collector
make -s -C "$checkout" uninstall
! [ -e /usr/local/sbin/collector ]
! getent passwd netscope
left=$(find "$base/usr/local/upper" ! -type c \( -name '*netscope*' -o -name '*collector*' \))
echo "left: $left"
[ -z "$left" ]
"""


def test_install_use_from_anywhere_and_remove() -> None:
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_LAYERS, ROOT],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
