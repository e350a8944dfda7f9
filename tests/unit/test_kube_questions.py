"""Discovery, rights, dry runs and gathering: what answers mean, without a server."""

import asyncio

import msgspec
import pytest

from gpuyard.kube.discovery.read import discover
from gpuyard.kube.discovery.served import Served
from gpuyard.kube.dry_run import warnings_in
from gpuyard.kube.errors import (
    AnswerError,
    ApiError,
    CredentialError,
    UnreachableError,
    did_you_mean,
)
from gpuyard.kube.gather import gather
from gpuyard.kube.resources import Resource
from gpuyard.kube.rights import Right, Rule, Rules, allows, missing_rights
from gpuyard.kube.together import together
from tests.scripted_transport import Said, Scripted, scripted_client

LEGACY = "application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def resource(plural, kind, *, group="", is_namespaced=True):
    return Resource(
        group=group,
        version="v1",
        kind=kind,
        plural=plural,
        is_namespaced=is_namespaced,
        verbs=frozenset({"list"}),
    )


PODS, NODES = resource("pods", "Pod"), resource("nodes", "Node", is_namespaced=False)


def json(value, status=200, **headers):
    return Said(status, msgspec.json.encode(value), **headers)


def refusal(status, message="no"):
    return json({"kind": "Status", "message": message}, status)


def answering(answers):
    """Return a client whose answers depend on the path and not on the order."""
    client, _ = scripted_client()
    client.transport = ByPath(answers)
    return client


class ByPath(Scripted):
    def __init__(self, by_path):
        super().__init__()
        self._by_path = by_path

    def open(self, request):
        self.answers = [self._by_path[request.path]]
        return super().open(request)


# --- Discovery ----------------------------------------------------------------------------------


def group(name, *versions):
    return {"metadata": {"name": name}, "versions": list(versions)}


def version(name, *resources, **more):
    return {"version": name, "resources": list(resources)} | more


def of_kind(plural, kind, **more):
    served = {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced"}
    return served | {"verbs": ["list"]} | more


def test_the_aggregated_form():
    core = group("", version("v1", of_kind("pods", "Pod", subresources=[{"subresource": "log"}])))
    batch = group("batch", version("v1", of_kind("jobs", "Job")), version("v1beta1"))
    only_parts = {"resource": "things", "subresources": [{"subresource": "scale"}]}
    odd = group("odd", version("v1", only_parts))
    down = group("metrics.k8s.io", version("v1beta1", freshness="Stale"))
    client = answering(
        {
            "/api": json({"items": [core]}, content_type=AGGREGATED),
            "/apis": json({"items": [batch, odd, down]}, content_type=AGGREGATED),
        }
    )
    served = asyncio.run(discover(client))
    assert served.find("", "Pod").subresources == {"log"}
    assert served.find("batch", "Job").is_namespaced
    assert served.find("batch", "Job", version="v1beta1") is None
    assert served.find_plural("batch", "jobs") is served.find("batch", "Job")
    assert served.versions("batch") == ("v1",)
    assert served.why_unknown("metrics.k8s.io") == "its server did not answer the API server"
    assert served.why_unknown("batch") == ""
    assert [one.kind for one in served.resources] == ["Pod", "Job"]


def legacy(*resources):
    return json({"resources": list(resources)}, content_type=LEGACY)


def test_the_legacy_form_keeps_the_preferred_version_first():
    groups = {
        "name": "autoscaling",
        "versions": [
            {"groupVersion": "autoscaling/v1", "version": "v1"},
            {"groupVersion": "autoscaling/v2", "version": "v2"},
        ],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
    }
    scaler = {"name": "hpas", "kind": "HPA", "namespaced": True, "verbs": ["list"]}
    client = answering(
        {
            "/api": json({"versions": ["v1"]}, content_type=LEGACY),
            "/apis": json({"groups": [groups]}, content_type=LEGACY),
            "/api/v1": legacy(
                {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]},
                {"name": "pods/log", "kind": "Pod"},
            ),
            "/apis/autoscaling/v1": legacy(scaler),
            "/apis/autoscaling/v2": legacy(scaler, {"name": "hpas/status", "kind": "HPA"}),
        }
    )
    served = asyncio.run(discover(client))
    assert served.find("autoscaling", "HPA").version == "v2"
    assert served.find("autoscaling", "HPA").subresources == {"status"}
    assert served.find("", "Pod").subresources == {"log"}


