"""Rules about gangs, topology and queues, held to what their examples do not show."""

from collections import Counter

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint import examine
from gpuyard.lint.rules.gangs import flavors, leaders, missing, tiers, topology
from gpuyard.lint.rules.queues import admission, names

MODULES = (admission, flavors, leaders, missing, names, topology)
EXAMPLES = {rule.id: rule for module in MODULES for rule in module.RULES}
DEFAULT_QUEUE = (
    "---\n{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: default}}\n"
)


def messages(rule, text, **more):
    """Return what one rule says of a text."""
    documents, _ = read(text, "a.yaml")
    return [one.message for one in examine(documents, **more).findings if one.rule == rule]


def edited(text, old, new):
    """Return an example with a place changed that is there."""
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param("GANG-MISSING", "torchrun", "echo", id="pods for themselves"),
        pytest.param("GANG-MISSING", "parallelism: 2", "parallelism: 1", id="one pod"),
        pytest.param(
            "GANG-MISSING",
            "      subdomain:",
            "      schedulerName: volcano\n      subdomain:",
            id="a scheduler that groups pods",
        ),
        pytest.param(
            "GANG-MISSING",
            "      subdomain:",
            "      schedulerName: our-scheduler\n      subdomain:",
            id="a scheduler that we do not know",
        ),
        pytest.param(
            "GANG-MISSING",
            "      subdomain:",
            "      schedulingGroup: {podGroupName: train}\n      subdomain:",
            id="a pod group of Kubernetes",
        ),
        pytest.param("GANG-MPI-LAUNCHER", "WaitForWorkersReady", "AtStartup", id="at once"),
        pytest.param("GANG-MPI-LAUNCHER", "minAvailable: 3", "minAvailable: 1", id="smaller"),
        pytest.param("GANG-RAY-HEAD", "eplicas: 2", "eplicas: 1", id="one worker"),
        pytest.param(
            "GANG-RAY-HEAD",
            "spec:\n  headGroupSpec",
            "spec:\n  enableInTreeAutoscaling: true\n  headGroupSpec",
            id="workers come one by one on purpose",
        ),
        pytest.param("TOPOLOGY-FLAVOR", "kind: ResourceFlavor", "kind: Other", id="not given"),
        pytest.param("TOPOLOGY-FLAVOR", "kind: Topology", "kind: Other", id="no levels given"),
        pytest.param("TOPOLOGY-FLAVOR", "gce-topology-rack", "gce-topology-block", id="a level"),
        pytest.param("TOPOLOGY-REQUEST", "gce-topology-block", "pool", id="no tiers"),
        pytest.param("TOPOLOGY-REQUEST", "block: b1", "block: b0", id="one block"),
        pytest.param("TOPOLOGY-REQUEST", "parallelism: 2", "parallelism: 1", id="one pod"),
        pytest.param(
            "TOPOLOGY-REQUEST",
            "      subdomain:",
            "      nodeSelector: {cloud.google.com/gce-topology-block: b0}\n      subdomain:",
            id="selects its block",
        ),
        pytest.param("TOPOLOGY-LEVEL", 'nvidia.com/gpu: "8"', 'cpu: "8"', id="no GPU nodes"),
        pytest.param("TOPOLOGY-MIXED", "nvidia.com/leaf", "nvidia.com.example/leaf", id="others"),
        pytest.param("TOPOLOGY-SPREAD", "nodeName: gpu-2", "nodeName: gpu-1", id="one block"),
        pytest.param("TOPOLOGY-SPREAD", "nvidia.com/gpu: 1", "cpu: 1", id="pods without GPUs"),
        pytest.param(
            "QUEUE-RESOURCE", "kind: ClusterQueue", "kind: Other", id="its quota was not given"
        ),
        pytest.param("QUEUE-STOPPED", "stopPolicy: Hold", "stopPolicy: None", id="not stopped"),
        pytest.param("QUEUE-STOPPED", "nvidia.com/gpu", "cpu", id="a queue for CPUs"),
        pytest.param("QUEUE-INACTIVE", "stopPolicy: None", "stopPolicy: Hold", id="stopped"),
        pytest.param("QUEUE-STRICT", "nvidia.com/gpu", "cpu", id="a queue for CPUs"),
        pytest.param(
            "QUEUE-MISSING",
            "    app: train",
            "    kai.scheduler/queue: train",
            id="in a queue of another kind",
        ),
        pytest.param(
            "QUEUE-MISSING", "  name: train\n", "  name: train\n  namespace: a\n", id="elsewhere"
        ),
        pytest.param(
            "QUEUE-UNKNOWN", "  name: train\n", "  name: train\n  namespace: a\n", id="elsewhere"
        ),
        pytest.param("QUEUE-NO-CLUSTER-QUEUE", "kind: ClusterQueue", "kind: Other", id="unknown"),
    ],
)
def test_an_exception_is_left_alone(rule, old, new):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    assert messages(rule, edited(text, old, new)) == []


