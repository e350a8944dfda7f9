"""GPU-SHM, GPU-LIMITS, GPU-NO-PDB and NODE-UNTAINTED beyond their two examples."""

import json

import pytest

from gpuyard.lint import Text, examine, read_texts
from gpuyard.lint.fix import mend
from tests.small_lint import only


def pod(*containers, kind="Pod", **spec):
    body = {"containers": list(containers), **spec}
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": body}
    return json.dumps(value, indent=1)


def container(name="c", limits=None, requests=None, **fields):
    resources = {"limits": limits or {}, **({"requests": requests} if requests else {})}
    return {"name": name, "image": "registry.example/trainer:1", "resources": resources, **fields}


def looked_at(contents):
    given = read_texts(Text(file, content) for file, content in contents.items())
    assert not given.problems
    return examine(
        given.documents, settings=only("GPU-SHM", "GPU-LIMITS", "GPU-NO-PDB", "NODE-UNTAINTED")
    )


def found(text, rule):
    return [one for one in looked_at({"a.json": text}).findings if one.rule == rule]


TWO = {"nvidia.com/gpu": 2}
MEMORY = {"name": "m", "emptyDir": {"medium": "Memory"}}
MOUNT = {"name": "m", "mountPath": "/dev/shm/"}


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        pytest.param(pod(container(limits=TWO)), True, id="two GPUs"),
        pytest.param(pod(container(limits={"nvidia.com/gpu": 1})), False, id="one GPU"),
        pytest.param(
            pod(container(limits={"nvidia.com/gpu": 1}), container("d", {"nvidia.com/gpu": 1})),
            False,
            id="one GPU in each of two containers",
        ),
        pytest.param(pod(container(limits={"amd.com/gpu": "8"})), True, id="another vendor"),
        pytest.param(
            pod(container(limits={"nvidia.com/mig-1g.10gb": 2})),
            False,
            id="MIG instances: NCCL has no path between them",
        ),
        pytest.param(
            pod(container(limits={"nvidia.com/gpu.shared": 2})), False, id="shares: MPS mounts it"
        ),
        pytest.param(pod(container(limits=TWO), hostIPC=True), False, id="the host's IPC"),
        pytest.param(
            pod(container(limits=TWO, volumeMounts=[MOUNT]), volumes=[MEMORY]),
            False,
            id="a volume in memory",
        ),
        pytest.param(
            pod(container(limits=TWO, volumeMounts=[MOUNT | {"mountPath": "/data"}])),
            True,
            id="another mount",
        ),
        pytest.param(
            pod(container(limits={"cpu": 1}), initContainers=[container("i", TWO)]),
            False,
            id="an init container",
        ),
    ],
)
def test_shared_memory(text, fires):
    assert bool(found(text, "GPU-SHM")) is fires


def test_ray_mounts_its_own():
    group = {"template": {"spec": {"containers": [container(limits=TWO)]}}}
    value = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {"headGroupSpec": group}}
    assert found(json.dumps(value), "GPU-SHM") == []


def test_two_containers_share_one_volume_after_the_fix():
    limits = {**TWO, "memory": "10Gi"}
    mended = mend({"a.json": pod(container("a", limits), container("b", limits))}, looked_at)
    spec = json.loads(mended.texts["a.json"])["spec"]
    assert spec["volumes"] == [
        {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "5Gi"}}
    ]
    mount = [{"name": "dshm", "mountPath": "/dev/shm"}]
    assert [one["volumeMounts"] for one in spec["containers"]] == [mount, mount]
    assert [one.rule for one in mended.done] == ["GPU-SHM", "GPU-SHM"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pod(container(limits=TWO)), id="no memory limit to take half of"),
        pytest.param(
            pod(container(limits={**TWO, "memory": "much"})), id="a limit that is no quantity"
        ),
        pytest.param(pod(container(limits={**TWO, "memory": "1Ki"})), id="a limit below 2 MiB"),
        pytest.param(
            pod(
                container(limits={**TWO, "memory": "1Gi"}),
                volumes=[{"name": "dshm", "hostPath": {"path": "/x"}}],
            ),
            id="a volume of that name that is something else",
        ),
    ],
)
def test_what_is_not_mended_without_a_decision(text):
    mended = mend({"a.json": text}, looked_at)
    assert (mended.texts, mended.refused) == ({}, [])
    assert [one.rule for one in mended.outcome.findings] == ["GPU-SHM"]


@pytest.mark.parametrize(
    ("limit", "request_", "message"),
    [
        pytest.param(1, None, None, id="a limit alone"),
        pytest.param(1, 1, None, id="both, equal"),
        pytest.param("1", 1, None, id="equal, one as a text"),
        pytest.param("2k", "2000", None, id="equal, written otherwise"),
        pytest.param(
            None, 1, "container c requests 1 of nvidia.com/gpu and sets no limit", id="no limit"
        ),
        pytest.param(
            2, 1, "container c requests 1 of nvidia.com/gpu, but its limit is 2", id="not equal"
        ),
        pytest.param(
            0.5,
            None,
            "container c asks for 0.5 of nvidia.com/gpu, which is no whole number of devices",
            id="half a GPU",
        ),
        pytest.param(
            "500m",
            None,
            "container c asks for '500m' of nvidia.com/gpu, which is no whole number of devices",
            id="thousandths",
        ),
        pytest.param(
            -1,
            None,
            "container c asks for -1 of nvidia.com/gpu, which is no whole number of devices",
            id="less than none",
        ),
        pytest.param(
            "one",
            None,
            "container c asks for 'one' of nvidia.com/gpu, which is no whole number of devices",
            id="no number",
        ),
        pytest.param(
            None,
            0.5,
            "container c asks for 0.5 of nvidia.com/gpu, which is no whole number of devices",
            id="half a GPU, requested",
        ),
    ],
)
def test_limits(limit, request_, message):
    limits = {} if limit is None else {"nvidia.com/gpu": limit}
    requests = {} if request_ is None else {"nvidia.com/gpu": request_}
    findings = found(pod(container(limits=limits, requests=requests)), "GPU-LIMITS")
    assert [one.message for one in findings] == ([] if message is None else [message])


