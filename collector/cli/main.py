"""`collector`: the command line. Thin: options in, one call, an exit code out."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from collector import config as configuration
from collector.cli import checks
from collector.domain import filters
from collector.domain.watching import WatchSettings
from collector.errors import CollectorProblem, PreflightFailed, UsageProblem
from collector.kernel.errors import KernelProblem

_VERSION = "0.1.0"
_EXAMPLES = """\b
Examples:
  sudo collector watch                          every HTTP exchange on this host
  sudo collector watch --pid 4242 status>=500   failures of one process
  sudo collector watch --json | jq .trace_id    one JSON event a line
  sudo collector watch -- curl http://host/     run a command and watch it
  sudo collector doctor                         what this host can show, and how to fix it
"""
_WATCH_EXAMPLES = """\b
Examples:
  sudo collector watch -T -w                         with times, waits and trace IDs
  sudo collector watch --comm python3 --port 8080    both must match
  sudo collector watch latency>250ms role=client     filter words; all must hold
  sudo collector watch --json --duration 10 > events.ndjson
  sudo collector watch --include-connections -- pytest tests/

Ends with Ctrl-C, SIGTERM, --duration or --count: what the kernel already recorded is told first.
"""


class _Group(click.Group):
    """Examples first, `run` as the default, problems as one clear line."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(click.formatting.wrap_text(_EXAMPLES, preserve_paragraphs=True) + "\n\n")
        super().format_help(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = configuration.nearest(args[0], list(self.commands))
            raise click.UsageError(f"no command {args[0]!r}{near or '; see collector --help'}")
        return super().resolve_command(ctx, args)


class _Command(click.Command):
    """A command whose help begins with examples."""

    def __init__(self, *args: Any, examples: str = "", **more: Any) -> None:
        self.examples = examples
        super().__init__(*args, **more)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(click.formatting.wrap_text(self.examples, preserve_paragraphs=True) + "\n\n")
        super().format_help(ctx, formatter)


@click.group(cls=_Group, invoke_without_command=True)
@click.version_option(_VERSION, prog_name="collector")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Watch HTTP exchanges of unmodified processes, read from the kernel."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(run)


def _watch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("words", nargs=-1, metavar="[FILTER]... [-- CMD ...]"),
        click.option("--json", "as_json", is_flag=True, help="NDJSON on stdout, one event a line, the summary last."),
        click.option("--pid", "pids", multiple=True, type=int, metavar="N", help="Only this process."),
        click.option("--comm", "comms", multiple=True, metavar="NAME", help="Only processes of this name."),
        click.option("--port", "ports", multiple=True, type=int, metavar="N", help="Only this port, at either end."),
        click.option("--cgroup", "cgroups", multiple=True, metavar="PATH", help="Only this cgroup (v2) and below."),
        click.option("--duration", type=float, metavar="SECONDS", help="End after so long."),
        click.option("--count", type=int, metavar="N", help="End after so many events."),
        click.option("--include-connections", is_flag=True, help="Connection events too."),
        click.option("-T", "--time", "with_time", is_flag=True, help="A column with the time."),
        click.option("-w", "--wide", is_flag=True, help="More columns."),
        click.option("--rung", metavar="NAME", help="Force one rung: length, fexit, kprobe, exit."),
    ):
        command = option(command)
    return command


@cli.command(cls=_Command, examples=_WATCH_EXAMPLES, context_settings={"ignore_unknown_options": False})
@_watch_options
def watch(**options: Any) -> None:
    """Show exchanges live."""
    _watch(options)


@cli.command(cls=_Command, examples=_EXAMPLES)
def run() -> None:
    """Observe until told to end. For now this is `watch` over the whole host."""
    _watch({"words": (), "pids": (), "comms": (), "ports": (), "cgroups": ()})


def _split_command(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (filter words, command): click has taken the `--` away, so it is looked for in what was typed."""
    if "--" not in sys.argv:
        return words, ()
    command = tuple(sys.argv[sys.argv.index("--") + 1 :])
    if not command:
        raise UsageProblem("-- wants a command behind it, as: collector watch -- curl http://localhost/")
    return words[: len(words) - len(command)], command


def _watch(options: dict[str, Any]) -> NoReturn:
    words, command = _split_command(options["words"])
    terms = filters.parse(words)
    checks.watch_options(options)
    loaded = configuration.load({"rung": options.get("rung")})
    config = loaded.config
    checks.root()
    settings = WatchSettings(
        pids=options["pids"],
        comms=options["comms"],
        ports=options["ports"],
        cgroups=options["cgroups"],
        include_connections=options.get("include_connections", False),
        duration_s=options.get("duration"),
        count=options.get("count"),
        command=command,
        accept=filters.predicate(terms),
        notify_socket=configuration.notify_socket(),
        **{
            name: getattr(config, name)
            for name in (
                "rung", "ring_size", "max_connections", "user", "cache", "drain_interval_ms", "services", "routes",
                "route_limit", "read_delay_warning_ms",
            )
        },
    )  # fmt: skip
    sink = _sink(options, config)
    from collector.service import watch as run_watch  # late: help and usage errors need none of it

    sys.exit(run_watch(settings, sink))


def _sink(options: dict[str, Any], config: configuration.Config) -> Any:
    if options.get("as_json"):
        from collector.cli.ndjson import JsonSink

        return JsonSink(config.output_queue_lines)
    from collector.cli.columns import for_terminal

    return for_terminal(
        config.output_queue_lines,
        with_time=options.get("with_time", False),
        wide=options.get("wide", False),
        no_colour=configuration.no_colour(),
    )


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--strict", is_flag=True, help="Exit 4 where something is missing that is not vital.")
def doctor(*, as_json: bool, strict: bool) -> None:
    """Check this host: what can be seen here, what not, and how to fix it."""
    from collector.cli.report import show
    from collector.kernel.doctor import diagnose
    from collector.kernel.host_facts import gather

    facts = gather(configuration.load().config.cache)
    sys.exit(show(diagnose(facts), as_json=as_json, strict=strict))


@cli.group()
def config() -> None:
    """Look at the configuration."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Where each value came from.")
def config_show(*, origin: bool) -> None:
    """Show every setting as it is in force."""
    loaded = configuration.load()
    for name, text in configuration.described(loaded.config):
        click.echo(f"{name} = {text}" + (f"   # {loaded.origin[name]}" if origin else ""))


def main() -> None:
    """Run the command line; turn problems into one clear line and their exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as problem:
        problem.show()
        sys.exit(2)
    except KernelProblem as problem:
        _end(PreflightFailed(str(problem), fix="sudo collector doctor says what is missing and how to get it"))
    except CollectorProblem as problem:
        _end(problem)


def _end(problem: CollectorProblem) -> NoReturn:
    sys.stderr.write(f"collector: {problem}\n" + (f"  fix: {problem.fix}\n" if problem.fix else ""))
    sys.exit(problem.exit_code)
