"""What `collector audit` does; imported only then, because the archive's libraries take time and memory."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from msgspec import json

from collector import config as configuration
from collector.audit.querying import rows
from collector.audit.reading import Found, Interval, blocks, objects, size_of
from collector.audit.settings import StoreSettings
from collector.audit.stamps import nanoseconds, normalised
from collector.audit.stores.opening import open_store
from collector.audit.stores.store import Store
from collector.audit.verifying import Report, Verifier
from collector.audit.whereabouts import store_settings
from collector.domain.audit import decode
from collector.domain.events import Connection, Exchange
from collector.errors import UsageProblem
from collector.stderr import say


def interval(since: str, until: str, service: str | None) -> Interval:
    """Return what is asked for. Raises UsageProblem."""
    words = {"--from": since, "--to": until}
    times = {}
    for flag, text in words.items():
        try:
            times[flag] = normalised(text) if text else ""
        except ValueError as problem:
            raise UsageProblem(f"{flag} {text}: no time; write it as 2026-11-21T07:00:00Z, or less of it") from problem
    asked = Interval(since=times["--from"], service=service)
    if times["--to"]:
        asked = Interval(since=times["--from"], until=times["--to"], service=service)
    if asked.since >= asked.until:
        raise UsageProblem(f"--from {since} is not before --to {until}")
    return asked


def opened(folder: str | None) -> Store:
    """Return the folder's archive, or without one the configured archive."""
    if folder is not None:
        if not (Path(folder) / "audit/v1").is_dir():
            raise UsageProblem(f"--store {folder}: there is no archive (no audit/v1 in it)")
        return open_store(StoreSettings(directory=folder), {})
    settings = store_settings(configuration.load().config)
    return open_store(settings, configuration.aws_environment())


def list_objects(store: Store, asked: Interval, *, as_json: bool) -> None:
    """List the objects that can hold what is asked for."""
    found = objects(store, asked)
    for one in found:
        if as_json:
            about = {"key": one.name.key, "service": one.name.service, "hour": one.name.hour, "size": one.size}
            click.echo(json.encode(about | {"writer": one.name.writer, "first_seq": one.name.first_seq}).decode())
        else:
            click.echo(f"{one.name.hour}  {one.size:>10}  {one.name.service:<20}  {one.name.key}")
    say(f"{len(found)} objects, {size_of(found):,} bytes")


def replay(store: Store, asked: Interval, *, metrics: bool) -> None:
    """Write events, or what the metrics engine makes of them."""
    found = objects(store, asked)
    lines = 0
    measured = _Measured() if metrics else None
    for block in _with_progress(blocks(store, asked, found), found):
        lines += block.count(b"\n")
        if measured:
            measured.take(block)
        else:
            sys.stdout.buffer.write(block)
    if measured:
        measured.show()
    sys.stdout.flush()
    say(f"{lines} events from {len(found)} objects")


class _Measured:
    """Archived exchanges through the live engine."""

    def __init__(self) -> None:
        from collector.metrics.engine import Engine  # late: a plain replay needs none

        self._engine = Engine()
        self._now_ns = 0

    def take(self, block: bytes) -> None:
        """Give events to the engine at the time at which they began; time never goes back there."""
        for line in block.splitlines():
            event = decode(line).event
            if isinstance(event, Exchange | Connection):
                self._now_ns = max(self._now_ns, nanoseconds(event.started_at))
                self._engine.record([event], self._now_ns)

    def show(self) -> None:
        """Write what Prometheus would have scraped at the end."""
        self._engine.tick(self._now_ns)
        click.echo(self._engine.exposition(openmetrics=False).decode(), nl=False)


def _with_progress(data: Iterator[bytes], found: list[Found]) -> Iterator[bytes]:
    """Show a bar where a person watches and the events go elsewhere."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from data
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=size_of(found) * 8 or None)  # about: lines are compressed 8 to 1
        for block in data:
            yield block
            bar.advance(task, len(block))


def verify(  # noqa: PLR0913  # options
    store: Store, *, keys: tuple[str, ...], anchors: tuple[str, ...], strict: bool, as_json: bool, quick: bool
) -> int:
    """Verify; return the exit code."""
    verifier = Verifier(store, keys=_files(keys), anchors=_anchors(anchors), read_lines=not quick, progress=_progress())
    report = verifier.run()
    if as_json:
        click.echo(json.encode(report).decode())
    else:
        _show(report)
    return 1 if report.findings else 4 if strict and report.pending else 0


def _files(paths: tuple[str, ...]) -> list[bytes]:
    try:
        return [Path(path).read_bytes() for path in paths]
    except OSError as problem:
        raise UsageProblem(f"--key: {problem}") from problem


def _anchors(given: tuple[str, ...]) -> list[str]:
    """Take hashes as they are, and the first word of each line of files."""
    found: list[str] = []
    for one in given:
        if len(one) == 64 and set(one) <= set("0123456789abcdef"):
            found.append(one)
            continue
        try:
            found += [line.split()[0] for line in Path(one).read_text().splitlines() if line.strip()]
        except OSError as problem:
            raise UsageProblem(f"--anchor {one}: neither a hash nor a file: {problem}") from problem
    return found


def _progress() -> Callable[[int, int], None]:
    if not sys.stderr.isatty():
        return lambda done, total: None  # noqa: ARG005

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done}/{total} objects" + ("\n" if done == total else ""))

    return show


def _show(report: Report) -> None:
    for finding in report.findings:
        click.echo(f"NOT SOUND  {finding}")
    for key in report.pending[:10]:
        click.echo(f"pending    {key}: no manifest covers it yet")
    if len(report.pending) > 10:
        click.echo(f"pending    and {len(report.pending) - 10} more")
    for writer, digest in sorted(report.newest.items()):
        click.echo(f"anchor     {digest}  {writer}")
    say(
        f"{report.manifests} manifests ({report.signed} signed, keys {report.trusted_keys}), {report.objects} objects, "
        f"{report.events} events, {report.lost} told lost, {report.damaged} damaged, {len(report.pending)} pending: "
        + (f"{len(report.findings)} findings" if report.findings else "sound")
    )


def sql(store: Store, asked: Interval, query: str, *, as_json: bool) -> None:
    """Run a query on what is asked for."""
    names, found = rows(store, objects(store, asked), query)
    if as_json:
        for row in found:
            click.echo(json.encode(dict(zip(names, row, strict=True)), enc_hook=str).decode())
        return
    click.echo("\t".join(names))
    for row in found:
        click.echo("\t".join(str(value) for value in row))