def test_one_form_here_and_the_other_there_is_asked_again():
    client, _ = scripted_client(
        json({"items": []}, content_type=AGGREGATED),
        json({"groups": []}, content_type=LEGACY),
        json({"versions": []}, content_type=LEGACY),
        json({"groups": []}, content_type=LEGACY),
    )
    assert asyncio.run(discover(client)) == Served(())
    accepted = [dict(one.headers)["Accept"] for one in client.transport.requests]
    assert accepted[2:] == [LEGACY, LEGACY]


def test_a_group_that_fails_is_unknown_and_all_of_them_an_error():
    parts = {
        "/api": json({"versions": ["v1"]}, content_type=LEGACY),
        "/apis": json(
            {"groups": [{"name": "x", "versions": [{"groupVersion": "x/v1", "version": "v1"}]}]},
            content_type=LEGACY,
        ),
        "/apis/x/v1": refusal(403, "not yours"),
    }
    served = asyncio.run(discover(answering(parts | {"/api/v1": legacy()})))
    assert "not yours" in served.why_unknown("x")
    with pytest.raises(AnswerError, match="none of 2 groups answered"):
        asyncio.run(discover(answering(parts | {"/api/v1": refusal(403)})))


# --- Rights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param((["list"], ["batch"], ["jobs"]), True, id="exactly"),
        pytest.param((["*"], ["*"], ["*"]), True, id="everything"),
        pytest.param((["get", "list"], ["", "batch"], ["jobs", "x"]), True, id="among others"),
        pytest.param((["get"], ["batch"], ["jobs"]), False, id="another verb"),
        pytest.param((["list"], [""], ["jobs"]), False, id="another group"),
        pytest.param((["list"], ["batch"], ["cronjobs"]), False, id="another resource"),
        pytest.param((["list"], ["batch"], ["jobs"], ["one"]), False, id="one object only"),
        pytest.param((["list"], ["batch"], ["*/status"]), False, id="parts only"),
        pytest.param((None, None, None), False, id="a rule about URLs"),
    ],
)
def test_what_a_rule_allows(rule, expected):
    rules = Rules([Rule(*rule)])
    assert allows(rules, Right("list", "batch", "jobs", "a")) is expected
    incomplete = Rules([Rule(*rule)], incomplete=True)
    assert allows(incomplete, Right("list", "batch", "jobs", "a")) is (expected or None)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (["pods/eviction"], True),
        (["*/eviction"], True),
        (["*"], True),
        (["pods"], False),
        (["pods/*"], False),
    ],
)
def test_a_right_on_a_part(resources, expected):
    rules = Rules([Rule(["create"], [""], resources)])
    assert allows(rules, Right("create", "", "pods/eviction", "a")) is expected


def test_what_cannot_be_enumerated_is_asked_one_by_one():
    rules = {"resourceRules": [], "incomplete": True}
    client, _ = scripted_client(
        json({"status": rules}), json({"status": {"allowed": True}}), json({"status": {}})
    )
    rights = [Right("list", "", "pods", "a"), Right("create", "", "pods/binding", "a")]
    assert asyncio.run(missing_rights(client, rights)) == (rights[0],)
    asked = [msgspec.json.decode(one.body) for one in client.transport.requests]
    assert asked[1]["spec"]["resourceAttributes"] == {
        "verb": "create",
        "group": "",
        "resource": "pods",
        "subresource": "binding",
        "namespace": "a",
    }


# --- Warnings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("", (), id="none"),
        pytest.param('299 - "old"', ("old",), id="one"),
        pytest.param('299 - "a, b", 299 - "c"', ("a, b", "c"), id="two, with a comma inside"),
        pytest.param(r'299 - "say \"x\" \\ y"', (r'say "x" \ y',), id="escaped"),
        pytest.param('199 - "other"', (), id="another code"),
        pytest.param('299 - "half', (), id="half of one"),
    ],
)
def test_warnings(header, expected):
    assert warnings_in(header) == expected


