"""How much of each campaign: what every run can afford, or with NETSCOPE_FULL=1 the full size."""

import os
from typing import Final

FULL: Final = bool(os.environ.get("NETSCOPE_FULL"))
RECORDS: Final = 100_000 if FULL else 6_000
RECORDS_UNDER_CHAOS: Final = 100_000 if FULL else 4_000
KILLS: Final = 50 if FULL else 4
REBALANCES: Final = 20 if FULL else 3
RESTARTS: Final = 5 if FULL else 2
HOSTILE_CALLS: Final = 10_000 if FULL else 1_500
CHURN_S: Final = 20.0 if FULL else 4.0
OUTAGE_S: Final = 600.0 if FULL else 12.0
OUTAGE_RATE: Final = 2000
SHORT_OUTAGE_S: Final = 60.0 if FULL else 4.0
