"""What the world knows, whom it finds, and what it does not claim."""

import json

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint.selecting import read_selector
from gpuyard.lint.values import values_in
from gpuyard.lint.world import Entry, World

BUDGET = "policy/PodDisruptionBudget"
SELECTOR = ("spec", "selector")


def entry_text(kind, name, namespace="", api="v1", **fields):
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": metadata, **fields})


def documents(*texts):
    return [one for text in texts for one in read(text, "a.yaml").documents]


def world(*texts, **settings):
    return World(documents(*texts), **settings)


@pytest.mark.parametrize(
    ("api", "kind", "expected"),
    [
        ("v1", "Service", "Service"),
        ("serving.knative.dev/v1", "Service", "serving.knative.dev/Service"),
        ("apps/v1", "Deployment", "apps/Deployment"),
        ("batch.volcano.sh/v1alpha1", "Job", "batch.volcano.sh/Job"),
    ],
)
def test_a_kind_carries_its_group_and_no_version(api, kind, expected):
    (entry,) = world(entry_text(kind, "a", api=api)).looked_at
    assert entry.kind == expected
    assert entry.title == f"{kind} a"


def test_what_is_no_object_has_no_kind():
    (entry,) = world("replicas: 1\n").looked_at
    assert (entry.kind, entry.title, entry.workload) == ("", "", None)


@pytest.mark.parametrize(
    ("settings", "knows", "shows_all"),
    [
        pytest.param({}, False, True, id="manifests are taken for all there is"),
        pytest.param({"origin": "cluster"}, False, False, id="of a cluster, what was not listed"),
        pytest.param({"origin": "cluster", "listed": [BUDGET]}, True, True, id="what was listed"),
    ],
)
def test_what_is_not_there(settings, knows, shows_all):
    here = world(entry_text("Service", "a"), **settings)
    assert (here.knows(BUDGET), here.shows_all(BUDGET)) == (knows, shows_all)
    assert here.knows("Service")
    assert here.shows_all("Service")


@pytest.mark.parametrize(
    ("own", "asked", "found"),
    [
        ("", "", True),
        ("a", "a", True),
        ("a", "b", False),
        ("", "b", True),
        ("a", "", True),
    ],
)
def test_an_object_without_a_namespace_goes_where_its_neighbours_go(own, asked, found):
    here = world(entry_text("Service", "s", own), entry_text("ConfigMap", "c", asked))
    near = here.of_kind("ConfigMap")[0]
    assert [one.name for one in here.beside("Service", near)] == (["s"] if found else [])
    assert (here.named("Service", "s", near) is not None) is found
    assert here.named("Service", "t", near) is None
    assert here.cluster_wide("Service", "s") is not None
    assert here.cluster_wide("Service", "t") is None


def test_an_object_in_the_background_gives_way_to_the_one_that_will_replace_it():
    old, new, other = (entry_text("Service", name, "a") for name in ("s", "s", "t"))
    here = World(documents(new), background=documents(old, other))
    assert [one.name for one in here.looked_at] == ["s"]
    assert [one.name for one in here.of_kind("Service")] == ["s", "t"]
    assert here.of_kind("Service")[0] is here.looked_at[0]


def test_the_owner_is_the_controller_that_was_given():
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": True}

    def pod(**fields):
        text = entry_text("Pod", "p", "a")
        return text.replace(
            '"namespace"', f'"ownerReferences": [{json.dumps(reference | fields)}], "namespace"'
        )

    owner = entry_text("ReplicaSet", "r", "a", api="apps/v1")
    here = world(pod(), owner)
    assert here.owner(here.looked_at[0]) is here.looked_at[1]
    for wrong in ({"controller": False}, {"name": "x"}, {"apiVersion": "v1"}, {"kind": "Job"}):
        there = world(pod(**wrong), owner)
        assert there.owner(there.looked_at[0]) is None


def test_a_deployment_is_known_as_owner_without_its_replica_sets():
    metadata = {
        "name": "llm-5d4c-x",
        "namespace": "a",
        "labels": {"pod-template-hash": "5d4c"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm-5d4c", "controller": True}
        ],
    }
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
    here = world(pod, entry_text("Deployment", "llm", "a", api="apps/v1"))
    assert here.owner(here.looked_at[0]) is here.looked_at[1]
    there = world(pod, entry_text("Deployment", "ll", "a", api="apps/v1"))
    assert there.owner(there.looked_at[0]) is None


def test_a_claim_is_looked_up_beside_its_pod():
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one"}]
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": 2}
    requests = [{"name": "gpu", "exactly": exactly}]
    here = world(
        entry_text("Pod", "p", "a", spec={"resourceClaims": claims}),
        entry_text(
            "ResourceClaimTemplate",
            "one",
            "a",
            api="resource.k8s.io/v1",
            spec={"spec": {"devices": {"requests": requests}}},
        ),
    )
    workload = here.looked_at[0].workload
    assert workload.asks_gpus
    assert workload.pods[0].gpus == 2
    assert here.entry(workload) is here.entry(workload.pods[0]) is here.looked_at[0]


