"""One small cluster per cloud: every layer is recognised, and nothing contradicts itself."""

import itertools

import pytest

from gpuyard.dialects.workloads import workload
from gpuyard.platform.layers import Facts, examine
from gpuyard.platform.layers.clouds import BUILT_IN, CLOUDS, cloud_of, pool_of
from gpuyard.platform.layers.installers import installer_of
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.signatures import SIGNATURES, parts_of
from gpuyard.platform.layers.words import LAYERS, NODE_LAYERS
from tests import small_clouds as small
from tests.small_clouds import facts_of


def table(diagnosis, pool):
    """{layer: (by, version, ready, desired)} of a pool, for layers that somebody provides."""
    return {
        row.layer: (row.by, row.version, row.ready, row.desired)
        for row in diagnosis.rows
        if row.pool == pool and row.by not in {"none", "nobody"}
    }


@pytest.mark.parametrize("name", small.CLOUDS)
def test_a_cluster_in_order_has_no_finding(name):
    diagnosis = examine(facts_of(small.CLOUDS[name]()))
    assert [(one.check, one.message) for one in diagnosis.findings] == []
    assert diagnosis.unseen == ()
    assert diagnosis.is_fine
    assert not diagnosis.is_blind


@pytest.mark.parametrize("name", small.CLOUDS)
def test_each_pool_has_a_row_for_each_layer(name):
    diagnosis = examine(facts_of(small.CLOUDS[name]()))
    for pool in diagnosis.pools:
        layers = [row.layer for row in diagnosis.rows if row.pool == pool.name]
        assert set(layers) == set(NODE_LAYERS)
        assert pool.cloud == name
    assert "queue" in {row.layer for row in diagnosis.rows if not row.pool}


ON_NODE = "on the node"
OPERATOR = "gpu-operator 26.3.3"
OLM = "gpu-operator 25.10.1"
OPERANDS = {
    "toolkit": ("1.19.1", 1, 1),
    "device-plugin": ("0.19.3", 1, 1),
    "labels": ("0.19.3", 1, 1),
    "exporter": ("4.5.3-4.8.2", 1, 1),
}


@pytest.mark.parametrize(
    ("name", "pool", "expected"),
    [
        pytest.param(
            "GKE",
            "a100",
            {
                "driver": ("GKE", "", 2, 2),
                "toolkit": (ON_NODE, "", None, None),
                "device-plugin": ("GKE", "", 2, 2),
                "exporter": ("GKE", "4.4.1-4.6.0", 2, 2),
            },
            id="GKE brings all but labels",
        ),
        pytest.param(
            "EKS",
            "al2023-h100",
            {
                "driver": (ON_NODE, "", None, None),
                "toolkit": (ON_NODE, "", None, None),
                "device-plugin": ("Helm nvdp", "0.20.0", 1, 1),
            },
            id="EKS AL2023: the image has a driver, the plugin is a chart",
        ),
        pytest.param(
            "EKS",
            "bottlerocket-l4",
            dict.fromkeys(
                ("driver", "toolkit", "device-plugin"), ("the Bottlerocket image", "", None, 1)
            ),
            id="EKS Bottlerocket: no DaemonSet shows it",
        ),
        pytest.param(
            "EKS",
            "auto-l40s",
            dict.fromkeys(("driver", "toolkit", "device-plugin"), ("EKS Auto Mode", "", None, 1)),
            id="EKS Auto Mode",
        ),
        pytest.param(
            "AKS",
            "managed",
            {
                "driver": ("AKS, managed GPU node", "", None, 1),
                "toolkit": (ON_NODE, "", None, None),
                "device-plugin": ("AKS, managed GPU node", "", None, 1),
                "exporter": ("AKS, managed GPU node", "", None, 1),
            },
            id="AKS managed GPU nodes",
        ),
        pytest.param(
            "AKS",
            "own",
            {
                "driver": (ON_NODE, "", None, None),
                "toolkit": (ON_NODE, "", None, None),
                "device-plugin": ("kubectl apply", "0.18.0", 1, 1),
            },
            id="AKS: the driver comes with the image, the plugin from a manifest",
        ),
        pytest.param(
            "OpenShift",
            "r760xa",
            {
                "driver": (OLM, "580.126.20", 1, 1),
                **{layer: (OLM, *rest) for layer, rest in OPERANDS.items()},
                "nfd": ("nfd-operator", "0.18.3", 1, 1),
            },
            id="OpenShift: the operator by OLM",
        ),
        pytest.param(
            "RKE2",
            "NVIDIA-H100-80GB-HBM3",
            {
                "driver": (ON_NODE, "580.126.20", None, None),
                **{layer: (OPERATOR, *rest) for layer, rest in OPERANDS.items()},
                "nfd": ("Helm gpu-operator", "0.18.3", 1, 1),
            },
            id="RKE2: all but the driver by the operator",
        ),
        pytest.param(
            "bare metal",
            "dgx-h100",
            {
                "driver": (OPERATOR, "580.126.20", 2, 2),
                **{layer: (OPERATOR, version, 2, 2) for layer, (version, *_) in OPERANDS.items()},
                "mig-manager": (OPERATOR, "0.14.2", 2, 2),
                "nfd": ("Helm gpu-operator", "0.18.3", 2, 2),
                "network": ("network-operator 26.4.0", "3.2.0-25.10-1.2.8.0", 2, 2),
            },
            id="bare metal: everything by operators",
        ),
    ],
)
def test_who_provides_what(name, pool, expected):
    assert table(examine(facts_of(small.CLOUDS[name]())), pool) == expected


