"""The message that the worker accepts: one JSON object (docs/specs/pipeline-message.md)."""

import re
from typing import Annotated, Final, Literal

import msgspec

from pipeline.errors import RecordInvalid

ROUTE: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~-]+|\{[a-z_]{1,32}\}))+/?\Z")

BusinessId = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,128}\Z")]
Route = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Param = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to happen at the external API."""

    route: Route  # a template: /orders/{id}
    payload: msgspec.Raw = msgspec.Raw(b"null")
    id: BusinessId | None = None  # identifies the effect: the same ID is the same effect
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = "POST"
    params: dict[str, Param] = {}


_decoder: Final = msgspec.json.Decoder(Message)


def decode(value: bytes) -> Message:
    """Read and check a message. Raises RecordInvalid, with a reason from a closed list."""
    try:
        value.decode("utf-8")  # the payload is passed on as it is, so it is looked at as a whole
    except UnicodeDecodeError as problem:
        raise RecordInvalid("encoding", str(problem)) from problem
    try:
        message = _decoder.decode(value)
    except msgspec.ValidationError as problem:
        raise RecordInvalid("schema", str(problem)) from problem
    except (msgspec.DecodeError, RecursionError) as problem:
        raise RecordInvalid("not_json", str(problem)) from problem
    if not ROUTE.match(message.route):
        raise RecordInvalid("schema", "route is not a path template")
    return message
