"""Rules about NICs with RDMA, held to the exceptions that their examples do not show."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.dialects.workloads import workload
from gpuyard.lint import examine
from gpuyard.lint.rules.nodes.candidates import candidates
from gpuyard.lint.rules.rdma import (
    efa,
    gpudirect,
    locked_memory,
    nvlink_domains,
    offers,
    pcie_root,
    second_networks,
    upkeep,
)
from gpuyard.lint.rules.rdma.nics import Network, is_nic, read_networks
from gpuyard.lint.world import World

MODULES = (
    efa,
    gpudirect,
    locked_memory,
    nvlink_domains,
    offers,
    pcie_root,
    second_networks,
    upkeep,
)
SRIOV_NETWORK = (
    "{apiVersion: sriovnetwork.openshift.io/v1, kind: SriovNetwork, metadata: {name: rail-00}}\n"
)
EXAMPLES = {rule.id: rule for module in MODULES for rule in module.RULES}


def messages(rule, text):
    """Return what one rule says of a text."""
    documents, _ = read(text, "a.yaml")
    return [one.message for one in examine(documents).findings if one.rule == rule]


def edited(text, *changes):
    """Return an example with some of its places changed; each is there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("rdma/hca_shared_devices_a", True),
        ("rdma/ib", True),
        ("vpc.amazonaws.com/efa", True),
        ("nvidia.com/hostdev", True),
        ("nvidia.com/sriov_rdma_vf", True),
        ("openshift.io/mlnx_sriov_rdma", True),
        ("nvidia.com/gpu", False),
        ("nvidia.com/GA102GL_A10", False),
        ("intel.com/intel_sriov_dpdk", True),
        ("intel.com/cpu", False),
        ("cpu", False),
    ],
)
def test_the_usual_names_of_nics(resource, expected):
    assert is_nic(resource) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", []),
        ("a, ns/b@net2", [Network("a"), Network("b", "ns", "net2")]),
        (
            '[{"name": "a", "namespace": "ns"}, {"name": "b", "interface": "rdma0"}]',
            [Network("a", "ns"), Network("b", "", "rdma0")],
        ),
        ("[{", None),
        ('[{"no": "name"}]', None),
    ],
)
def test_both_dresses_of_the_networks_annotation(written, expected):
    assert read_networks(written) == expected


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        pytest.param(
            "RDMA-IPC-LOCK",
            ("      resources:", "      securityContext: {privileged: true}\n      resources:"),
            id="privileged containers have all capabilities",
        ),
        pytest.param(
            "RDMA-IPC-LOCK",
            (
                "      resources:",
                "      securityContext: {capabilities: {add: [CAP_IPC_LOCK]}}\n      resources:",
            ),
            id="a capability may be written with its prefix",
        ),
        pytest.param(
            "RDMA-IPC-LOCK",
            ("rdma/hca_shared_devices_a", "vpc.amazonaws.com/efa"),
            id="nodes with EFA raise the limit themselves",
        ),
        pytest.param(
            "RDMA-IPC-LOCK", ("nvidia.com/gpu: 1", "cpu: 1"), id="a pod without a GPU is not ours"
        ),
        pytest.param("RDMA-IPC-LOCK-INERT", ("runAsUser: 1000", "runAsUser: 0"), id="root"),
        pytest.param(
            "RDMA-IPC-LOCK-INERT",
            ("runAsUser: 1000", "privileged: true\n        runAsUser: 1000"),
            id="privileged",
        ),
        pytest.param(
            "RDMA-NETWORK-UNKNOWN",
            ("networks: rail-00", "networks: '[{\"name\": broken'"),
            id="an annotation that cannot be read is not ours",
        ),
        pytest.param(
            "RDMA-NETWORK-UNKNOWN",
            (
                "---\napiVersion: v1",
                f"---\n{SRIOV_NETWORK}---\napiVersion: v1",
            ),
            id="an operator makes the definition",
        ),
        pytest.param(
            "RDMA-NETWORK-COUNT",
            ("nvidia.com/hostdev: 1", "cpu: 1"),
            id="the injector may ask for the device",
        ),
        pytest.param(
            "RDMA-NETWORK-COUNT",
            ("nvidia.com/hostdev", "rdma/slots"),
            id="a slot serves any number of networks",
        ),
        pytest.param(
            "RDMA-NETWORK-COUNT",
            ("spec:\n  containers:", "spec:\n  resourceClaims: [{name: nics}]\n  containers:"),
            id="devices come by claim",
        ),
        pytest.param("EFA-INTERFACES", ("efa: 4", "efa: 32"), id="all of them"),
        pytest.param(
            "EFA-INTERFACES", ("nvidia.com/gpu: 8", "nvidia.com/gpu: 1"), id="one GPU of eight"
        ),
        pytest.param("EFA-INTERFACES", ("p5.48xlarge", "c5n.18xlarge"), id="an unknown instance"),
        pytest.param("EFA-PINNED", ("nvidia.com/gpu", "aws.amazon.com/neuron"), id="Neuron"),
        pytest.param("EFA-FORK-SAFE", ("vpc.amazonaws.com/efa", "rdma/a"), id="no EFA"),
        pytest.param("RDMA-RAILS", ("efa: 4", "efa: 32"), id="all rails"),
        pytest.param(
            "RDMA-RAILS", ('nvidia.com/gpu: "8"', 'nvidia.com/gpu: "16"'), id="half of the node"
        ),
        pytest.param(
            "RDMA-UNUSED",
            ("      restartPolicy:", "      hostNetwork: true\n      restartPolicy:"),
            id="the host's NICs are in sight",
        ),
        pytest.param("RDMA-UNUSED", ("efa", "vip"), id="nodes without NICs"),
        pytest.param(
            "RDMA-UNUSED", ('nvidia.com/gpu: "8"', 'nvidia.com/gpu: "16"'), id="both on one node"
        ),
        pytest.param(
            "RDMA-GPUDIRECT",
            ("    enabled: true", "    enabled: true\n    rdma: {enabled: true}"),
            id="nvidia-peermem is loaded",
        ),
        pytest.param(
            "RDMA-GPUDIRECT", ("    enabled: true", "    enabled: false"), id="the host's driver"
        ),
        pytest.param("RDMA-GPUDIRECT", ("NicClusterPolicy", "Other"), id="nobody has RDMA"),
        pytest.param("RDMA-PCIE-ROOT", ("dra.net", "net.example"), id="no NIC"),
        pytest.param(
            "RDMA-PCIE-ROOT",
            (
                "deviceClassName: gpu.nvidia.com",
                "deviceClassName: gpu.nvidia.com\n            count: 8",
            ),
            id="eight GPUs have no root in common",
        ),
        pytest.param(
            "RDMA-DRIVER-DRAIN", ("autoUpgrade: true", "autoUpgrade: false"), id="by hand"
        ),
        pytest.param(
            "RDMA-DRIVER-DRAIN",
            ("      drain:", "      waitForCompletion: {podSelector: app=train}\n      drain:"),
            id="waits for jobs",
        ),
        pytest.param("RDMA-MULTUS-MEMORY", ("nvidia.com/gpu", "cpu"), id="no GPUs in sight"),
        pytest.param("RDMA-MULTUS-MEMORY", ("memory: 50Mi", "memory: lots"), id="no quantity"),
        pytest.param("NVLINK-NO-DOMAIN", ("NVIDIA-GB200", "NVIDIA-H100"), id="no rack"),
        pytest.param("NVLINK-NO-DOMAIN", ("parallelism: 2", "parallelism: 1"), id="one node"),
        pytest.param(
            "NVLINK-NO-DOMAIN",
            (
                "          resources:",
                "          env: [{name: NVIDIA_IMEX_CHANNELS, value: '0'}]\n          resources:",
            ),
            id="channels by variable",
        ),
        pytest.param("NVLINK-DOMAIN-SIZE", ("numNodes: 4", "numNodes: 0"), id="waits for nobody"),
        pytest.param("NVLINK-DOMAIN-SIZE", ("name: train-channel", "name: other"), id="not his"),
    ],
)
def test_an_exception_is_left_alone(rule, change):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    if rule == "NVLINK-DOMAIN-SIZE" and "train-channel" in change[0]:
        text = text.replace(*change, 1)
    else:
        text = edited(text, change)
    assert messages(rule, text) == []


