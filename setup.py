"""What pyproject.toml cannot say: with NETSCOPE_COMPILE=1 mypyc compiles the core, from the same Python text.

That halves the CPU that an exchange costs: docs/decisions/0014-core-compiled-at-install.md. A checkout runs as written.
"""

import os
from pathlib import Path

from setuptools import setup

CORE = ("collector/wire", "collector/correlate", "collector/metrics")
AROUND_IT = [  # what else runs for every record or event
    "collector/kernel/decoding.py", "collector/kernel/ring.py",
    "api/services/feed.py", "api/services/invariants.py", "api/services/recent.py",
]  # fmt: skip
# msgspec makes the classes of message.py itself; the last three build on classes of prometheus_client
INTERPRETED = {"__init__.py", "message.py", "exposition.py", "families.py", "own_metrics.py"}

extensions = []
if os.environ.get("NETSCOPE_COMPILE") == "1":  # noqa: TID251  # the build has no other configuration
    from mypyc.build import mypycify

    modules = sorted(str(path) for folder in CORE for path in Path(folder).glob("*.py") if path.name not in INTERPRETED)
    extensions = mypycify(
        ["--config-file=", "--ignore-missing-imports", *modules, *AROUND_IT], group_name="netscope_core"
    )

setup(ext_modules=extensions)
