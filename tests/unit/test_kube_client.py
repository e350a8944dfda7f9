"""Requests that arrive: what is sent again, after which pause, and what is said in the end."""

import asyncio

import msgspec
import pytest

from gpuyard.kube.errors import (
    AnswerError,
    ApiError,
    CredentialError,
    KubeError,
    UnreachableError,
)
from gpuyard.kube.retries import (
    CONNECT_TRIES_MAX,
    PAUSE_S_MAX,
    TRIES_MAX,
    Setback,
    may_pass,
    pause_s,
    retry_after_s,
)
from gpuyard.kube.transport import Request
from tests.scripted_transport import Said, scripted_client


def status(code, message="no", reason="", **details):
    return msgspec.json.encode(
        {"kind": "Status", "code": code, "message": message, "reason": reason, "details": details}
    )


def send(client, *, repeatable=True):
    request = Request(path="/x", repeatable=repeatable)
    return asyncio.run(client.send(request, doing="listing pods"))


def cut():
    return UnreachableError("https://api broke off", fault="cut")


# --- The table ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setback", "repeatable", "otherwise"),
    [
        pytest.param(Setback(status=429), True, True, id="429"),
        pytest.param(Setback(status=500), True, False, id="500"),
        pytest.param(Setback(status=502), True, False, id="502"),
        pytest.param(Setback(status=503), True, False, id="503"),
        pytest.param(Setback(status=503, retry_after_s=1), True, True, id="503 that says when"),
        pytest.param(Setback(status=504), True, False, id="504"),
        pytest.param(Setback(fault="connect"), True, True, id="nothing was sent"),
        pytest.param(Setback(fault="cut"), True, False, id="cut off"),
        pytest.param(Setback(fault="silent"), True, False, id="silence"),
        pytest.param(Setback(fault="tls"), False, False, id="TLS"),
        pytest.param(Setback(fault="proxy"), False, False, id="proxy"),
        pytest.param(Setback(status=403), False, False, id="403"),
        pytest.param(Setback(status=404), False, False, id="404"),
        pytest.param(Setback(status=409), False, False, id="409"),
        pytest.param(Setback(status=410), False, False, id="410"),
        pytest.param(Setback(status=501), False, False, id="501"),
        pytest.param(Setback(), False, False, id="anything else"),
    ],
)
def test_may_pass(setback, repeatable, otherwise):
    assert may_pass(setback, repeatable=True) is repeatable
    assert may_pass(setback, repeatable=False) is otherwise


@pytest.mark.parametrize(
    ("tries", "after", "chance", "expected"),
    [
        pytest.param(1, None, 0.0, 0.1, id="the first, at least half"),
        pytest.param(1, None, 1.0, 0.2, id="the first, at most whole"),
        pytest.param(2, None, 1.0, 0.4, id="doubled"),
        pytest.param(5, None, 1.0, 3.2, id="and again"),
        pytest.param(1, 7.0, 1.0, 7.2, id="as the server says, and a little"),
        pytest.param(1, 60.0, 0.0, 60.1, id="as long as we wait at most"),
        pytest.param(1, 61.0, 0.0, None, id="longer than that"),
        pytest.param(TRIES_MAX, None, 0.0, None, id="often enough"),
    ],
)
def test_pause(tries, after, chance, expected):
    setback = Setback(status=503, retry_after_s=after)
    found = pause_s(setback, tries, repeatable=True, chance=chance)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_pause_has_an_end():
    assert pause_s(Setback(status=429), 5, repeatable=True, chance=1.0) <= PAUSE_S_MAX
    assert pause_s(Setback(fault="connect"), CONNECT_TRIES_MAX, repeatable=True, chance=0) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("1", 1.0),
        (" 30 ", 30.0),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("9" * 400, 999999999.0),
    ],
)
def test_retry_after(header, expected):
    assert retry_after_s(header) == expected


# --- The client ---------------------------------------------------------------------------------


def test_a_whole_answer_is_one_try():
    client, pauses = scripted_client(Said(200, b"a", b"b", content_type="text/plain"))
    reply = send(client)
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, b"ab", "text/plain")
    assert pauses == []


def test_what_passes_is_sent_again():
    client, pauses = scripted_client(
        Said(429, status(429), retry_after="3"),
        Said(500, status(500)),
        cut(),
        Said(200, b"half", cut()),
        Said(200, b"whole"),
    )
    assert send(client).body == b"whole"
    assert pauses == pytest.approx([3.2, 0.4, 0.8, 1.6])
    assert len(client.transport.requests) == 5