def test_queues_are_a_matter_of_the_whole_cluster():
    diagnosis = examine(facts_of(small.rke2()))
    (row,) = [one for one in diagnosis.rows if one.layer == "queue"]
    assert (row.product, row.by, row.installer_version) == ("Kueue", "Helm kueue", "kueue 0.20.0")
    assert (row.version, row.ready, row.desired, row.pool) == ("0.20.0", 1, 1, "")


def test_a_node_without_gpus_is_in_no_pool():
    diagnosis = examine(facts_of(small.gke()))
    assert [node.name for pool in diagnosis.pools for node in pool.nodes] == ["gke-a", "gke-b"]
    assert diagnosis.node_count == 3


@pytest.mark.parametrize(
    ("labels", "settings", "expected"),
    [
        ({}, {}, ("bare metal", "GPU nodes")),
        ({}, {"providerID": "openstack:///1"}, ("self-managed", "GPU nodes")),
        ({"node.kubernetes.io/instance-type": "g5"}, {}, ("bare metal", "g5")),
        ({"nvidia.com/gpu.product": "NVIDIA-L4"}, {}, ("bare metal", "NVIDIA-L4")),
        ({"node.kubernetes.io/instance-type": "k3s"}, {"kubelet": "v1.35.1+k3s1"}, ("K3s", None)),
        ({"karpenter.sh/nodepool": "gpu"}, {"kubelet": "v1.35.1-eks-1"}, ("EKS", "gpu")),
        ({"karpenter.sh/nodepool": "gpu"}, {}, ("bare metal", "GPU nodes")),
        ({"kubernetes.azure.com/cluster": "c", "agentpool": "np"}, {}, ("AKS", "np")),
        (
            {"node.openshift.io/os_id": "rhcos", "eks.amazonaws.com/nodegroup": "a"},
            {},
            ("OpenShift", "GPU nodes"),
        ),
    ],
)
def test_whose_node_it_is(labels, settings, expected):
    node = GpuNode(small.node("n", labels=labels, **settings))
    cloud, pool = expected
    assert cloud_of(node) == cloud
    assert pool_of(node) == (pool or "GPU nodes")


def test_every_row_of_the_tables_names_its_source():
    assert all(row.source for row in (*CLOUDS, *BUILT_IN, *SIGNATURES))
    assert {layer for row in BUILT_IN for layer in row.layers} <= set(LAYERS)


LOOKS = [
    ("hami-device-plugin", "projecthami/hami:v2.7.0", {"device-plugin": "HAMi device plugin"}),
    ("hami-mock-device-plugin", "projecthami/hami:v2.7.0", {}),
    ("amdgpu", "docker.io/rocm/k8s-device-plugin:1.31", {"device-plugin": "AMD device plugin"}),
    (
        "plugin",
        "mirror:5000/x/k8s-device-plugin:v0.20.0",
        {"device-plugin": "NVIDIA device plugin"},
    ),
    ("nvidia-device-plugin-mps-control-daemon", "nvcr.io/nvidia/k8s-device-plugin:v0.20.0", {}),
    ("gpu-feature-discovery", "k8s-device-plugin:v1.0", {"labels": "GPU feature discovery"}),
    ("nvidia-gpu-driver-ubuntu24.04-6f5d", "nvcr.io/nvidia/driver", {"driver": "NVIDIA driver"}),
    ("efa", "eks/aws-efa-k8s-device-plugin:v0.5.8", {"network": "EFA device plugin"}),
    ("nccl-tcpx-installer", "gke.gcr.io/pause", {"network": "GKE NCCL installer"}),
    ("nvidia-dra-driver-kubelet-plugin", "x", {"dra-driver": "NVIDIA DRA driver"}),
    ("nvidia-operator-validator", "nvcr.io/nvidia/gpu-operator:v26.3.3", {}),
    ("nvidia-dcgm", "nvcr.io/nvidia/cloud-native/dcgm:4.5.2-1-ubuntu22.04", {}),
    ("web", "registry.example/k8s-device-plugin-docs:1.0", {}),
]


@pytest.mark.parametrize(("name", "image", "expected"), LOOKS)
def test_by_what_a_layer_is_recognised(name, image, expected):
    found = workload(small.daemon_set(name, "any", image))
    seen = {one.signature.layer: one.signature.product for one in parts_of(found, name)}
    assert seen == expected


