"""Which topics there are, and new ones."""

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from pipeline.errors import PreflightFailed
from pipeline.kafka_settings import KafkaSettings


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic to be made."""

    name: str
    partitions: int = 1


async def ensure(settings: KafkaSettings, wanted: list[Topic], *, create: bool) -> None:
    """See that the topics exist, and make those that do not, where that is allowed. Raises PreflightFailed."""
    admin = AIOKafkaAdminClient(**settings.connection())
    try:
        await admin.start()
        there = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in there]
        problems = [f"topic {topic.name!r} does not exist" for topic in missing]
        if create and missing:
            problems = await _create(admin, missing, settings)
    except (KafkaError, OSError) as problem:
        raise PreflightFailed([f"kafka: {problem}"]) from problem
    finally:
        await admin.close()
    if problems:
        raise PreflightFailed(problems)


async def _create(admin: AIOKafkaAdminClient, missing: list[Topic], settings: KafkaSettings) -> list[str]:
    brokers = len((await admin.describe_cluster())["brokers"])
    limit = {"max.message.bytes": str(settings.max_record_bytes)}
    new = [NewTopic(topic.name, topic.partitions, 3 if brokers >= 3 else 1, topic_configs=limit) for topic in missing]
    answer = await admin.create_topics(new)
    errors = [(name, for_code(code)) for name, code, *_ in answer.topic_errors if code]
    return [
        f"topic {name!r} cannot be created: {error.__name__}"
        for name, error in errors
        if error is not TopicAlreadyExistsError
    ]