@pytest.mark.parametrize("rule", ["GANG-MISSING", "QUEUE-MISSING"])
def test_a_default_queue_takes_jobs_in(rule):
    assert messages(rule, EXAMPLES[rule].failing)
    assert messages(rule, EXAMPLES[rule].failing + DEFAULT_QUEUE) == []


def test_a_queue_that_was_given_twice_is_not_certain():
    text = EXAMPLES["QUEUE-RESOURCE"].failing
    queue = text[text.index("apiVersion: kueue.x-k8s.io/v1beta2\nkind: ClusterQueue") :]
    queue = queue[: queue.index("---\n")]
    assert messages("QUEUE-RESOURCE", text)
    assert messages("QUEUE-RESOURCE", f"{text}---\n{queue}") == []


def test_a_cluster_knows_that_a_namespace_has_no_queue():
    text = edited(
        EXAMPLES["QUEUE-UNKNOWN"].failing, "  name: train\n", "  name: train\n  namespace: team\n"
    )
    text = edited(text, "  name: research\n", "  name: research\n  namespace: other\n")
    assert messages("QUEUE-UNKNOWN", text) == []
    (message,) = messages("QUEUE-UNKNOWN", text, origin="cluster")
    assert message == "no LocalQueue reserch in the namespace; there is none"


def test_a_gang_without_a_number_counts_the_launcher():
    text = edited(EXAMPLES["GANG-MPI-LAUNCHER"].failing, "minAvailable: 3", "queue: q")
    (message,) = messages("GANG-MPI-LAUNCHER", text)
    assert message.startswith("the gang is 3, the default, with 2 workers")
    text = edited(text, "schedulingPolicy", "otherPolicy")
    assert messages("GANG-MPI-LAUNCHER", text) == []


def test_a_flavor_without_a_topology_meets_no_request():
    text = edited(EXAMPLES["TOPOLOGY-FLAVOR"].failing, "  topologyName: racks", "  nodeLabels: {}")
    (message,) = messages("TOPOLOGY-FLAVOR", text)
    assert message.endswith("cannot be met in ClusterQueue gpus: no topologyName in flavor h100")


@pytest.mark.parametrize(
    ("sizes", "nodes", "expected"),
    [({"a": 4, "b": 2}, 4, 1), ({"a": 4, "b": 2}, 5, 2), ({"a": 1, "b": 1, "c": 1}, 3, 3)],
)
def test_the_fewest_domains(sizes, nodes, expected):
    assert topology._fewest(Counter(sizes), nodes) == expected


def test_tiers_come_nearest_first():
    labels = [
        "topology.k8s.aws/network-node-layer-1",
        "topology.k8s.aws/network-node-layer-3",
        "kubernetes.io/hostname",
    ]
    assert tiers.tiers_of(labels) == [labels[1], labels[0]]
