"""`pipeline broker`: the embedded broker as a process of its own."""

from typing import Final

import click

from pipeline.commands import running
from pipeline.simulators.embedded_broker import EmbeddedBroker

_HELP: Final = """\b
Examples:
  pipeline broker
  pipeline broker --topic ingress --topic ingress.dead-letter --topic ingress.parked

Run a broker that speaks Kafka's protocol and keeps everything in memory; for demos, not for proof.

The first line on standard output says, as JSON, where it listens.
"""


@click.command("broker", help=_HELP)
@click.option("--topic", multiple=True, help="Make this topic, with four partitions.")
def command(*, topic: tuple[str, ...]) -> None:
    """Serve until asked to end."""

    async def main() -> None:
        broker = EmbeddedBroker(topic)
        running.say(bootstrap_servers=broker.bootstrap_servers)
        await running.until_asked()

    running.run(main())
