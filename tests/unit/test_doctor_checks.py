"""Each check: a cluster in order, one thing changed, one finding."""

import pytest

from gpuyard.platform.layers import Facts, examine
from gpuyard.platform.layers.checks import CHECKS
from tests import small_clouds as small
from tests.small_clouds import facts_of, named

YOUNG = "2025-12-31T23:55:00Z"


def labelled(objects, **labels):
    """Give every node labels; `_` in a key stands for what an identifier cannot hold."""
    for one in objects:
        if one["kind"] == "Node":
            one["metadata"]["labels"].update(labels)
    return objects


def label_of(objects, name, key, value):
    named(objects, name)["metadata"]["labels"][key] = value
    return objects


def without(objects, *names):
    return [one for one in objects if one["metadata"]["name"] not in names]


def offering_none(objects):
    for one in objects:
        if one["kind"] == "Node":
            one["status"]["allocatable"].pop("nvidia.com/gpu", None)
    return objects


def tainted(objects, **taint):
    for one in objects:
        if one["kind"] == "Node":
            one["spec"]["taints"].append({"effect": "NoSchedule", **taint})
    return objects


def policy(objects, **spec):
    next(one for one in objects if one["kind"] == "ClusterPolicy")["spec"].update(spec)
    return objects


def state(objects, value):
    next(one for one in objects if one["kind"] == "ClusterPolicy")["status"]["state"] = value
    return objects


QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "critical", "namespace": "gpu-operator"},
    "spec": {
        "scopeSelector": {
            "matchExpressions": [
                {
                    "scopeName": "PriorityClass",
                    "operator": "In",
                    "values": ["system-node-critical", "system-cluster-critical"],
                }
            ]
        }
    },
}
OPT_OUT = {"gke-no-default-nvidia-gpu-device-plugin": "true"}
OPERATORS_PLUGIN = small.deploys("device-plugin")
MONITOR = small.daemon_set(
    "gpu-monitor",
    "monitoring",
    "registry.example/monitor:1.0",
    container={"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]},
)
HOST_EXPORTER = small.daemon_set(
    "own-exporter",
    "monitoring",
    "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
    hostNetwork=True,
    tolerations=[{"operator": "Exists"}],
    container={"ports": [{"containerPort": 19400}]},
)
SLICE = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceSlice",
    "metadata": {"name": "dgx-0-gpus"},
    "spec": {"driver": "gpu.nvidia.com", "nodeName": "dgx-0"},
}


def operators_plugin_beside_gke():
    """The gpu-operator's plugin alone, let in beside Google's."""
    kept = {"nvidia-device-plugin-daemonset", "gpu-operator", "cluster-policy"}
    mine = [one for one in small.operator() if one["metadata"]["name"] in kept]
    return [*labelled(small.gke(), **OPERATORS_PLUGIN), *mine, QUOTA]


