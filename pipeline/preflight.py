"""What is tried before the worker starts: every endpoint answers, and the topics are there."""

import asyncio

import httpx2

from pipeline import topics
from pipeline.config import WorkerConfig
from pipeline.errors import PreflightFailed
from pipeline.topics import Topic

_ANSWER_WITHIN_S = 3.0


async def check_endpoints(config: WorkerConfig) -> None:
    """Connect to a broker and to the API. Raises PreflightFailed, which names each that is out of reach."""
    url = httpx2.URL(config.api_url)
    servers = [server.strip() for server in config.kafka_bootstrap_servers.split(",")]
    brokers = [await _problem(*_host_port(server)) for server in servers]
    problems = []
    if all(brokers):
        problems += [f"kafka_bootstrap_servers: {server}: {why}" for server, why in zip(servers, brokers, strict=True)]
    if why := await _problem(url.host, url.port or (443 if url.scheme == "https" else 80)):
        problems.append(f"api_url: {config.api_url}: {why}")
    if problems:
        raise PreflightFailed(problems)


def _host_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


async def _problem(host: str, port: int) -> str | None:
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {_ANSWER_WITHIN_S:.0f} s"
    except OSError as problem:
        return problem.strerror or str(problem)
    writer.transport.abort()
    return None


async def check_topics(config: WorkerConfig) -> None:
    """See that the topics exist, and make those for letters where that is allowed. Raises PreflightFailed."""
    letters = config.letters()
    await topics.ensure(config.kafka(), [Topic(name=config.kafka_topic)], create=False)
    await topics.ensure(
        config.kafka(), [Topic(name=letters.dead), Topic(name=letters.parked)], create=config.kafka_create_topics
    )