WEBHOOK = (
    "---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n"
    "metadata: {name: %s}\n"
)


@pytest.mark.parametrize(
    ("webhook", "expected"),
    [
        pytest.param("other", 1, id="nobody adds the request"),
        pytest.param("network-resources-injector-config", 0, id="the injector adds it"),
    ],
)
def test_a_network_whose_device_nobody_asks_for(webhook, expected):
    text = EXAMPLES["RDMA-NETWORK-COUNT"].failing.replace("nvidia.com/hostdev: 1", "cpu: 1")
    assert len(messages("RDMA-NETWORK-COUNT", text + WEBHOOK % webhook)) == expected


def test_the_injector_writes_into_the_first_container_only():
    text = edited(
        EXAMPLES["RDMA-NETWORK-COUNT"].failing,
        ("nvidia.com/hostdev: 1", "cpu: 1"),
        ("  containers:\n", "  containers:\n    - {name: log, image: registry.example/log:1}\n"),
    )
    text += WEBHOOK % "network-resources-injector-config"
    (message,) = messages("RDMA-NETWORK-COUNT", text)
    assert (
        message == "2 networks of resource nvidia.com/hostdev, but the containers ask for 0 of it"
    )


def test_a_user_of_the_pod_counts_for_its_containers():
    text = edited(
        EXAMPLES["RDMA-IPC-LOCK-INERT"].failing,
        ("        runAsUser: 1000 # <- here\n", ""),
        ("  containers:", "  securityContext: {runAsNonRoot: true}\n  containers:"),
    )
    (message,) = messages("RDMA-IPC-LOCK-INERT", text)
    assert "another user than root" in message


