"""`python -m tests.vm.suite KERNEL RUNG [PYTEST...]`: the kernel tests on one kernel, forced onto one rung."""

import shlex
import sys

from tests.vm.kernels import BY_NAME, ROOT, STORE, CannotHave, unpacked
from tests.vm.machine import Settings, prepare, run
from tests.vm.prove import alone
from tests.vm.warm import btf_section, warm


def main() -> int:
    name, rung, *words = sys.argv[1:]
    kernel = BY_NAME[name]
    cache = STORE / "share" / f"cache-{kernel.name}-{kernel.flavour}"
    pytest = [str(ROOT / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "600"]
    script = (
        f"mkdir -m700 -p /var/cache/netscope && cp {shlex.quote(str(cache))}/programs-* /var/cache/netscope &&"
        f" chown -R 0:0 /var/cache/netscope && exec {shlex.join([*pytest, *(words or ['tests/kernel'])])}"
    )
    settings = Settings(seconds=3600, environment={"NETSCOPE_TEST_RUNG": rung, "TEST_PATIENCE": "10"})
    try:
        with alone():
            held = unpacked(kernel)
            warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache)
            return run(kernel, ["sh", "-c", script], settings=settings, sink=sys.stdout.buffer).status
    except CannotHave as reason:
        print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
