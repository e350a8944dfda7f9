"""The tables behind the policies: paths and names are those of `dialects`, every kind is decided.

That an API server takes the expressions, and what it then says, is a contract test.
"""

import re

import pytest

from gpuyard.dialects.workloads import ROWS, gpu_resource, workload
from gpuyard.lint import Settings, catalogue
from gpuyard.lint.policies import cel, policies
from gpuyard.lint.policies.places import (
    COMPLETED_CLUSTER_WIDE,
    COMPLETED_ELSEWHERE,
    EACH_ITEM,
    EACH_VALUE,
    PLACES,
    plural,
)

KINDS = {(row.group, kind): row for row in PLACES for kind in row.kinds}
MADE_BY_KUEUE = ("kueue.x-k8s.io", "Workload")
ROLES = ("Launcher", "Worker")  # MPIJob knows only these

each_kind = pytest.mark.parametrize(("group", "kind"), sorted(KINDS), ids="/".join)


def built(group, kind, walk):
    """Return an object of the kind with a pod template at `walk`, and the path of its PodSpec."""
    template = {"spec": {"containers": []}}
    value, paths = template, [("spec",)]
    for step in reversed(walk):
        if step == EACH_ITEM:
            value, keys = [value, value], (0, 1)
        elif step == EACH_VALUE:
            value, keys = dict.fromkeys(ROLES, value), ROLES
        else:
            value, keys = {step: value}, (step,)
        paths = [(key, *path) for key in keys for path in paths]
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, **value}, paths


def test_every_kind_of_the_table_is_decided():
    decided = {*KINDS, *COMPLETED_ELSEWHERE, *COMPLETED_CLUSTER_WIDE, MADE_BY_KUEUE}
    assert decided == {row.key for row in ROWS}


@each_kind
def test_templates_lie_where_the_views_find_them(group, kind):
    for walk in KINDS[group, kind].templates:
        value, paths = built(group, kind, walk)
        found = workload(value)
        assert sorted(pod.spec_path for pod in found.pods) == sorted(paths)
        assert all(pod.is_complete for pod in found.pods)
        metadata = [(*path[:-1], "metadata") for path in paths]
        assert sorted(pod.metadata_path for pod in found.pods) == sorted(metadata)


@each_kind
def test_no_template_is_forgotten(group, kind):
    """An object with something at every path that any kind uses has a pod at each of its own."""
    everything = {}
    for row in PLACES:
        for walk in row.templates:
            if walk:
                merge(everything, built(row.group, "", walk)[0])
    everything |= {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind}
    found = {pod.spec_path for pod in workload(everything).pods}
    ours = {path for walk in KINDS[group, kind].templates for path in built(group, kind, walk)[1]}
    assert found <= ours


def merge(into, value):
    for key, each in value.items():
        if isinstance(each, dict) and isinstance(into.get(key), dict):
            merge(into[key], each)
        else:
            into.setdefault(key, each)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("CronJob", "cronjobs"),
        pytest.param("LeaderWorkerSet", "leaderworkersets"),
        pytest.param("InferenceService", "inferenceservices"),
    ],
)
def test_plural(kind, expected):
    assert plural(kind) == expected


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.com/gpu",
        "nvidia.com/gpu.shared",
        "nvidia.com/mig-1g.10gb",
        "nvidia.com/mig-1g.10gb.shared",
        "nvidia.com/vgpu",
        "nvidia.com/gpumem",
        "nvidia.com/a100.shared",
        "volcano.sh/vgpu-number",
        "volcano.sh/gpu-memory",
        "amd.com/gpu",
        "amd.com/cpx_nps4",
        "gpu.intel.com/i915",
        "habana.ai/gaudi",
        "google.com/tpu",
        "aws.amazon.com/neuroncore",
        "nvidia.com/hostdev",
        "rdma/hca_shared_devices_a",
        "amd.com/nic",
        "cpu",
        "example.com/nvidia.com/gpu",
    ],
)
def test_the_pattern_of_names_is_that_of_the_table(name):
    assert bool(re.search(cel.GPU_NAMES, name)) == (gpu_resource(name) is not None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a", "'a'", id="plain"),
        pytest.param(r"a\.b", r"r'a\.b'", id="a pattern keeps its backslashes"),
    ],
)
def test_a_literal(value, expected):
    assert cel.text(value) == expected


def test_a_literal_with_a_quote_is_refused():
    with pytest.raises(ValueError, match="has a quote"):
        cel.text("it's")


def made(**settings):
    return policies(catalogue.rules(), Settings(**settings))


def test_each_rule_with_cel_has_a_policy_and_a_binding():
    rules = [rule for rule in catalogue.rules() if rule.cel]
    assert rules
    names = [(one["kind"], one["metadata"]["name"]) for one in made()]
    assert names == [
        (kind, f"gpuyard-{rule.id.lower()}")
        for rule in rules
        for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    ]


def test_a_rule_that_is_off_has_none():
    assert "gpuyard-gpu-shm" in {one["metadata"]["name"] for one in made()}
    without = {one["metadata"]["name"] for one in made(severities={"GPU-SHM": "off"})}
    assert "gpuyard-gpu-shm" not in without


def test_policies_only_warn_and_fail_open():
    for one in made():
        spec = one["spec"]
        if one["kind"] == "ValidatingAdmissionPolicy":
            assert spec["failurePolicy"] == "Ignore"
            (validation,) = spec["validations"]
            assert "variables.spec." not in validation["expression"]
            assert "\n" not in validation["message"]
        else:
            assert spec["validationActions"] == ["Warn", "Audit"]


def test_kinds_that_a_rule_leaves_alone_are_not_asked_about():
    policy = next(one for one in made() if one["metadata"]["name"] == "gpuyard-gpu-shm")
    asked = {
        (rule["apiGroups"][0], name)
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for name in rule["resources"]
    }
    assert ("apps", "deployments") in asked
    assert ("ray.io", "rayclusters") not in asked
    (templates,) = [one for one in policy["spec"]["variables"] if one["name"] == "templates"]
    assert "rayClusterSpec.?headGroupSpec" not in templates["expression"].replace(
        "jobTemplate.?rayClusterSpec", ""
    )