NODES = """\
{kind: Node, apiVersion: v1, metadata: {name: a, labels: {gpu: h100, slots: "8"}},
 status: {allocatable: {nvidia.com/gpu: "8"}}}
---
{kind: Node, apiVersion: v1, metadata: {name: b, labels: {gpu: a10}},
 status: {allocatable: {nvidia.com/gpu: "1"}}}
"""


def affinity(expression):
    terms = [{"matchExpressions": [expression]}]
    required = {"nodeSelectorTerms": terms}
    return {"affinity": {"nodeAffinity": {second(): required}}}


def second():
    return "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("spec", "gpus", "expected"),
    [
        pytest.param({}, 1, ["a", "b"], id="anywhere"),
        pytest.param({}, 8, ["a"], id="large enough"),
        pytest.param({"nodeSelector": {"gpu": "a10"}}, 1, ["b"], id="selected"),
        pytest.param({"nodeSelector": {"gpu": "b200"}}, 1, [], id="nowhere"),
        pytest.param(
            affinity({"key": "gpu", "operator": "NotIn", "values": ["a10"]}), 1, ["a"], id="affine"
        ),
        pytest.param(
            affinity({"key": "slots", "operator": "Gt", "values": ["4"]}), 1, ["a"], id="compared"
        ),
    ],
)
def test_the_nodes_on_which_a_pod_may_run(spec, gpus, expected):
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}}],
            **spec,
        },
    }
    world = World(read(NODES, "nodes.yaml").documents)
    (pod,) = workload(value).pods
    assert [node.name for node in candidates(pod, world)] == expected
