"""What rules say of a live cluster, and what they keep silent about because it was not seen."""

import json

import pytest

from gpuyard.dialects.documents import Position, unwritten
from gpuyard.lint import Settings, catalogue
from gpuyard.lint.cluster import Seen, background, examine_cluster
from gpuyard.lint.reports import Report, render
from gpuyard.lint.run import examine
from gpuyard.lint.texts import Text, read_texts
from gpuyard.lint.world import World

DEPLOYMENT, BUDGET = "apps/Deployment", "policy/PodDisruptionBudget"
RULE, UNTAINTED = "GPU-NO-PDB", "NODE-UNTAINTED"
ONLY_IN_FILES = {"", "kustomize.config.k8s.io/Kustomization"}  # no API server serves these
FORMS = ("table", "json", "sarif", "github", "junit", "markdown")


def llm(namespace, *, name="llm"):
    container = {
        "name": "server",
        "image": "registry.example/server:1.0",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
                },
            },
        },
    }


def budget(namespace, *, name="llm"):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def node(name):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": {"cpu": "96", "nvidia.com/gpu": "8"}},
    }


def seen(listed, **settings):
    return Seen(source="context test", listed=listed, **settings)


def rules_on(outcome, *only):
    """What was found, of the rule that these tests are about; others have their say elsewhere."""
    wanted = only or (RULE,)
    return sorted((one.rule, one.object) for one in outcome.findings if one.rule in wanted)


@pytest.mark.parametrize(
    ("settings", "budgets", "expected"),
    [
        pytest.param({}, [], ["a", "b"], id="all budgets were listed, and there are none"),
        pytest.param({}, ["a"], ["b"], id="one has its budget"),
        pytest.param(
            {"only_here": {BUDGET}, "namespace": "b"}, [], ["b"], id="budgets of b alone: not of a"
        ),
        pytest.param(
            {"only_here": {BUDGET}, "namespace": "b"}, ["b"], [], id="and b has its budget"
        ),
    ],
)
def test_what_is_missing_is_said_only_where_it_would_have_been_seen(settings, budgets, expected):
    listed = {DEPLOYMENT: [llm("a"), llm("b")], BUDGET: [budget(one) for one in budgets]}
    settings = {key: frozenset(v) if key == "only_here" else v for key, v in settings.items()}
    outcome = examine_cluster(seen(listed, **settings))
    assert rules_on(outcome) == [(RULE, f"Deployment {one}/llm") for one in expected]
    assert outcome.objects == 2 + len(budgets)


def test_a_kind_that_was_not_listed_or_is_not_served():
    unlisted = examine_cluster(seen({DEPLOYMENT: [llm("a")]}))
    assert rules_on(unlisted) == []
    unserved = examine_cluster(seen({DEPLOYMENT: [llm("a")]}, absent=frozenset({BUDGET})))
    assert rules_on(unserved) == [(RULE, "Deployment a/llm")]


def test_one_namespace_alone_is_reported_on():
    listed = {DEPLOYMENT: [llm("a"), llm("b")], BUDGET: []}
    outcome = examine_cluster(seen(listed, namespace="b"), is_whole=False)
    assert rules_on(outcome) == [(RULE, "Deployment b/llm")]
    assert outcome.objects == 1


def test_nodes_are_not_judged_where_most_pods_are_hidden():
    listed = {"Node": [node("gpu-0")], "Pod": []}
    assert rules_on(examine_cluster(seen(listed)), UNTAINTED) == [(UNTAINTED, "Node gpu-0")]
    half = seen(listed, only_here=frozenset({"Pod"}), namespace="a")
    assert half.blind_for == {"Node"}
    assert examine_cluster(half).findings == []
    assert background(half) == ([], frozenset())


