"""The application: it answers whatever comes, holds little, and counts what it did."""

import asyncio

import msgspec
import pytest

from gpuyard.lint import Settings
from gpuyard.web.admission import app as room
from gpuyard.web.admission.app import BODY_BYTES_MAX, HELD_BYTES_MAX, Webhook
from gpuyard.web.admission.log import Log
from gpuyard.web.admission.measures import Measures
from tests.admission_reviews import (
    RULE,
    answered,
    asked_of,
    deployment,
    review,
    without_shm,
)

ENDS_S = 1_900_000_000.0
SECRET = "hf_do_not_log_me"  # stands in the object and in the exception


class World:
    """A webhook whose log and readiness a test can see."""

    def __init__(self):
        self.lines = []
        self.reason = ""
        self.webhook = Webhook(
            Settings(),
            Measures(lambda: ENDS_S),
            Log(self.lines.append),
            lambda: self.reason,
        )
        self.app = self.webhook.app

    @property
    def said(self):
        return [msgspec.json.decode(line) for line in self.lines]

    def measure(self, name):
        _, text = asked_of(self.app, "/metrics", method="GET")
        lines = [line.rsplit(" ", 1) for line in text.decode().splitlines()]
        return {line[0]: float(line[1]) for line in lines if line[0].startswith(name)}


@pytest.fixture
def world():
    return World()


def test_three_paths_are_three_modes(world):
    warned = answered(world.app, "/admit", review(without_shm()))
    assert warned["allowed"]
    assert warned["warnings"][0].startswith(RULE)
    audited = answered(world.app, "/audit", review(without_shm()))
    assert audited["allowed"]
    assert "warnings" not in audited
    assert RULE in audited["auditAnnotations"]["findings"]
    refused = answered(world.app, "/enforce", review(without_shm()))
    assert not refused["allowed"]
    assert RULE in refused["status"]["message"]


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_body_may_come_in_parts(world, parts):
    body = msgspec.json.encode(review(without_shm()))
    status, answer = asked_of(world.app, "/admit", body, parts=parts)
    assert status == 200
    assert RULE in answer.decode()


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param(b"{}", 400, "this is no AdmissionReview of", id="another object"),
        pytest.param(b"", 400, "it is not JSON", id="nothing"),
        pytest.param(b" " * (BODY_BYTES_MAX + 1), 413, "at most 7 MiB", id="too large"),
    ],
)
def test_what_is_no_review(world, body, status, sentence):
    found, said = asked_of(world.app, "/enforce", body)
    assert found == status
    assert sentence in said.decode()
    assert said.count(b"\n") == 1
    assert world.measure("gpuyard_webhook_rejected_requests_total") == {
        f'gpuyard_webhook_rejected_requests_total{{status="{status}"}}': 1.0
    }


def test_bodies_that_are_held_at_once_are_bounded(world):
    """Slow senders wait side by side; who comes when all room is taken is told to come again."""
    statuses = []
    part = b" " * (BODY_BYTES_MAX - 1)
    senders = HELD_BYTES_MAX // len(part) + 1

    async def ask(go_on):
        parts = [{"type": "http.request", "body": part, "more_body": True}]

        async def receive():
            if parts:
                return parts.pop()
            await go_on.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/admit", "headers": []}
        await world.app(scope, receive, send)

    async def all_at_once():
        go_on = asyncio.Event()
        asking = [asyncio.ensure_future(ask(go_on)) for _ in range(senders)]
        await asyncio.sleep(0.1)
        go_on.set()
        await asyncio.gather(*asking)

    asyncio.run(all_at_once())
    told = sorted(status for status in statuses if status)
    assert told == [400] * (senders - 1) + [503]
    assert answered(world.app, "/admit", review(deployment()))["allowed"]


def test_our_own_failure_is_allowed_told_and_logged_without_a_text(world, monkeypatch):
    def broken(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(room, "judge", broken)
    value = deployment(annotations={"token": SECRET})
    answer = answered(world.app, "/enforce", review(value))
    assert answer["allowed"]
    said = "gpuyard checked nothing here: RuntimeError in gpuyard; please report it"
    assert answer["warnings"] == [said]
    (line,) = world.said
    assert (line["event"], line["error"]) == ("review-failed", "RuntimeError")
    assert line["where"].startswith("web/admission/app.py:")
    assert SECRET not in world.lines[0]
    key = 'gpuyard_webhook_reviews_total{mode="enforce",outcome="failed"}'
    assert world.measure("gpuyard_webhook_reviews_total") == {key: 1.0}


def test_a_refusal_is_logged_by_kind_and_rule(world):
    answered(world.app, "/enforce", review(without_shm(annotations={"token": SECRET})))
    (line,) = world.said
    told = {key: line[key] for key in ("level", "event", "kind", "namespace")}
    assert told == {
        "level": "info",
        "event": "refused",
        "kind": "Deployment",
        "namespace": "team",
    }
    assert RULE in line["rules"].split(",")
    assert SECRET not in world.lines[0]


def test_what_is_counted(world):
    for value in (without_shm(), without_shm(), None):
        answered(world.app, "/admit", review(value))
    reviews = world.measure("gpuyard_webhook_reviews_total")
    assert reviews == {
        'gpuyard_webhook_reviews_total{mode="warn",outcome="found"}': 2.0,
        'gpuyard_webhook_reviews_total{mode="warn",outcome="passed"}': 1.0,
    }
    findings = world.measure("gpuyard_webhook_findings_total")
    assert findings[f'gpuyard_webhook_findings_total{{rule="{RULE}"}}'] == 2.0
    seconds = world.measure("gpuyard_webhook_review_seconds_count")
    assert seconds == {"gpuyard_webhook_review_seconds_count": 3.0}
    ends = world.measure("gpuyard_webhook_certificate_not_after_seconds")
    assert ends == {"gpuyard_webhook_certificate_not_after_seconds": ENDS_S}


def test_alive_and_ready_are_two_questions(world):
    assert asked_of(world.app, "/readyz", method="GET") == (200, b"ok\n")
    world.reason = "stopping"
    assert asked_of(world.app, "/readyz", method="GET") == (503, b"stopping\n")
    assert asked_of(world.app, "/healthz", method="GET") == (200, b"ok\n")


def test_other_paths_and_methods(world):
    assert asked_of(world.app, "/", method="GET")[0] == 404
    assert asked_of(world.app, "/admit", method="GET")[0] == 405
