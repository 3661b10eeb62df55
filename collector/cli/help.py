"""How the command line explains itself: examples first, the nearest command for a wrong one, `--` kept apart."""

from typing import Any, Final

import click

from collector.errors import UsageProblem, nearest

COMMAND_WORDS: Final = "collector.command"  # where a context keeps what stood behind `--`
EXAMPLES: Final = """\b
Examples:
  sudo collector watch                             every HTTP exchange on this host
  sudo collector watch --pid 4242 'status>=500'    failures of one process
  sudo collector watch --json | jq .trace_id       one JSON event a line
  sudo collector watch -- curl http://host/        run a command and watch it
  sudo collector                                   observe, measure and serve: http://127.0.0.1:7070
  sudo collector doctor                            what this host can show, and how to fix it
"""
WATCH_EXAMPLES: Final = """\b
Examples:
  sudo collector watch -T -w                         with times, waits and trace IDs
  sudo collector watch --comm python3 --port 8080    both must match
  sudo collector watch 'latency>250ms' role=client   filter words; all must hold
  sudo collector watch --json --duration 10 > events.ndjson
  sudo collector watch --include-connections -- pytest tests/
"""
RUN_EXAMPLES: Final = """\b
Examples:
  sudo collector run                                     serve at http://127.0.0.1:7070
  curl -s http://127.0.0.1:7070/v1/metrics/network       what was measured in the last minute
  sudo collector run --port 8080 --log-level debug       only what goes over port 8080
  sudo collector run --listen 10.0.0.5:7070 --token-file /etc/netscope/token
"""
RUN_EPILOG: Final = """\b
Routes: /metrics (Prometheus), /v1/metrics/network, /v1/resilience/state, /v1/exchanges, /v1/feed
(WebSocket) and others, described at /openapi.json. Log events go to stderr as JSON. Ends with Ctrl-C
or SIGTERM. SIGUSR1 makes the log tell more, SIGUSR2 less.
"""
WATCH_EPILOG: Final = """\b
Filter words: field=value, and != > >= < <=; values separated by commas are alternatives, * matches
anything, durations end in us, ms or s. Quote > and <: the shell takes them for redirections.
Ends with Ctrl-C, SIGTERM, --duration or --count: what the kernel already recorded is told first.
"""


def _write(formatter: click.HelpFormatter, examples: str) -> None:
    formatter.write(click.formatting.wrap_text(examples, preserve_paragraphs=True) + "\n\n")


class ExamplesFirst(click.Command):
    """A command whose help begins with examples; what stands behind `--` is a command to run, not filter words."""

    def __init__(self, *args: Any, examples: str = "", **more: Any) -> None:
        self.examples = examples
        super().__init__(*args, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words behind the first `--` before click takes it away."""
        if "--" in args:
            at = args.index("--")
            args, command = args[:at], tuple(args[at + 1 :])
            if not command and not ctx.resilient_parsing:
                raise UsageProblem("-- wants a command behind it, as: collector watch -- curl http://localhost/")
            ctx.meta[COMMAND_WORDS] = command
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the rest."""
        _write(formatter, self.examples)
        super().format_help(ctx, formatter)


class Commands(click.Group):
    """The group of all commands."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the rest."""
        _write(formatter, EXAMPLES)
        super().format_help(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for one that does not exist."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = nearest(args[0], self.commands)
            raise click.UsageError(f"no command {args[0]!r}{near or '; see collector --help'}", ctx)
        return super().resolve_command(ctx, args)