# --- Selectors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        pytest.param({"matchLabels": {"app": "a"}}, True, id="labels"),
        pytest.param({"matchLabels": {"app": "b"}}, False, id="other labels"),
        pytest.param({"matchLabels": {"app": "a", "x": "y"}}, False, id="one label too many"),
        pytest.param({}, True, id="an empty selector selects everything"),
        pytest.param(None, False, id="none selects nothing"),
        pytest.param("app=a", False, id="a text selects nothing"),
        pytest.param({"matchLabels": ["a"]}, False, id="a wrong type selects nothing"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]},
            True,
            id="one of several values",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
            False,
            id="a label that must not be there",
        ),
        pytest.param({"app": "a"}, True, id="as a Service writes it"),
        pytest.param({"app": "b"}, False, id="a Service for others"),
    ],
)
def test_selecting(selector, selected):
    fields = {} if selector is None else {"selector": selector}
    here = world(
        entry_text("Pod", "p", spec={"containers": []}),
        entry_text("PodDisruptionBudget", "b", api="policy/v1", spec=fields),
    )
    pod = here.looked_at[0].workload.pods[0]
    pod.__dict__["labels"] = {"app": "a", "tier": "web"}
    names = [one.name for one in here.selecting(BUDGET, SELECTOR, pod)]
    assert names == (["b"] if selected else [])
    assert names == [one.name for one in here.selecting(BUDGET, SELECTOR, pod)]


def test_a_selector_in_another_namespace_selects_nothing_here():
    here = world(
        entry_text("Pod", "p", "a", spec={}),
        entry_text("PodDisruptionBudget", "b", "b", api="policy/v1", spec={"selector": {}}),
    )
    pod = here.looked_at[0].workload.pods[0]
    assert here.selecting(BUDGET, SELECTOR, pod) == []


def test_read_selector_keeps_every_condition():
    selector = read_selector({"matchLabels": {"a": "1"}, "matchExpressions": []})
    assert [(one.key, one.operator, one.values) for one in selector.requirements] == [
        ("a", "In", ("1",))
    ]


# --- Helm values --------------------------------------------------------------------------------

HELM_RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: gpu-operator}
spec:
  chart:
    spec: {chart: gpu-operator, version: v25.10.1}
  values:
    driver: {enabled: false}
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: gpu-operator}
spec:
  sources:
    - repoURL: https://charts.example
    - chart: gpu-operator
      targetRevision: v25.10.1
      helm:
        valuesObject:
          driver: {enabled: false}
"""


@pytest.mark.parametrize(
    ("text", "path", "chart", "version"),
    [
        pytest.param("driver: {enabled: false}\n", (), "", "", id="a file of their own"),
        pytest.param(
            HELM_RELEASE, ("spec", "values"), "gpu-operator", "v25.10.1", id="a HelmRelease"
        ),
        pytest.param(
            APPLICATION,
            ("spec", "sources", 1, "helm", "valuesObject"),
            "gpu-operator",
            "v25.10.1",
            id="one of several sources",
        ),
        pytest.param(
            APPLICATION.replace(
                "sources:\n    - repoURL: https://charts.example\n    -", "source:\n     "
            ),
            ("spec", "source", "helm", "valuesObject"),
            "gpu-operator",
            "v25.10.1",
            id="a single source",
        ),
    ],
)
def test_where_values_are(text, path, chart, version):
    (entry,) = map(Entry, documents(text))
    (values,) = values_in(entry)
    assert (values.path, values.chart, values.version) == (path, chart, version)
    assert values.entry is entry
    assert values.get("driver", "enabled") is False
    assert values.at("driver") == (*path, "driver")


@pytest.mark.parametrize(
    "text",
    [
        HELM_RELEASE.replace("  values:\n    driver: {enabled: false}\n", ""),
        HELM_RELEASE.replace("driver: {enabled: false}", "[1]"),
        APPLICATION.replace("valuesObject:\n          driver: {enabled: false}", "values: x"),
        APPLICATION.partition("spec:")[0] + "spec: 3\n",
        entry_text("Service", "s"),
    ],
)
def test_where_no_values_are(text):
    (entry,) = map(Entry, documents(text))
    assert list(values_in(entry)) == []


def test_what_many_ask_is_found_out_once():
    here = world(entry_text("Service", "a"))
    asked = []

    def names(of):
        asked.append(of)
        return [one.name for one in of.of_kind("Service")]

    assert here.once(names) is here.once(names)
    assert (here.once(names), asked) == (["a"], [here])
