"""Problem details, RFC 9457."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was wrong with a request."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""  # the request's ID
