"""Any bytes as a spool segment: no exception but the declared one; every frame that comes out is one that stands there."""

import contextlib
import sys

import atheris

with atheris.instrument_imports():
    from collector.audit.errors import SpoolFormatProblem
    from collector.audit.frames import HEADER_SIZE, Damage, Frame, FrameReader, decode_header, frames

KNOWN = [frames(seq, [b'{"started_at":"2026-11-21T07:00:00Z","kind":"exchange","n":%d}' % seq]) for seq in range(1, 9)]


def one(data: bytes) -> None:
    with contextlib.suppress(SpoolFormatProblem):
        decode_header(data)
    provider = atheris.FuzzedDataProvider(data)
    text = b""
    while provider.remaining_bytes():  # sound frames between anything
        text += provider.ConsumeBytes(provider.ConsumeIntInRange(0, 40))
        if provider.ConsumeBool():
            text += KNOWN[provider.ConsumeIntInRange(0, 7)]
    step = provider.ConsumeIntInRange(1, 4096)
    found = []
    reader = FrameReader()
    for at in range(0, len(text), step):
        found += reader.feed(text[at : at + step])
    found += reader.finish()
    at = HEADER_SIZE
    for record in found:
        match record:
            case Damage(offset=offset, size=size):
                assert offset == at
                assert size > 0
                at += size
            case Frame(seq=seq, payload=payload):
                again = frames(seq, [payload])
                assert text[at - HEADER_SIZE : at - HEADER_SIZE + len(again)] == again
                at += len(again)
    assert at == HEADER_SIZE + len(text)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
