"""Any calls on any connection, opened or joined, in any order: bounded, and never an exception."""

import sys

import atheris

with atheris.instrument_imports():
    from collector.domain.observed import ChangeKind
    from tests.support.traffic import Wire

KINDS = tuple(kind for kind in ChangeKind if kind not in (ChangeKind.DESTROYED, ChangeKind.STANDING))
WORDS = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
)


def one(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    wire = Wire(client=given.ConsumeBool(), joined=given.ConsumeBool())
    for _ in range(12):
        if not given.remaining_bytes():
            break
        choice = given.ConsumeIntInRange(0, 9)
        if choice == 0:
            kind = KINDS[given.ConsumeIntInRange(0, len(KINDS) - 1)]
            wire.change(kind, reset=given.ConsumeBool(), shutdown=given.ConsumeIntInRange(0, 3))
            continue
        payload = WORDS[choice % len(WORDS)] if choice < 5 else given.ConsumeBytes(given.ConsumeIntInRange(0, 60))
        more = given.ConsumeIntInRange(0, 40) if choice == 9 else 0
        wire.move(given.ConsumeIntInRange(0, 1), payload, length=len(payload) + more)
    wire.core.finish(wire.now)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