INSTALLED = [
    ({}, ("unknown", "unknown")),
    ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}, ("cloud", "GKE")),
    ({"labels": {"kubernetes.azure.com/managedby": "aks"}}, ("cloud", "AKS")),
    (
        {"labels": {"olm.owner": "sriov-network-operator.v4.20.0"}},
        ("olm", "OLM sriov-network-operator 4.20.0"),
    ),
    (small.helm("nvdp", "nvidia-device-plugin-0.20.0"), ("helm", "Helm nvdp")),
    (
        {"annotations": {"argocd.argoproj.io/tracking-id": "gpu:apps/DaemonSet:a/b"}},
        ("gitops", "Argo CD gpu"),
    ),
    (
        {
            **small.helm("nvdp", "nvidia-device-plugin-0.20.0"),
            "labels": {"helm.toolkit.fluxcd.io/name": "nvdp"},
        },
        ("gitops", "Flux nvdp"),
    ),
    (
        {"annotations": {"objectset.rio.cattle.io/owner-name": "plugin"}},
        ("rancher", "RKE2/K3s add-on plugin"),
    ),
    (
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        ("manifest", "kubectl apply"),
    ),
]


@pytest.mark.parametrize(("traces", "expected"), INSTALLED)
def test_who_installed_it(traces, expected):
    value = small.daemon_set("plugin", "nvidia", "k8s-device-plugin:v0.20.0", **traces)
    found = installer_of(value, Facts(listed={}))
    assert (found.kind, found.text) == expected


@pytest.mark.parametrize(
    ("written_by", "expected"),
    [("eksctl", "eksctl"), ("kubectl-create", "kubectl"), ("Terraform", "unknown"), (3, "unknown")],
)
def test_who_wrote_its_fields_may_tell(written_by, expected):
    value = small.daemon_set("plugin", "nvidia", "k8s-device-plugin:v0.20.0")
    value["metadata"]["managedFields"] = [
        {"manager": "kubectl", "subresource": "status"},
        {"manager": written_by},
    ]
    assert installer_of(value, Facts(listed={})).name == expected


# --- What was not seen ----------------------------------------------------------------------------


def test_without_daemonsets_nothing_is_called_missing():
    facts = facts_of(small.bare_metal())
    listed = {kind: v for kind, v in facts.listed.items() if kind != "apps/DaemonSet"}
    diagnosis = examine(Facts(listed=listed, absent=facts.absent, now_ns=small.NOW_NS))
    assert diagnosis.unseen == ("apps/DaemonSet",)
    assert diagnosis.is_blind
    rows = [row for row in diagnosis.rows if row.pool]
    assert {row.by for row in rows} == {"not seen"}
    assert diagnosis.findings == []


def test_without_pods_readiness_is_not_guessed():
    facts = facts_of(small.bare_metal(), with_pods=False, absent=frozenset())
    diagnosis = examine(facts)
    (row,) = [one for one in diagnosis.rows if one.layer == "device-plugin"]
    assert (row.ready, row.desired) == (None, 2)
    assert [one.check for one in diagnosis.findings] == []
    assert "Pod" in diagnosis.unseen


def test_pods_of_one_namespace_tell_of_no_other():
    facts = facts_of(small.bare_metal(), ready=False, only_here=frozenset({"Pod"}))
    assert [one.check for one in examine(facts).findings] == []


def test_an_empty_cluster():
    diagnosis = examine(Facts(listed={"Node": [], "apps/DaemonSet": [], "Pod": []}))
    assert (diagnosis.pools, diagnosis.findings, diagnosis.node_count) == ([], [], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"apiVersion": "apps/v1", "kind": "DaemonSet"},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": [], "spec": "none"},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "x", "labels": None},
            "spec": {"template": {"spec": {"containers": [{"image": 1}], "nodeSelector": [1]}}},
        },
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": 3}, "status": {"capacity": 1}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": None, "status": []},
        {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "spec": [1], "status": "x"},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {}, "spec": {"scopeSelector": 2}},
    ],
)
def test_objects_of_a_wrong_form_do_no_harm(wrong):
    facts = facts_of([*small.bare_metal(), *small.gke()])
    before = examine(facts)
    facts.listed.setdefault(small.kind_of(wrong), []).append(wrong)
    after = examine(facts)
    assert (after.findings, after.rows) == (before.findings, before.rows)


def places(value, path=()):
    """Every place inside a value."""
    below = enumerate(value) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else below:
        yield (*path, key)
        yield from places(each, (*path, key))


def test_no_wrong_type_anywhere_stops_it():
    wrong = itertools.cycle([None, 1, "x", [], {}, True, [None], {"a": None}])
    facts = facts_of(small.rke2())
    for values in facts.listed.values():
        for value in values:
            for path in list(places(value)):
                *way, last = path
                inside = value
                for key in way:
                    inside = inside[key]
                kept, inside[last] = inside[last], next(wrong)
                assert examine(facts).node_count == 1
                inside[last] = kept
    assert examine(facts).is_fine