CASES = [
    pytest.param(
        operators_plugin_beside_gke,
        "LAYER-TWICE",
        "error",
        ["2 of 2 nodes (gke-a, gke-b) have 2 × device plugin: GKE", "gpu-operator 26.3.3"],
        "gke-no-default-nvidia-gpu-device-plugin=true",
        id="GKE's managed plugin beside the operator's",
    ),
    pytest.param(
        lambda: [
            *labelled(small.gke(), **small.deploys("driver")),
            *(
                one
                for one in small.operator()
                if one["metadata"]["name"] in {"nvidia-driver-daemonset", "cluster-policy"}
            ),
            QUOTA,
        ],
        "LAYER-TWICE",
        "error",
        ["2 × driver: GKE (DaemonSet kube-system/nvidia-gpu-device-plugin-small-cos)"],
        "gpu-driver-version=disabled",
        id="GKE's driver beside the operator's",
    ),
    pytest.param(
        lambda: [*small.bare_metal(), small.plugin_of_chart()],
        "LAYER-TWICE",
        "error",
        ["2 of 2 nodes", "gpu-operator 26.3.3", "Helm nvdp"],
        "set devicePlugin.enabled: false for the gpu-operator, or remove the other",
        id="the plugin's own chart beside the operator",
    ),
    pytest.param(
        lambda: [*without(small.eks(), "nvidia-device-plugin"), small.plugin_of_chart()],
        "LAYER-TWICE",
        "error",
        ["EKS Auto Mode and Helm nvdp"],
        "they bring their own",
        id="a plugin on nodes that have one built in",
    ),
    pytest.param(
        lambda: [*small.openshift(), small.nfd()],
        "LAYER-TWICE",
        "warning",
        ["2 × node features", "nfd-operator"],
        "keep one and remove the other",
        id="node feature discovery of two operators",
    ),
    pytest.param(
        lambda: [*small.aks(), HOST_EXPORTER],
        "EXPORTER-TWICE",
        "error",
        ["both want port 19400 of the node"],
        "keep one",
        id="an exporter on the port that AKS uses",
    ),
    pytest.param(
        lambda: [
            *small.gke(),
            small.daemon_set(
                "own-exporter",
                "monitoring",
                "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
                tolerations=small.TOLERATES_GPU,
            ),
        ],
        "EXPORTER-TWICE",
        "warning",
        ["gke-managed-system/dcgm-exporter", "counted twice"],
        "keep one",
        id="two exporters on ports of their pods",
    ),
    pytest.param(
        lambda: [*small.bare_metal(), SLICE],
        "PLUGIN-AND-DRA",
        "error",
        ["1 of 2 nodes (dgx-0)"],
        "gpus.enabled: false for the DRA driver",
        id="GPUs by plugin and by DRA",
    ),
    pytest.param(
        lambda: [
            *small.bare_metal(),
            small.deployment(
                "volcano-scheduler", "volcano-system", "volcanosh/vc-scheduler:v1.13.0"
            ),
            small.deployment(
                "kai-scheduler-default",
                "kai-scheduler",
                "ghcr.io/kai-scheduler/kai-scheduler/scheduler:v0.13.0",
            ),
        ],
        "SCHEDULER-TWICE",
        "info",
        ["KAI and Volcano both place pods"],
        "give each nodes of its own",
        id="two gang schedulers",
    ),
    pytest.param(
        lambda: policy(
            without(small.bare_metal(), "nvidia-dcgm-exporter"), dcgmExporter={"enabled": False}
        ),
        "LAYER-DISABLED",
        "warning",
        ["spec.dcgmExporter.enabled is false", "2 of 2 nodes", "no metrics"],
        "set dcgmExporter.enabled: true",
        id="an exporter that nobody provides",
    ),
    pytest.param(
        lambda: policy(
            offering_none(without(small.bare_metal(), "nvidia-device-plugin-daemonset")),
            devicePlugin={"enabled": False},
        ),
        "LAYER-DISABLED",
        "error",
        ["spec.devicePlugin.enabled is false", "they offer no GPU"],
        "set devicePlugin.enabled: true",
        id="a plugin that nobody provides",
    ),
    pytest.param(
        lambda: labelled(
            policy(
                without(small.bare_metal(), "nvidia-mig-manager"), migManager={"enabled": False}
            ),
            **{"nvidia.com/mig.config": "all-1g.10gb"},
        ),
        "LAYER-DISABLED",
        "error",
        ["nvidia.com/mig.config changes nothing"],
        "set migManager.enabled: true",
        id="a MIG label without a MIG manager",
    ),
    pytest.param(
        lambda: offering_none(labelled(small.gke(), **OPT_OUT)),
        "PLUGIN-MISSING",
        "error",
        ["nobody runs a device plugin on 2 of 2 nodes"],
        "remove the label gke-no-default-nvidia-gpu-device-plugin",
        id="opted out of GKE's plugin, and no other",
    ),
    pytest.param(
        lambda: offering_none(
            [one for one in small.eks() if one["metadata"]["name"] != "nvidia-device-plugin"]
            + [
                {
                    "apiVersion": "apps/v1",
                    "kind": "DaemonSet",
                    "metadata": {"name": "other", "namespace": "x"},
                }
            ]
        ),
        "PLUGIN-MISSING",
        "error",
        ["1 of 1 node (al2023)"],
        "the AL2023 image brings a driver and no plugin",
        id="EKS AL2023 without a plugin",
    ),
    pytest.param(
        lambda: tainted(
            [*small.gke(), small.plugin_of_chart("own", nodeSelector=OPT_OUT)], key="a"
        ),
        None,
        "",
        [],
        "",
        id="a taint that every layer tolerates",
    ),
    pytest.param(
        lambda: tainted(
            [one for one in small.rke2() if "worker" not in one["metadata"]["name"]],
            key="team",
            value="research",
        ),
        "TAINT-BARS",
        "error",
        ["taint team=research:NoSchedule keeps the device plugin out of 1 of 1 node"],
        "add key team with operator Exists to daemonsets.tolerations of the gpu-operator",
        id="a taint that the operator's DaemonSets do not tolerate",
    ),
    pytest.param(
        lambda: offering_none(small.bare_metal()),
        "OFFERS-NONE",
        "error",
        ["2 of 2 nodes (dgx-0, dgx-1) offer no GPU", "labels speak of 16 GPUs"],
        "read the log of DaemonSet gpu-operator/nvidia-device-plugin-daemonset on dgx-0",
        id="labels, a plugin, and no GPU",
    ),
    pytest.param(
        lambda: labelled(small.eks()[:1] + small.eks()[3:], **small.GFD),
        "LABELS-STALE",
        "info",
        ["carry nvidia.com/gpu.product and nobody here writes it"],
        "run GPU feature discovery there",
        id="labels of a discovery that is gone",
    ),
    pytest.param(
        lambda: label_of(
            small.bare_metal(), "dgx-1", "nvidia.com/cuda.driver-version.full", "570.158.01"
        ),
        "DRIVER-SPREAD",
        "warning",
        ["2 versions of the driver in one pool: 580.126.20 on 1, 570.158.01 on 1"],
        "bring the nodes to one version",
        id="two drivers in one pool",
    ),
    pytest.param(
        lambda: label_of(
            label_of(
                small.bare_metal(), "dgx-1", "nvidia.com/cuda.driver-version.full", "570.158.01"
            ),
            "dgx-1",
            "nvidia.com/gpu-driver-upgrade-state",
            "drain-required",
        ),
        "DRIVER-SPREAD",
        "info",
        ["1 node in the middle of an upgrade"],
        "wait until the upgrade is over",
        id="two drivers while an upgrade is under way",
    ),
    pytest.param(
        lambda: label_of(
            small.bare_metal(), "dgx-1", "nvidia.com/gpu-driver-upgrade-state", "upgrade-failed"
        ),
        "DRIVER-SPREAD",
        "error",
        ["the driver upgrade failed on 1 of 2 nodes (dgx-1)"],
        "read the driver's log",
        id="an upgrade that failed",
    ),
    pytest.param(
        lambda: labelled(
            small.bare_metal(),
            **{"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/mig.config.state": "failed"},
        ),
        "MIG-STATE",
        "error",
        ["the last MIG configuration failed on 2 of 2 nodes", "(wanted: all-1g.10gb)"],
        "read the MIG manager's log",
        id="a MIG configuration that failed",
    ),
    pytest.param(
        lambda: label_of(small.bare_metal(), "dgx-0", "nvidia.com/mig.config.state", "pending"),
        "MIG-STATE",
        "warning",
        ["not applied yet on 1 of 2 nodes (dgx-0)"],
        "wait",
        id="a MIG configuration that waits",
    ),
    pytest.param(
        lambda: state(small.bare_metal(), "notReady"),
        "POLICY-STATE",
        "warning",
        ["not ready"],
        "kubectl describe clusterpolicy",
        id="a ClusterPolicy that is not ready",
    ),
    pytest.param(
        lambda: [
            *small.bare_metal(),
            {
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "GPUCluster",
                "metadata": {"name": "gpu-cluster"},
            },
        ],
        "POLICY-STATE",
        "error",
        ["a ClusterPolicy and a GPUCluster"],
        "delete one",
        id="device plugins and DRA by one operator",
    ),
    pytest.param(
        lambda: labelled(small.bare_metal(), **{"network.nvidia.com/operator.mofed.wait": "true"}),
        "OFED-WAITS",
        "warning",
        ["not loaded on 2 of 2 nodes"],
        "mofed pod",
        id="the network's driver is not there",
    ),
    pytest.param(
        lambda: [*small.bare_metal(), MONITOR],
        "CDI-VARIABLE",
        "warning",
        ["container main sees GPUs by NVIDIA_VISIBLE_DEVICES"],
        "set runtimeClassName: nvidia",
        id="CDI, and a pod that asks by a variable",
    ),
    pytest.param(
        lambda: [*policy(small.bare_metal(), cdi={"enabled": False}), MONITOR],
        None,
        "",
        [],
        "",
        id="the same without CDI",
    ),
    pytest.param(
        lambda: [
            *small.gke(),
            *(
                one
                for one in small.operator()
                if one["metadata"]["name"] in {"gpu-feature-discovery", "cluster-policy"}
            ),
        ],
        "GKE-QUOTA",
        "error",
        ["priority class system-node-critical, and namespace gpu-operator has no ResourceQuota"],
        "create a ResourceQuota in gpu-operator",
        id="critical pods on GKE without a quota",
    ),
    pytest.param(
        lambda: [
            *small.gke(),
            QUOTA,
            *(
                one
                for one in small.operator()
                if one["metadata"]["name"] in {"gpu-feature-discovery", "cluster-policy"}
            ),
        ],
        None,
        "",
        [],
        "",
        id="critical pods on GKE with one",
    ),
]


