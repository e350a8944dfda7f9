"""Whatever an object contains: looking at it raises nothing, and every path leads somewhere."""

import json
from functools import cached_property

from hypothesis import given, settings, strategies as st

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ROWS, Workload, workload
from gpuyard.dialects.workloads.containers import ContainerView
from gpuyard.dialects.workloads.workload import PodView

# Keys that the views look for: random mappings of them reach far into every kind.
KEYS = st.sampled_from(
    [
        *["metadata", "spec", "template", "name", "labels", "annotations", "replicas", "suspend"],
        *["containers", "initContainers", "volumes", "volumeMounts", "mountPath", "env", "value"],
        *[
            "valueFrom",
            "resources",
            "limits",
            "requests",
            "claims",
            "nvidia.com/gpu",
            "amd.com/gpu",
        ],
        *["nvidia.com/mig-1g.10gb", "command", "args", "securityContext", "capabilities", "add"],
        *["restartPolicy", "resourceClaims", "resourceClaimTemplateName", "resourceClaimName"],
        *["jobTemplate", "parallelism", "completions", "replicatedJobs", "leaderWorkerTemplate"],
        *["leaderTemplate", "workerTemplate", "size", "podSets", "count", "minCount", "trainer"],
        *["numNodes", "resourcesPerNode", "pytorchReplicaSpecs", "mpiReplicaSpecs", "Worker"],
        *["Launcher", "Master", "headGroupSpec", "workerGroupSpecs", "numOfHosts", "minReplicas"],
        *[
            "rayClusterSpec",
            "rayClusterConfig",
            "tasks",
            "predictor",
            "model",
            "workerSpec",
            "worker",
        ],
        *["prefill", "scaling", "schedulerName", "schedulingGroup", "podGroupName", "runPolicy"],
        *["schedulingPolicy", "minAvailable", "kueue.x-k8s.io/queue-name", "devices", "exactly"],
        *["deviceClassName", "firstAvailable", "allocationMode", "scheduling", "gang"],
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "x", "1", "0.5", "1k", "--a b 'c", "Always", "gpu.nvidia.com", "kai-scheduler"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)
ROWS_OF_THE_TABLE = st.sampled_from(ROWS)


def look_at_everything(view):
    """Ask a view for every property it has, and return the answers by name."""
    answers = {}
    for kind in type(view).__mro__:
        for name, each in vars(kind).items():
            if isinstance(each, property | cached_property):
                answers[name] = getattr(view, name)
    return answers


def check(found):
    seen = look_at_everything(found)
    assert seen["pods_total"] is None or seen["pods_total"] >= 0
    assert seen["gpus_total"] is None or seen["gpus_total"] >= 0
    for mark in found.gang_marks:
        assert plain.get(found.value, *mark.path) is not None
    for pod in found.pods:
        look_at_everything(pod)
        assert pod.gpus >= pod.whole_gpus >= 0
        assert pod.count is None or pod.count >= 0
        assert isinstance(plain.get(found.value, *pod.path), dict)
        for container in pod.all_containers:
            look_at_everything(container)
            container.flag("--a")
            container.mount_of("/dev/shm")
            container.security("runAsUser")
            assert plain.get(found.value, *container.path) is container.value
            for ask in container.gpu_asks:
                assert plain.get(found.value, *ask.path) == ask.written
            for _, path in container.words:
                assert isinstance(plain.get(found.value, *path), str)
            for mount in container.mounts:
                assert isinstance(plain.get(found.value, *mount.path), dict)


@given(ROWS_OF_THE_TABLE, VALUES, VALUES, VALUES)
@settings(max_examples=400)
def test_any_object_of_any_kind(row, metadata, spec, template):
    version = f"{row.group}/v1" if row.group else "v1"
    value = {"apiVersion": version, "kind": row.kind, "metadata": metadata, "spec": spec}
    value["template"] = template
    before = json.dumps(value, sort_keys=True)
    found = workload(value, claims=lambda _kind, _name: {"spec": template})
    assert isinstance(found, Workload)
    check(found)
    assert json.dumps(value, sort_keys=True) == before


@given(VALUES)
@settings(max_examples=300)
def test_any_pod(spec):
    found = workload({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [spec, spec]}})
    check(found)


def test_the_properties_of_all_views_are_looked_at():
    """`look_at_everything` finds what it is there for."""
    found = workload({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}]}})
    (pod,) = found.pods
    assert isinstance(pod, PodView)
    assert isinstance(pod.containers[0], ContainerView)
    assert {"pods", "gang_marks", "gpus_total"} <= set(look_at_everything(found))
    assert {"devices", "claims", "restart_policy"} <= set(look_at_everything(pod))
    assert {"mounts", "variables", "words"} <= set(look_at_everything(pod.containers[0]))
