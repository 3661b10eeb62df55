"""`--json`: one event a line on stdout, words on stderr, the summary last."""

from collections.abc import Sequence

import msgspec

from collector.cli.output import LineWriter, totals, with_drops
from collector.domain.events import Summary
from collector.domain.watching import Told
from collector.stderr import say


class JsonSink:
    """Writes NDJSON."""

    def __init__(self, queue_lines: int, *, descriptor: int = 1) -> None:
        self._writer = LineWriter(queue_lines, descriptor)
        self._encoder = msgspec.json.Encoder()

    def ready(self, line: str) -> None:
        """Say on stderr that events that start from now on will be seen."""
        say(line)

    def warn(self, line: str) -> None:
        """Say it on stderr."""
        say(line)

    def emit(self, events: Sequence[Told]) -> None:
        """Queue events; the newest give way where the reader does not keep up."""
        room = self._writer.admit(len(events))
        self._writer.put(self._encoder.encode_lines(events[:room]), room)

    def tick(self, now_ns: int) -> bool:  # noqa: ARG002
        """Tell whether there is still a reader."""
        return not self._writer.broken

    def finish(self, summary: Summary) -> None:
        """Write the summary behind everything else, and the totals on stderr."""
        summary = with_drops(summary, self._writer.dropped)
        self._writer.put(self._encoder.encode(summary) + b"\n", 1)
        say(totals(summary))
        self._writer.close()