def test_a_write_is_not_sent_twice_when_it_may_have_arrived():
    client, pauses = scripted_client(cut())
    with pytest.raises(UnreachableError, match=r"^listing pods: https://api broke off$"):
        send(client, repeatable=False)
    assert pauses == []


def test_a_write_that_the_server_did_not_look_at_is_sent_again():
    client, pauses = scripted_client(Said(429, status(429)), Said(201, b"done"))
    assert send(client, repeatable=False).body == b"done"
    assert len(pauses) == 1


def test_a_server_that_keeps_failing_is_quoted_with_the_number_of_tries():
    client, _ = scripted_client(*[Said(500, status(500, "etcd has no leader"))] * TRIES_MAX)
    with pytest.raises(ApiError) as caught:
        send(client)
    assert str(caught.value) == (
        f"listing pods, tried {TRIES_MAX} times: etcd has no leader; try again later, and if it"
        " stays look at the server's log"
    )
    assert caught.value.status == 500


def test_retry_after_may_stand_in_the_body():
    client, pauses = scripted_client(
        Said(503, status(503, retryAfterSeconds=5)), Said(200, b"done")
    )
    send(client)
    assert pauses == [pytest.approx(5.2)]


@pytest.mark.parametrize(
    ("code", "body", "said"),
    [
        pytest.param(
            403,
            status(403, 'pods is forbidden: User "a" cannot list'),
            'listing pods: pods is forbidden: User "a" cannot list; ask for this right',
            id="forbidden",
        ),
        pytest.param(404, status(404, "not found"), "listing pods: not found; check", id="404"),
        pytest.param(
            404,
            b"404 page not found",
            "listing pods: https://api answered 404 Not Found without saying why;"
            " is an API server behind this address?",
            id="not an API server",
        ),
        pytest.param(302, b"<html>", "https://api answered 302 Found without", id="a redirect"),
        pytest.param(499, b"\xff", "https://api answered 499 without saying why", id="bytes"),
        pytest.param(400, status(400, ""), "listing pods: 400 Bad Request; correct", id="no words"),
        pytest.param(
            422,
            status(422, "a\nb\x1b[31m" + "x" * 5000),
            "listing pods: a b[31m" + "x" * 993 + "…; correct the object",
            id="endless words with colours",
        ),
        pytest.param(418, b"[" * 100_000, "answered 418", id="nested too deeply"),
    ],
)
def test_a_refusal_in_one_sentence(code, body, said):
    client, pauses = scripted_client(Said(code, body))
    with pytest.raises(ApiError) as caught:
        send(client)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.status, pauses) == (code, [])


def test_an_answer_without_end_is_not_read_to_its_end():
    client, _ = scripted_client(Said(200, b"x" * 60, b"x" * 60), answer_bytes_max=100)
    with pytest.raises(AnswerError, match="more than 100 bytes; ask for less at once"):
        send(client)


def test_credentials_that_cannot_be_had_are_not_asked_for_twice():
    client, pauses = scripted_client(CredentialError("no token"))
    with pytest.raises(CredentialError, match=r"^listing pods: no token$"):
        send(client)
    assert pauses == []


class Thing(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b'{"name": 5}', "(Expected `str`, got `int` - at `$.name`)", id="type"),
        pytest.param(b"<html>", "is not JSON that can be read", id="no JSON"),
        pytest.param(b'{"name": "\xff"}', "is not JSON that can be read", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "", id="nested too deeply"),
    ],
)
def test_an_answer_of_another_form(body, said):
    client, _ = scripted_client(Said(200, body))
    with pytest.raises(AnswerError) as caught:
        asyncio.run(client.get("/x", Thing, doing="getting a thing"))
    assert str(caught.value).startswith("getting a thing: what https://api answered: ")
    assert said in str(caught.value)


def test_a_client_closes_its_transport():
    async def work():
        client, _ = scripted_client()
        async with client:
            pass
        return client.transport.is_closed

    assert asyncio.run(work())


def test_every_error_of_the_room_is_one_kind():
    for kind in (AnswerError, ApiError, CredentialError, UnreachableError):
        assert issubclass(kind, KubeError)
