"""Any bytes as a head, as chunks, as identifiers: a result or None, never an exception."""

import sys

import atheris

with atheris.instrument_imports():
    from collector.correlate.routes import RouteTable
    from collector.wire.chunked import ChunkedReader
    from collector.wire.head import HeadParser, head_end, is_request_line, may_be_request, may_be_response

PARSER = HeadParser()
ROUTES = RouteTable(limit=50)


def one(data: bytes) -> None:
    end = head_end(data)
    text = data[:end] if end >= 0 else data
    may_be_request(text)
    may_be_response(text)
    is_request_line(text)
    for truncated in (False, True):
        head = PARSER.request(text, truncated=truncated)
        if head is not None:
            ROUTES.route("s", ROUTES.target(head.target).path)
        PARSER.response(text, truncated=truncated)
    reader = ChunkedReader()
    assert 0 <= reader.read(data, 0) <= len(data)
    assert reader.left >= 0


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