# --- Gathering ----------------------------------------------------------------------------------


def gathered(client, *kinds, **how):
    served = Served((PODS, NODES), {"metrics.k8s.io/v1": "it is down"})
    return asyncio.run(gather(client, served, kinds, dict, **how))


def test_one_kind_that_fails_costs_only_itself():
    heard = []
    client = answering(
        {
            "/api/v1/pods": json({"items": [{"metadata": {}}]}),
            "/api/v1/nodes": Said(200, b"<html>"),
        }
    )
    found = gathered(
        client,
        ("", "Pod"),
        ("", "Node"),
        ("metrics.k8s.io", "NodeMetrics"),
        ("", "Pod"),
        progress=lambda kind, count: heard.append((kind, count)),
    )
    assert found.of("", "Pod") == [{"metadata": {}, "apiVersion": "v1", "kind": "Pod"}]
    assert found.of("", "Node") == []
    assert heard == [(("", "Pod"), 1)]
    failed, unknown = found.unread
    assert (failed.kind, failed.why) == (("", "Node"), "failed")
    assert failed.sentence == "listing nodes: is not JSON that can be read"
    assert (unknown.why, unknown.sentence) == (
        "unknown",
        "NodeMetrics of metrics.k8s.io could not be looked up: it is down",
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(refusal(403), "forbidden", id="forbidden"),
        pytest.param(refusal(404), "not served", id="gone since"),
        pytest.param(refusal(400), "failed", id="refused otherwise"),
    ],
)
def test_why_a_kind_was_not_read(answer, why):
    (unread,) = gathered(answering({"/api/v1/nodes": answer}), ("", "Node")).unread
    assert unread.why == why


def test_a_namespace_of_ones_own_that_is_forbidden_too():
    client = answering({"/api/v1/pods": refusal(403), "/api/v1/namespaces/team/pods": refusal(403)})
    (unread,) = gathered(client, ("", "Pod"), own_namespace="team").unread
    assert (unread.why, unread.seen_in) == ("forbidden", "")
    assert unread.right == Right("list", "", "pods")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(CredentialError("no"), id="nobody believes us"),
        pytest.param(UnreachableError("no", fault="tls"), id="nobody is there"),
    ],
)
def test_what_holds_for_all_kinds_is_an_error(error):
    with pytest.raises(type(error)):
        gathered(answering({"/api/v1/nodes": error}), ("", "Node"))


def test_a_kind_whose_answer_breaks_off_is_only_unread():
    error = UnreachableError("broke off", fault="cut")
    client = answering({"/api/v1/nodes": error, "/api/v1/pods": json({"items": []})})
    found = gathered(client, ("", "Node"), ("", "Pod"))
    assert [one.why for one in found.unread] == ["failed"]
    assert ("", "Pod") in found.listed


# --- Small things -------------------------------------------------------------------------------


def test_together_keeps_order_and_its_limit():
    running, most = 0, 0

    def job(number):
        async def work():
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001 * (10 - number))
            running -= 1
            return number

        return work

    found = asyncio.run(together([job(number) for number in range(10)], at_once=3))
    assert (found, most) == (list(range(10)), 3)


def test_together_leaves_nobody_behind():
    ended = []

    async def fails():
        raise ApiError("no", status=500)

    async def waits():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def work():
        with pytest.raises(ApiError, match=r"^no$"):
            await together([waits, fails], at_once=2)

    asyncio.run(work())
    assert ended == [True]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("prd", ["prod", "dev"], "did you mean 'prod'? (dev, prod)"),
        ("zzz", ["prod", "dev"], "there are: dev, prod"),
        ("x", [], "there are none"),
        (
            "zzz",
            [f"c{number:02}" for number in range(15)],
            "there are: c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, and 3 more",
        ),
    ],
)
def test_did_you_mean(name, known, expected):
    assert did_you_mean(name, known) == expected
