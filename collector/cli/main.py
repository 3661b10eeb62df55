"""`collector`: the command line. Thin: options in, one call, an exit code out."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import click

from collector import config as configuration
from collector.cli import checks
from collector.cli.audit import audit
from collector.cli.help import (
    COMMAND_WORDS,
    RUN_EPILOG,
    RUN_EXAMPLES,
    WATCH_EPILOG,
    WATCH_EXAMPLES,
    Commands,
    ExamplesFirst,
)
from collector.cli.output import hold_standard_descriptors, leave_standard_streams
from collector.domain import filters
from collector.domain.watching import Sink, WatchSettings
from collector.errors import CollectorProblem, PreflightFailed, UsageProblem
from collector.kernel.errors import KernelProblem
from collector.stderr import say

_VERSION = "0.1.0"
_FROM_CONFIGURATION = (
    "rung", "ring_size", "max_connections", "user", "cache", "drain_interval_ms", "services", "routes", "route_limit",
    "read_delay_warning_ms",
)  # fmt: skip


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_VERSION, prog_name="collector")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Watch HTTP exchanges of unmodified processes, read from the kernel."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(run)


_WHAT = (
    click.option("--pid", "pids", multiple=True, type=int, metavar="N", help="Only this process."),
    click.option("--comm", "comms", multiple=True, metavar="NAME", help="Only processes of this name."),
    click.option("--port", "ports", multiple=True, type=int, metavar="N", help="Only this port, at either end."),
    click.option("--cgroup", "cgroups", multiple=True, metavar="PATH", help="Only this cgroup (v2) and below."),
    click.option("--duration", type=float, metavar="SECONDS", help="End after so long."),
)
_RUNG = click.option("--rung", metavar="NAME", help="Force one rung: length, fexit, kprobe, exit, enter.")
_WATCH = (
    click.argument("words", nargs=-1, metavar="[FILTER]... [-- CMD ...]"),
    click.option("--json", "as_json", is_flag=True, help="NDJSON on stdout, one event a line, the summary last."),
    *_WHAT,
    click.option("--count", type=int, metavar="N", help="End after so many events."),
    click.option("--include-connections", is_flag=True, help="Connection events too."),
    click.option("-T", "--time", "with_time", is_flag=True, help="A column with the time."),
    click.option("-w", "--wide", is_flag=True, help="More columns."),
    _RUNG,
)
_RUN = (
    click.option("--listen", metavar="ADDRESS:PORT", help="Where to serve; without: 127.0.0.1:7070."),
    click.option("--token-file", metavar="FILE", help="The bearer token clients need; a must for other addresses."),
    click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error."),
    *_WHAT,
    _RUNG,
)


def _options(options: Sequence[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):  # the last one applied stands first in the help
            command = option(command)
        return command

    return give


@cli.command(cls=ExamplesFirst, examples=WATCH_EXAMPLES, epilog=WATCH_EPILOG)
@_options(_WATCH)
@click.pass_context
def watch(ctx: click.Context, /, **options: Any) -> None:
    """Show exchanges live."""
    _watch(options, ctx.meta.get(COMMAND_WORDS, ()))


@cli.command(cls=ExamplesFirst, examples=RUN_EXAMPLES, epilog=RUN_EPILOG)
@_options(_RUN)
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:
    """Observe, measure and serve until told to end. `collector` alone is `collector run`."""
    if COMMAND_WORDS in ctx.meta:
        raise UsageProblem("run takes no command", fix="collector watch -- CMD ... runs and watches one")
    _run(options)


def _run(options: dict[str, Any]) -> NoReturn:
    checks.watch_options({**options, "count": None})
    given = {f"--{name.replace('_', '-')}": options[name] for name in ("listen", "token_file", "log_level", "rung")}
    config = configuration.load(given).config
    checks.root()
    from collector.parts import assembled  # late: help and usage errors need none of it
    from collector.serve import run as serve

    sys.exit(serve(config, _settings(options, config), assembled(config, release=_VERSION), release=_VERSION))


def _terms(words: Sequence[str]) -> Sequence[filters.Term]:
    try:
        return filters.parse(words)
    except UsageProblem as problem:
        bare = next((word for word in words if word.isidentifier()), "")
        if bare in filters.FIELDS:
            problem.fix = f"quote it, as '{bare}>=...': the shell takes > and < for redirections"
        elif bare:
            problem.fix = f"a command to run goes behind --, as: collector watch -- {bare} ..."
        raise


def _watch(options: dict[str, Any], command: tuple[str, ...]) -> NoReturn:
    terms = _terms(options["words"])
    checks.watch_options(options)
    config = configuration.load({"--rung": options["rung"]}).config
    checks.root()
    settings = replace(
        _settings(options, config),
        include_connections=options["include_connections"],
        count=options["count"],
        command=command,
        accept=filters.predicate(terms),
    )
    sink = _sink(options, config)
    from collector.service import watch as run_watch  # late: help and usage errors need none of it

    sys.exit(run_watch(settings, sink))


def _settings(options: dict[str, Any], config: configuration.Config) -> WatchSettings:
    return WatchSettings(
        pids=options["pids"],
        comms=options["comms"],
        ports=options["ports"],
        cgroups=options["cgroups"],
        duration_s=options["duration"],
        notify_socket=configuration.notify_socket(),
        **{name: getattr(config, name) for name in _FROM_CONFIGURATION},
    )


def _sink(options: dict[str, Any], config: configuration.Config) -> Sink:
    if options["as_json"]:
        from collector.cli.ndjson import JsonSink

        return JsonSink(config.output_queue_lines)
    from collector.cli.columns import for_terminal

    return for_terminal(
        config.output_queue_lines,
        with_time=options["with_time"],
        wide=options["wide"],
        no_colour=configuration.no_colour(),
    )


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--strict", is_flag=True, help="Exit 4 where something is missing that is not vital.")
def doctor(*, as_json: bool, strict: bool) -> None:
    """Check this host: what can be seen here, what not, and how to fix it."""
    from collector.cli.report import exit_code, show
    from collector.kernel.doctor import diagnose
    from collector.kernel.host_facts import gather

    config = configuration.load().config
    facts = gather(config.cache, config.user)
    diagnosis = diagnose(facts)
    colour = sys.stdout.isatty() and not configuration.no_colour()
    show(diagnosis, facts, as_json=as_json, colour=colour)
    sys.exit(exit_code(diagnosis, strict=strict))


@cli.group()
def config() -> None:
    """Look at the configuration."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Where each value came from.")
def config_show(*, origin: bool) -> None:
    """Show every setting as it is in force; exit 2 where some are not valid."""
    loaded = configuration.read()
    for name, text in configuration.described(loaded.config):
        click.echo(f"{name} = {text}" + (f"   # {loaded.origin[name]}" if origin else ""))
    if loaded.problems:
        raise configuration.problem_of(loaded)


cli.add_command(audit)


def main() -> None:
    """Run the command line; turn problems into one clear line and their exit code."""
    hold_standard_descriptors()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as problem:
        with contextlib.suppress(OSError):  # nobody reads it: the status says it all the same
            problem.show()
        sys.exit(2)
    except KernelProblem as problem:
        _end(PreflightFailed(str(problem), fix="sudo collector doctor says what is missing and how to get it"))
    except CollectorProblem as problem:
        _end(problem)
    except BrokenPipeError:
        sys.exit(0)  # the reader has seen enough
    except OSError as problem:
        _end(CollectorProblem(str(problem)))
    finally:
        leave_standard_streams()


def _end(problem: CollectorProblem) -> NoReturn:
    say(f"collector: {problem}" + (f"\n  fix: {problem.fix}" if problem.fix else ""))
    sys.exit(problem.exit_code)
