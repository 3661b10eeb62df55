"""`--json`: one event a line on stdout, words on stderr, the summary last."""

import sys
from collections.abc import Sequence

import msgspec

from collector.cli.output import LineWriter
from collector.domain.events import Summary
from collector.domain.watching import Told


class JsonSink:
    """Writes NDJSON."""

    def __init__(self, queue_lines: int) -> None:
        self._writer = LineWriter(queue_lines)
        self._encode = msgspec.json.Encoder().encode

    def ready(self, line: str) -> None:
        """Say on stderr that events that start from now on will be seen."""
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    warn = ready

    def emit(self, events: Sequence[Told]) -> None:
        """Queue events."""
        encode = self._encode
        self._writer.put([encode(event) + b"\n" for event in events])

    def tick(self, now_ns: int) -> bool:  # noqa: ARG002
        """Tell whether there is still a reader."""
        return not self._writer.broken

    def finish(self, summary: Summary) -> None:
        """Write the summary behind everything else, and the totals on stderr."""
        if self._writer.dropped:
            lost = {**summary.lost, "output": {"slow_reader": self._writer.dropped}}
            summary = msgspec.structs.replace(summary, lost=lost)
        self._writer.put_last(self._encode(summary) + b"\n")
        self._writer.close()
        sys.stderr.write(totals(summary))
        sys.stderr.flush()


def totals(summary: Summary) -> str:
    """Return the totals in words."""
    lost = sum(count for reasons in summary.lost.values() for count in reasons.values())
    seen = summary.exchanges
    return (
        f"{sum(seen.values())} exchanges ({seen.get('client', 0)} client, {seen.get('server', 0)} server) on "
        f"{summary.connections} connections in {summary.elapsed_ms / 1000:.1f} s, rung {summary.rung}; "
        f"{summary.records['captured']} records, {lost} lost\n"
    )