def test_init_containers_are_held_to_the_same():
    text = pod(container(), initContainers=[container("i", requests={"amd.com/gpu": 1})])
    (finding,) = found(text, "GPU-LIMITS")
    assert finding.message == "container i requests 1 of amd.com/gpu and sets no limit"


# --- GPU-NO-PDB ---------------------------------------------------------------------------------


def server(kind="Deployment", namespace="a", labels=None, **spec):
    template = {
        "metadata": {"labels": labels or {"app": "llm"}},
        "spec": {"containers": [container(limits={"nvidia.com/gpu": 1})]},
    }
    value = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "llm", "namespace": namespace},
        "spec": {"replicas": 3, "template": template, **spec},
    }
    return json.dumps(value)


def scaler(kind, **bounds):
    api = {"HorizontalPodAutoscaler": "autoscaling/v2", "ScaledObject": "keda.sh/v1alpha1"}[kind]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    value = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "s", "namespace": "a"},
        "spec": {"scaleTargetRef": target, **bounds},
    }
    return json.dumps(value)


def budget(namespace="a", **selector):
    value = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": namespace},
        "spec": {"selector": selector},
    }
    return json.dumps(value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(
            [server()],
            "3 replicas with 1 GPU each, and no PodDisruptionBudget selects them",
            id="no budget at all",
        ),
        pytest.param(
            [server(), budget(matchLabels={"app": "x"}), budget(matchLabels={"app": "y"})],
            "3 replicas with 1 GPU each, and none of 2 PodDisruptionBudgets selects them",
            id="budgets for others",
        ),
        pytest.param(
            [server(), budget("b", matchLabels={"app": "llm"})],
            "3 replicas with 1 GPU each, and no PodDisruptionBudget selects them",
            id="a budget in another namespace",
        ),
        pytest.param([server(), budget(matchLabels={"app": "llm"})], None, id="its budget"),
        pytest.param([server(), budget()], None, id="a budget for all pods"),
        pytest.param([server(), budget("", matchLabels={"app": "llm"})], None, id="any namespace"),
        pytest.param([server(replicas=1)], None, id="one replica: a budget would block"),
        pytest.param([server(replicas=0)], None, id="scaled to zero"),
        pytest.param([server("StatefulSet")], "3 replicas", id="a StatefulSet"),
        pytest.param(
            [server(replicas=None), scaler("HorizontalPodAutoscaler", minReplicas=2)],
            "2 replicas",
            id="as many as its autoscaler keeps",
        ),
        pytest.param(
            [server(replicas=None), scaler("HorizontalPodAutoscaler", maxReplicas=4)],
            None,
            id="which is one by default",
        ),
        pytest.param(
            [server(), scaler("ScaledObject", maxReplicaCount=4)], None, id="and with KEDA none"
        ),
        pytest.param([server("DaemonSet")], None, id="drains do not evict a DaemonSet"),
    ],
)
def test_disruption_budget(texts, message):
    contents = {f"{number}.json": text for number, text in enumerate(texts)}
    messages = [one.message for one in looked_at(contents).findings if one.rule == "GPU-NO-PDB"]
    assert len(messages) == (message is not None)
    assert all(one.startswith(message) for one in messages)


# --- NODE-UNTAINTED -----------------------------------------------------------------------------


def node(name, gpus="8", *taints):
    value = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"taints": [{"key": "k", "effect": effect} for effect in taints]},
        "status": {"allocatable": {"cpu": "9", "nvidia.com/gpu": gpus}},
    }
    return json.dumps(value)


def guest(on, owner=None, limits=None):
    references = [{"apiVersion": "apps/v1", "kind": owner, "name": "d"}] if owner else []
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "g", "ownerReferences": references},
        "spec": {"nodeName": on, "containers": [container(limits=limits)]},
    }
    return json.dumps(value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(
            [node("a"), node("b", "8", "NoSchedule"), node("c", "8", "PreferNoSchedule")],
            "2 of 3 GPU nodes without a NoSchedule taint",
            id="two of three",
        ),
        pytest.param([node("a", "8", "NoExecute")], None, id="NoExecute keeps out as well"),
        pytest.param([node("a", "0")], None, id="a node without GPUs"),
        pytest.param([node("a", "many")], None, id="a number that is none"),
        pytest.param(
            [node("a"), guest("a"), guest("b"), guest("a", "DaemonSet"), guest("a", limits=TWO)],
            "1 of 1 GPU node without a NoSchedule taint; 1 pod without a GPU on them",
            id="guests are counted: not daemons, not GPU pods, not elsewhere",
        ),
    ],
)
def test_untainted(texts, message):
    contents = {f"{number}.json": text for number, text in enumerate(texts)}
    found_there = [one for one in looked_at(contents).findings if one.rule == "NODE-UNTAINTED"]
    assert [one.message for one in found_there] == ([message] if message else [])
    assert all(one.object == "Node a" for one in found_there)
