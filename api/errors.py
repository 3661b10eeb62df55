"""What can be wrong with a request: each becomes a problem document (RFC 9457)."""


class ApiProblem(Exception):  # it is the problem of RFC 9457
    """A request that cannot be served; `type_` is the fragment of its page in docs/reference/rest.md."""

    def __init__(
        self, status: int, type_: str, title: str, detail: str = "", *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.type = type_
        self.title = title
        self.detail = detail
        self.headers = headers or {}


class ClientStalled(Exception):  # says what happened
    """A client did not read on in the middle of an answer: it is let go."""


def bad_parameter(name: str, detail: str) -> ApiProblem:
    """Return the problem of a query parameter that does not fit."""
    return ApiProblem(400, "bad-parameter", "A query parameter is not valid", f"{name}: {detail}")


def unavailable(type_: str, title: str, detail: str = "") -> ApiProblem:
    """Return the problem of a part that is not there now."""
    return ApiProblem(503, type_, title, detail)