def test_manifests_are_checked_against_what_was_seen_whole():
    texts = read_texts([Text("llm.yaml", json.dumps(llm("a")))]).documents
    for only_here, expected in ((frozenset(), []), (frozenset({BUDGET}), [])):
        given = seen({BUDGET: [budget("a")]}, only_here=only_here, namespace="b")
        beside, listed = background(given)
        outcome = examine(texts, background=beside, origin="cluster", listed=listed)
        assert rules_on(outcome) == expected
    beside, listed = background(seen({BUDGET: []}))
    outcome = examine(texts, background=beside, origin="cluster", listed=listed)
    assert rules_on(outcome) == [(RULE, "Deployment a/llm")]


def test_an_annotation_accepts_a_finding_in_a_cluster():
    value = llm("a")
    value["metadata"]["annotations"] = {f"ignore.gpuyard.io/{RULE}": "the test cluster"}
    outcome = examine_cluster(seen({DEPLOYMENT: [value], BUDGET: []}))
    assert (rules_on(outcome), outcome.suppressed) == ([], 1)


def test_settings_hold_for_a_cluster():
    listed = {DEPLOYMENT: [llm("a")], BUDGET: []}
    outcome = examine_cluster(seen(listed), settings=Settings(severities={RULE: "off"}))
    assert rules_on(outcome) == []


@pytest.mark.parametrize("form", FORMS)
def test_no_form_invents_a_line(form):
    outcome = examine_cluster(seen({DEPLOYMENT: [llm("a")], BUDGET: []}))
    report = Report(
        findings=outcome.findings,
        files=["context test"],
        objects=1,
        cluster="context test (https://10.0.0.1), seen at 12:34:56 in 0.1 s",
        rules=catalogue.rules(),
    )
    text = render(form, report)
    assert RULE in text
    for invented in ("0:0", "line=0", '"startLine"'):
        assert invented not in text
    if form in {"table", "github", "markdown"}:
        assert "seen at 12:34:56" in text


# --- Which kinds are asked for --------------------------------------------------------------------


class Asked(World):
    """A world that notes which kinds it was asked about."""

    asked: set[str]

    def __init__(self, *args, **settings):
        self.asked = set()
        super().__init__(*args, **settings)

    def knows(self, kind):
        self.asked.add(kind)
        return super().knows(kind)

    def of_kind(self, kind):
        self.asked.add(kind)
        return super().of_kind(kind)

    def named(self, kind, name, entry):
        if kind:
            self.asked.add(kind)
        return super().named(kind, name, entry)

    def cluster_wide(self, kind, name):
        self.asked.add(kind)
        return super().cluster_wide(kind, name)

    def selecting(self, kind, path, pod):
        self.asked.add(kind)
        return super().selecting(kind, path, pod)


def test_every_kind_that_a_rule_looks_up_is_asked_of_a_cluster(monkeypatch):
    worlds = []

    def noted(*args, **settings):
        worlds.append(Asked(*args, **settings))
        return worlds[-1]

    monkeypatch.setattr("gpuyard.lint.run.World", noted)
    for rule in catalogue.rules():
        for example in (rule.failing, rule.passing):
            given = read_texts([Text("example.yaml", example)])
            examine(given.documents, given.problems)
    asked = set().union(*(one.asked for one in worlds))
    assert "policy/PodDisruptionBudget" in asked
    assert asked - set(catalogue.kinds()) - ONLY_IN_FILES == set()


def test_no_secret_is_asked_for():
    assert {"Secret", "ServiceAccount"} & set(catalogue.kinds()) == set()


def test_workloads_of_every_ecosystem_are_asked_for():
    assert {
        "Pod",
        "apps/StatefulSet",
        "batch/Job",
        "batch.volcano.sh/Job",
        "ray.io/RayCluster",
    } <= (set(catalogue.kinds()))


def test_what_an_api_server_sent_has_no_place():
    (document,) = unwritten([llm("a")], "context test")
    assert document.position(("spec", "replicas")) == Position(0, 0)
    assert (document.source, document.title) == ("context test", "Deployment a/llm")
    assert document.suppressions == {}
