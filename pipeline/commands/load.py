"""`pipeline load`: records at a set rate, whatever becomes of them."""

import itertools
import time
from typing import Final

import click
import msgspec

from pipeline.commands import running
from pipeline.kafka_settings import KafkaSettings
from pipeline.load.generator import Generator
from pipeline.load.messages import MessageSource
from pipeline.load.schedule import Schedule, Spike, Step
from pipeline.logs import forward_libraries, logger
from pipeline.topics import Topic, ensure

_HELP: Final = """\b
Examples:
  pipeline load --rate 200 --duration 30
  pipeline load --rate 100 --step 10:500 --step 20:1000 --spike 25:3000:2 --duration 40
  pipeline load --count 100000 --poison 0.01 --unpaced

Produce records with trace context; one line of JSON at the end reports offered, achieved and latency.

The model is open: a record is due when the schedule says so, and its latency counts from then.
"""


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers separated by colons."""

    def __init__(self, *names: str) -> None:
        self.name = ":".join(names)
        self._count = len(names)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read them."""
        try:
            numbers = tuple(float(part) for part in value.split(":"))
        except ValueError:
            numbers = ()
        if len(numbers) != self._count or any(number < 0 for number in numbers):
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return numbers


@click.command("load", help=_HELP, context_settings={"auto_envvar_prefix": "PIPELINE_LOAD"})
@click.option("--bootstrap-servers", default="127.0.0.1:9092", show_default=True, help="Brokers to begin with.")
@click.option("--topic", default="ingress", show_default=True, help="Topic to produce to.")
@click.option("--partitions", default=0, help="Make the topic with so many where it is missing.")
@click.option("--rate", default=100.0, show_default=True, type=click.FloatRange(0.001), help="Records per second.")
@click.option(
    "--duration", default=10.0, show_default=True, type=click.FloatRange(0), help="Seconds; 0: until stopped."
)
@click.option("--count", type=click.IntRange(1), help="So many records, at the first rate, instead of a duration.")
@click.option("--step", multiple=True, type=_Numbers("AT_S", "RATE"), help="From this second on, this rate.")
@click.option("--spike", multiple=True, type=_Numbers("AT_S", "RATE", "FOR_S"), help="For so long, this rate.")
@click.option("--poison", default=0.0, type=click.FloatRange(0, 1), help="Share of records that nobody can deliver.")
@click.option("--route", multiple=True, default=("/orders",), show_default=True, help="Routes to draw from.")
@click.option("--pad-bytes", default=100, show_default=True, help="Filler in each payload.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same records.")
@click.option("--run", "name", default=None, help="Beginning of the business IDs.  [from the clock]")
@click.option("--unpaced", is_flag=True, help="As fast as the broker takes them.")
def command(  # noqa: PLR0913 - one for each option
    *,
    bootstrap_servers: str,
    topic: str,
    partitions: int,
    rate: float,
    duration: float,
    count: int | None,
    step: tuple[tuple[float, float], ...],
    spike: tuple[tuple[float, float, float], ...],
    poison: float,
    route: tuple[str, ...],
    pad_bytes: int,
    seed: int,
    name: str | None,
    unpaced: bool,
) -> None:
    """Produce, then report."""
    steps = (Step(at_s=0.0, rate=rate), *(Step(at_s=at, rate=each) for at, each in sorted(step)))
    spikes = tuple(Spike(at_s=at, rate=each, for_s=length) for at, each, length in spike)
    schedule = Schedule(steps=steps, spikes=spikes)
    seconds = count / rate if count is not None else duration or float(10**7)
    run = name or f"load-{time.time_ns():x}"

    async def main() -> None:
        forward_libraries(logger("warning"))
        settings = KafkaSettings(bootstrap_servers=bootstrap_servers, topic=topic)
        await ensure(settings, [Topic(name=topic, partitions=partitions)], create=partitions > 0)
        messages = MessageSource(run=run, seed=seed, poison_share=poison, routes=route, pad_bytes=pad_bytes)
        generator = Generator(settings, messages)
        running.on_signals(generator.stop)
        starts = itertools.islice(schedule.starts(duration_s=seconds), count)
        report = await generator.run(starts, paced=not unpaced)
        running.say(**msgspec.structs.asdict(report))

    running.run(main())
