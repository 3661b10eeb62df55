"""`pipeline worker`: from Kafka to the external API until told to stop."""

import asyncio
import gc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import click
import msgspec

from pipeline import config_source
from pipeline.commands import running
from pipeline.config import SECRET, WorkerConfig
from pipeline.ingest.kafka_source import KafkaSource
from pipeline.kafka_outbox import KafkaOutbox
from pipeline.logs import forward_libraries, logger
from pipeline.outbound.gateway import ResilientGateway
from pipeline.outbound.http_sender import HttpSender
from pipeline.preflight import check_endpoints, check_topics
from pipeline.simulators.serving import Listener, serving
from pipeline.telemetry import app
from pipeline.worker import Worker

_HELP: Final = """\b
Examples:
  pipeline worker --kafka-bootstrap-servers 127.0.0.1:9092 --api-url http://127.0.0.1:8080
  pipeline worker --config /etc/netscope/pipeline.toml --call-deadline-s 3
  PIPELINE_KAFKA_SASL_PASSWORD=... pipeline worker --config pipeline.toml --check

Deliver every record of a topic to the external API, once, whatever fails.

Each setting is a flag, PIPELINE_... in the environment, or a line in a section of the TOML file; the first of these
that has it wins. Kafka's password, for example: --kafka-sasl-password, PIPELINE_KAFKA_SASL_PASSWORD, or
sasl_password in [kafka].
"""


def command() -> click.Command:
    """Return the command, with one option for each setting."""
    options: list[click.Parameter] = [
        click.Option(
            ["--config", "file"],
            envvar=config_source.FILE,
            type=click.Path(path_type=Path),
            help="TOML file with settings.",
        ),
        click.Option(["--check"], is_flag=True, help="Say whether the worker could start, and end."),
        *(_option(field) for field in msgspec.structs.fields(WorkerConfig)),
    ]
    return click.Command("worker", params=options, callback=click.pass_context(_worker), help=_HELP)


def _option(field: msgspec.structs.FieldInfo) -> click.Option:
    flag = "--" + field.name.replace("_", "-")
    text = f"{_description(field.type)}{_default(field)}"
    if field.type is bool or (get_origin(field.type) is Annotated and get_args(field.type)[0] is bool):
        return click.Option([f"{flag}/--no-{flag[2:]}", field.name], default=None, help=text)
    return click.Option([flag, field.name], type=str, default=None, metavar="VALUE", help=text)


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "" if field.name in SECRET or field.default in (None, "") else f"  [{field.default}]"


def _description(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return next((meta.description for meta in get_args(kind)[1:] if getattr(meta, "description", None)), "")
    if get_origin(kind) in (Union, UnionType):
        return next(filter(None, map(_description, get_args(kind))), "")
    return ""


def _worker(context: click.Context, file: Path | None, *, check: bool, **flags: Any) -> None:
    async def main() -> None:
        config = config_source.load(flags=flags, environ=context.obj, file=file)
        if config.worker_preflight or check:
            await check_endpoints(config)
            await check_topics(config)
        if check:
            click.echo("the worker could start")
            return
        await _run(config)

    running.run(main())


async def _run(config: WorkerConfig) -> None:
    log = logger(config.worker_log_level)
    forward_libraries(log)
    outbox = KafkaOutbox(config.kafka())
    gateway = ResilientGateway("api", HttpSender(config.destination()), config.policies())
    worker = Worker(config, source=KafkaSource(config.kafka()), outbox=outbox, gateway=gateway, log=log)
    running.on_signals(worker.stop)
    listener = Listener(host=config.worker_metrics_host, port=config.worker_metrics_port)
    async with serving(app(worker.state()), listener) as port:
        await outbox.start()
        gc.collect()
        gc.freeze()  # what lives as long as the process; looking through it again would stop every call for 10 ms
        log.info("worker_started", metrics_port=port, topic=config.kafka_topic, group=config.kafka_group)
        try:
            async with asyncio.TaskGroup() as group:
                running_worker = group.create_task(worker.run())
                if config.worker_ready_line:
                    ready = group.create_task(_tell_when_ready(worker, f"http://{listener.host}:{port}"))
                    running_worker.add_done_callback(lambda _: ready.cancel())
        finally:
            await outbox.stop()
            await gateway.aclose()


async def _tell_when_ready(worker: Worker, url: str) -> None:
    await worker.ready.wait()
    running.say(metrics_url=url)
