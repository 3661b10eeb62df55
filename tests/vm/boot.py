"""`python -m tests.vm.boot KERNEL COMMAND...`: run one command on one kernel; its output and exit status are ours."""

import sys

from tests.vm.kernels import BY_NAME, CannotHave
from tests.vm.machine import Settings, run


def main() -> int:
    name, *command = sys.argv[1:]
    try:
        return run(BY_NAME[name], command, settings=Settings(seconds=1800), sink=sys.stdout.buffer).status
    except CannotHave as reason:
        print(f"kernel {name}: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
