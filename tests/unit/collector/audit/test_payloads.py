"""What may be archived of a body: text, redacted; the rest is counted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.payloads import PayloadLines, payload, redact
from collector.domain.audit import decode
from collector.domain.bodies import Bodies, Body
from tests.support.audit_events import connection, exchange

SECRET = "Xq7-geheim-42"


@pytest.mark.parametrize(
    "text",
    [
        '{"user":"ann","password":"%s","n":1}',
        '{"user":"ann","password" : "%s',
        '{"user":"ann","apiKey":"a\\"%s"}',
        '{"user":"ann","client_secret":%s}',
        '{"user":"ann","credentials":{"any":"%s"},"n":1}',
        '{"user":"ann","tokens":["%s"]}',
        '{"user":"ann","inner":"{\\"password\\":\\"%s\\"}"}',
        "user=ann&password=%s&n=1",
        "ann\r\npassword=%s",
        '{"user":"ann","inner":"{\\"password\\":\\"a,\\\\\\"%s\\"}"}',
        '{"user":"ann","inner":"{\\"tokens\\":[\\"%s',
        "user=ann&access_token=%s",
        "<user>ann</user><password>%s</password>",
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n%s\r\n--b ann',
        "user: ann\npassword: %s\n",
        'user = "ann"\npassword = "%s"\n',
        "ann Authorization: Bearer %s",
        "ann and Bearer %s",
    ],
)
def test_the_values_of_telling_names_are_not_kept(text):
    shown, count = redact(text % SECRET)
    assert "geheim" not in shown
    assert count >= 1
    assert "ann" in shown


@pytest.mark.parametrize("text", ["4111 1111 1111 1111", "4111111111111111", "eyJhbGciOi.eyJzdWIiOiI.abc-_"])
def test_card_numbers_and_web_tokens(text):
    assert redact(f'{{"note":"{text}"}}') == ('{"note":"*"}', 1)


def test_what_tells_nothing_stays():
    text = '{"order":17,"spanner":"x","shipping":"y","items":[{"name":"a"}],"company":"z","at":1795248000000}'
    assert redact(text) == (text.replace("1795248000000", "*"), 1)  # 13 digits may be a card's


def test_a_compressed_body_shows_nothing():
    assert payload(Body(b"\x1f\x8b\x08\0\0\0\0\0", chunked=False, whole=True)).text == ""
    assert payload(Body(b"\x1f\x8b\x08\xff\xfe\xfd", chunked=False, whole=True)).text == ""


def test_a_character_that_was_cut_goes():
    found = payload(Body("Größe"[:3].encode()[:-1], chunked=False, whole=False))
    assert (found.text, found.truncated, found.bytes) == ("Gr", True, 3)


@pytest.mark.parametrize(
    ("data", "text", "truncated"),
    [
        (b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", "abc", False),
        (b"2\r\nab\r\n5\r\ncd", "abcd", True),
        (b"2\r\nab\r\n", "ab", True),
        (b"zz\r\n", "", True),
    ],
)
def test_chunks(data, text, truncated):
    found = payload(Body(data, chunked=True, whole=True))
    assert (found.text, found.truncated, found.bytes) == (text, truncated, len(text))


def test_a_line_with_payloads_is_an_audit_event():
    bodies = Bodies(100)
    encode = PayloadLines(bodies)
    bodies.put("r-1", Body(b'{"token":"x"}', chunked=False, whole=True), None)
    lines = [encode(exchange(1)), encode(exchange(2)), encode(connection(3))]
    first, second, third = (
        b'{"audit_version":"1.0","writer":"00112233aabbccdd","audit_seq":1,' + one[1:] for one in lines
    )
    assert decode(first).head.sent_payload.text == '{"token":"*"}'
    assert decode(first).event == exchange(1)
    assert decode(first).head.received_payload is None
    assert b"payload" not in second + third
    assert json.loads(third)["kind"] == "connection"


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes(data, chunked, whole):
    found = payload(Body(data, chunked=chunked, whole=whole))
    assert found.bytes <= len(data)


def test_long_hostile_text_takes_no_time():
    for text in (
        '"' * 4096,
        "a" * 4096,
        '"password":' * 400,
        "-" * 4096,
        "name=" * 800,
        "1 " * 2048,
        "<card" * 800,
        '\\"' * 2048,
    ):
        redact(text)
