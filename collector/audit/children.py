"""How the archive starts its own children: as isolated as this process is, without code of the working directory."""

import sys


def python(module: str, *words: str) -> list[str]:
    """Return the command that runs a module of ours with this interpreter."""
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module, *words]
