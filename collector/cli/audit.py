"""`collector audit`: look into the archive, get events back, prove that nothing was changed."""

import sys
from collections.abc import Callable
from typing import Any

import click


@click.group()
def audit() -> None:
    """Read the archive, and prove that nothing in it was changed."""


_STORE = click.option("--store", metavar="FOLDER", help="A downloaded or local archive, instead of the configured one.")


def _asked(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        _STORE,
        click.option("--from", "since", metavar="TIME", default="", help="Begun then or later (ISO 8601; UTC)."),
        click.option("--to", "until", metavar="TIME", default="", help="Begun before."),
        click.option("--service", metavar="NAME", help="Only this service."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@audit.command("ls")
@_asked
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(*, store: str | None, since: str, until: str, service: str | None, as_json: bool) -> None:
    """List the objects that hold events of an interval and a service."""
    from collector.cli import audit_actions as actions

    asked = actions.interval(since, until, service)
    actions.list_objects(actions.opened(store), asked, as_json=as_json)


@audit.command("replay")
@_asked
@click.option("--metrics", is_flag=True, help="Instead of the events, what the live metrics engine makes of them.")
def replay(*, store: str | None, since: str, until: str, service: str | None, metrics: bool) -> None:
    """Write archived events as NDJSON, in order of hour, writer and sequence; only matching objects are read."""
    from collector.cli import audit_actions as actions

    asked = actions.interval(since, until, service)
    actions.replay(actions.opened(store), asked, metrics=metrics)


@audit.command("verify")
@_STORE
@click.option("--key", "keys", multiple=True, metavar="FILE", help="Public key (PEM) to trust; may be repeated.")
@click.option(
    "--anchor", "anchors", multiple=True, metavar="HASH", help="Manifest's hash held elsewhere, or a file of them."
)
@click.option("--strict", is_flag=True, help="Exit 4 where objects wait for their manifest.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--quick", is_flag=True, help="Check the hashes of objects, not every line in them.")
def verify(*, store: str | None, **options: Any) -> None:
    """Prove that the archive is what its writers wrote; exit 1 where it is not."""
    from collector.cli import audit_actions as actions

    sys.exit(actions.verify(actions.opened(store), **options))


@audit.command("sql")
@click.argument("query")
@_asked
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
def sql(  # noqa: PLR0913  # options
    *, query: str, store: str | None, since: str, until: str, service: str | None, as_json: bool
) -> None:
    """Run SQL (DuckDB) on `events`: one interval and service of the archive."""
    from collector.cli import audit_actions as actions

    asked = actions.interval(since, until, service)
    actions.sql(actions.opened(store), asked, query, as_json=as_json)
