"""`pipeline`: the observed system, its load and its counterparts, one command each."""

import os
from typing import Final

import click

from pipeline.commands import broker, demo, external_api, load, slow_client, worker

_HELP: Final = """\b
Examples:
  pipeline demo --duration 30             everything at once, on loopback
  pipeline worker --config pipeline.toml  from Kafka to the external API
  pipeline load --rate 200                records at a set rate
  pipeline external-api                   the API, with faults and a ledger

Kafka -> worker -> external API: the system that is observed. It knows nothing of its observer.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.pass_context
def cli(context: click.Context) -> None:
    """Hand the environment on; nothing below reads it."""
    context.obj = dict(os.environ)  # noqa: TID251 - the one place


cli.add_command(worker.command())
cli.add_command(load.command)
cli.add_command(external_api.command)
cli.add_command(broker.command)
cli.add_command(demo.command)
cli.add_command(slow_client.command)


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()