@pytest.mark.parametrize(("make", "check", "severity", "fragments", "remedy"), CASES)
def test_a_contradiction_is_found(make, check, severity, fragments, remedy):
    findings = examine(facts_of(make())).findings
    if check is None:
        assert findings == []
        return
    mine = [one for one in findings if one.check == check]
    assert mine, [(one.check, one.message) for one in findings]
    text = "\n".join(one.message for one in mine)
    for fragment in fragments:
        assert fragment in text
    assert severity in {one.severity for one in mine}
    assert any(remedy in one.remedy for one in mine)
    others = {one.check for one in findings} - {check}
    assert others <= ALONG.get(check, set())


ALONG = {
    "PLUGIN-MISSING": {"OFFERS-NONE"},  # nodes of the same cluster that have a plugin built in
    "OFFERS-NONE": set(),
}
"""Checks that may have something to say of the same cluster."""


def test_every_check_has_a_case():
    asked = {case.values[1] for case in CASES} | {"LAYER-NOT-READY"}
    assert {check.id for check in CHECKS} == asked - {None}
    assert all(check.source and check.title for check in CHECKS)
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_what_is_not_ready_is_named_with_its_nodes():
    facts = facts_of(small.bare_metal())
    pods = [
        one
        for one in facts.listed["Pod"]
        if one["metadata"]["name"] != "nvidia-dcgm-exporter-dgx-1"
    ]
    crashing = named(pods, "nvidia-device-plugin-daemonset-dgx-0")
    crashing["status"]["conditions"] = []
    listed = {**facts.listed, "Pod": pods}
    found = examine(Facts(listed=listed, absent=facts.absent, now_ns=small.NOW_NS))
    assert [(one.check, one.severity, one.message) for one in found.findings] == [
        (
            "LAYER-NOT-READY",
            "warning",
            "the DCGM exporter is not ready on 1 of 2 nodes (dgx-1), 1 without a pod of it",
        ),
        (
            "LAYER-NOT-READY",
            "warning",
            "the device plugin is not ready on 1 of 2 nodes (dgx-0)",
        ),
    ]
    row = next(one for one in found.rows if one.layer == "device-plugin")
    assert (row.ready, row.desired) == (1, 2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, ["OFFERS-NONE"], id="old enough"),
        pytest.param({"creationTimestamp": YOUNG}, [], id="a node in its first minutes"),
        pytest.param({"creationTimestamp": "soon"}, ["OFFERS-NONE"], id="an age nobody can read"),
    ],
)
def test_a_node_in_its_first_minutes_is_left_alone(change, expected):
    objects = offering_none(small.bare_metal())
    for name in ("dgx-0", "dgx-1"):
        named(objects, name)["metadata"].update(change)
    assert [one.check for one in examine(facts_of(objects)).findings] == expected


def test_a_node_that_is_down_is_left_alone():
    objects = offering_none(small.bare_metal())
    for name in ("dgx-0", "dgx-1"):
        named(objects, name)["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    assert examine(facts_of(objects)).findings == []


def test_what_an_unknown_image_may_bring_is_not_called_missing():
    objects = policy(
        without(small.bare_metal(), "nvidia-driver-daemonset"), driver={"enabled": False}
    )
    assert examine(facts_of(objects)).findings == []  # the driver is on the nodes: GPUs are offered
