"""One small cluster per cloud, as its API server would list it: written from documented facts.

`CLOUDS` maps a name to a function that makes the objects; each is in order, so that a test shows a
contradiction by changing one thing.
"""

from collections import defaultdict

from gpuyard.platform.layers import KINDS, Facts
from gpuyard.platform.layers.components import components
from gpuyard.platform.layers.pools import gpu_nodes

NOW_NS = 1_767_225_600 * 10**9  # 2026-01-01
LONG_AGO = "2025-11-01T08:00:00Z"
READY = [{"type": "Ready", "status": "True"}]
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERATES_GPU = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
GFD = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    "nvidia.com/cuda.driver-version.full": "580.126.20",
}
OPERANDS = {
    "nvidia-driver-daemonset": ("driver", "nvcr.io/nvidia/driver:580.126.20-ubuntu24.04"),
    "nvidia-container-toolkit-daemonset": (
        "container-toolkit",
        "nvcr.io/nvidia/k8s/container-toolkit:v1.19.1",
    ),
    "nvidia-device-plugin-daemonset": (
        "device-plugin",
        "nvcr.io/nvidia/k8s-device-plugin:v0.19.3",
    ),
    "gpu-feature-discovery": (
        "gpu-feature-discovery",
        "nvcr.io/nvidia/k8s-device-plugin:v0.19.3",
    ),
    "nvidia-dcgm-exporter": (
        "dcgm-exporter",
        "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
    ),
    "nvidia-mig-manager": ("mig-manager", "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.14.2"),
    "nvidia-device-plugin-mps-control-daemon": (
        "device-plugin",
        "nvcr.io/nvidia/k8s-device-plugin:v0.19.3",
    ),
}
"""DaemonSets of the gpu-operator: by which label they choose nodes, and their image."""


def metadata(name, namespace="", **more):
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, **more}


def node(name, *, labels=None, gpus=8, taints=(), kubelet="v1.35.2", image="Ubuntu 24.04", **spec):
    resources = {"cpu": "96", "pods": "110"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata(name, labels=dict(labels or {}), creationTimestamp=LONG_AGO),
        "spec": {"taints": list(taints), **spec},
        "status": {
            "allocatable": resources,
            "capacity": dict(resources),
            "conditions": READY,
            "nodeInfo": {"kubeletVersion": kubelet, "osImage": image},
        },
    }


def daemon_set(name, namespace, image, *, labels=None, annotations=None, owner=None, **spec):
    container = {"name": "main", "image": image, **spec.pop("container", {})}
    owners = [owner | {"controller": True}] if owner else []
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(
            name,
            namespace,
            labels=labels or {},
            annotations=annotations or {},
            ownerReferences=owners,
        ),
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], **spec},
            },
        },
        "status": {},
    }


def deployment(name, namespace, image, *, labels=None, replicas=1):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, namespace, labels=labels or {}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "manager", "image": image}]},
            },
        },
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }


def pod(owner, on, *, ready=True):
    value, name = owner["metadata"], owner["metadata"]["name"]
    state = "True" if ready else "False"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(
            f"{name}-{on}",
            value["namespace"],
            ownerReferences=[{"kind": "DaemonSet", "name": name, "controller": True}],
        ),
        "spec": {"nodeName": on, "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": state}]},
    }


def helm(release, chart):
    return {
        "labels": {
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/instance": release,
            "helm.sh/chart": chart,
        },
        "annotations": {"meta.helm.sh/release-name": release},
    }


def deploys(*labels):
    """The labels by which the gpu-operator sends its operands to a node."""
    return {f"nvidia.com/gpu.deploy.{one}": "true" for one in labels}


ALL = deploys(*{label for label, _ in OPERANDS.values()} - {"mig-manager"})


def operator(*without, chart="gpu-operator-v26.3.3", namespace="gpu-operator", **policy):
    """The gpu-operator, its ClusterPolicy and its operands, but those that are switched off."""
    owner = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": "cluster-policy"}
    labels = {"helm.sh/chart": chart, "app.kubernetes.io/managed-by": "gpu-operator"}
    operands = [
        daemon_set(
            name,
            namespace,
            image,
            labels=labels,
            owner=owner,
            container={"command": ["gpu-feature-discovery"]}
            if name == "gpu-feature-discovery"
            else {},
            nodeSelector=deploys(label)
            | ({"nvidia.com/mps.capable": "true"} if "mps" in name else {}),
            tolerations=TOLERATES_GPU,
            priorityClassName="system-node-critical",
        )
        for name, (label, image) in OPERANDS.items()
        if name not in without
    ]
    spec = {"cdi": {"enabled": True}, "driver": {"enabled": True}, **policy}
    return [
        deployment(
            "gpu-operator",
            namespace,
            "nvcr.io/nvidia/gpu-operator:v26.3.3",
            labels=helm("gpu-operator", chart)["labels"],
        ),
        {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": metadata("cluster-policy"),
            "spec": spec,
            "status": {"state": "ready"},
        },
        *operands,
    ]


def nfd(namespace="gpu-operator", name="gpu-operator-node-feature-discovery-worker", **more):
    return daemon_set(
        name,
        namespace,
        "registry.k8s.io/nfd/node-feature-discovery:v0.18.3",
        container={"command": ["nfd-worker"]},
        tolerations=[{"operator": "Exists"}],
        **(more or helm("gpu-operator", "node-feature-discovery-0.18.3")),
    )


def gke():
    """Nodes whose driver, device plugin and exporter are Google's."""
    labels = {
        "cloud.google.com/gke-nodepool": "a100",
        "cloud.google.com/gke-accelerator": "nvidia-tesla-a100",
        "cloud.google.com/gke-accelerator-count": "8",
        "cloud.google.com/gke-gpu-driver-version": "default",
    }
    not_opted_out = [
        {
            "key": "gke-no-default-nvidia-gpu-device-plugin",
            "operator": "NotIn",
            "values": ["true"],
        },
        {"key": "cloud.google.com/gke-accelerator", "operator": "Exists"},
    ]
    addon = {"addonmanager.kubernetes.io/mode": "Reconcile"}
    kubelet = "v1.35.1-gke.1396000"
    plugin = daemon_set(
        "nvidia-gpu-device-plugin-small-cos",
        "kube-system",
        "gcr.io/gke-release/nvidia-gpu-device-plugin@sha256:" + "0" * 64,
        labels={"k8s-app": "nvidia-gpu-device-plugin", **addon},
        initContainers=[{"name": "nvidia-driver-installer", "image": "cos-nvidia-installer:fixed"}],
        affinity=node_affinity(not_opted_out),
        tolerations=[{"operator": "Exists"}],
        priorityClassName="system-node-critical",
    )
    exporter = daemon_set(
        "dcgm-exporter",
        "gke-managed-system",
        "gke.gcr.io/gke-dcgm-exporter:4.4.1-4.6.0-gke.17",
        labels=addon,
        container={"ports": [{"containerPort": 9400}]},
        affinity=node_affinity([{"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}]),
        tolerations=[{"operator": "Exists"}],
    )
    return [
        node("gke-a", labels=labels, taints=[GPU_TAINT], kubelet=kubelet),
        node("gke-b", labels=labels, taints=[GPU_TAINT], kubelet=kubelet),
        node("gke-cpu", labels={"cloud.google.com/gke-nodepool": "cpu"}, gpus=0, kubelet=kubelet),
        plugin,
        exporter,
    ]


def node_affinity(expressions):
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": expressions}]
            }
        }
    }


def plugin_of_chart(name="nvidia-device-plugin", namespace="nvidia", **more):
    return daemon_set(
        name,
        namespace,
        "nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
        tolerations=TOLERATES_GPU,
        **({**helm("nvdp", "nvidia-device-plugin-0.20.0"), **more}),
    )


def eks():
    """AL2023, Bottlerocket and Auto Mode side by side; the plugin is kept off the last two."""
    kubelet = "v1.35.1-eks-f69f56f"
    nodegroup = "eks.amazonaws.com/nodegroup"
    bottlerocket = {nodegroup: "bottlerocket-l4", "plugin": "built-in"}
    auto = {
        "karpenter.sh/nodepool": "auto-l40s",
        "eks.amazonaws.com/compute-type": "auto",
        "eks.amazonaws.com/instance-gpu-name": "l40s",
        "eks.amazonaws.com/instance-gpu-manufacturer": "nvidia",
        "plugin": "built-in",
    }
    return [
        node(
            "al2023",
            labels={nodegroup: "al2023-h100"},
            kubelet=kubelet,
            image="Amazon Linux 2023.9.20260105",
            providerID="aws:///us-east-1a/i-1",
        ),
        node(
            "bottlerocket",
            labels=bottlerocket,
            gpus=1,
            kubelet=kubelet,
            image="Bottlerocket OS 1.62.0 (aws-k8s-1.35-nvidia)",
        ),
        node(
            "auto",
            labels=auto,
            gpus=1,
            kubelet=kubelet,
            image="Bottlerocket (EKS Auto, Nvidia) 2026.4.23 (aws-k8s-1.35-nvidia)",
        ),
        plugin_of_chart(
            affinity=node_affinity([{"key": "plugin", "operator": "DoesNotExist"}]),
        ),
    ]


def aks():
    """One pool that AKS manages, and one with its driver alone and a plugin by kubectl."""
    cluster = {
        "kubernetes.azure.com/cluster": "MC_rg",
        "kubernetes.azure.com/accelerator": "nvidia",
    }
    managed = {
        **cluster,
        "kubernetes.azure.com/agentpool": "managed",
        "kubernetes.azure.com/dcgm-exporter": "enabled",
    }
    own = {**cluster, "kubernetes.azure.com/agentpool": "own"}
    plugin = daemon_set(
        "nvidia-device-plugin-daemonset",
        "gpu-resources",
        "nvcr.io/nvidia/k8s-device-plugin:v0.18.0",
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        nodeSelector={"kubernetes.azure.com/agentpool": "own"},
        tolerations=[{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}],
    )
    sku = {"key": "sku", "value": "gpu", "effect": "NoSchedule"}
    return [
        node("aks-managed", labels=managed, gpus=1),
        node("aks-own", labels=own, gpus=1, taints=[sku]),
        plugin,
    ]


def openshift():
    """The operator by OLM, node features by Red Hat's operator."""
    rhcos = "418.94.202601010000-0"
    labels = {
        **GFD,
        **ALL,
        "node.openshift.io/os_id": "rhcos",
        "node.kubernetes.io/instance-type": "r760xa",
        "feature.node.kubernetes.io/pci-10de.present": "true",
    }
    objects = operator("nvidia-driver-daemonset", namespace="nvidia-gpu-operator", chart="none")
    for one in objects:
        one["metadata"].get("labels", {}).pop("helm.sh/chart", None)
    objects[0]["metadata"]["labels"] = {
        "olm.owner": "gpu-operator-certified.v25.10.1",
        "operators.coreos.com/gpu-operator-certified.nvidia-gpu-operator": "",
    }
    owner = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": "gpu-cluster-policy"}
    return [
        node("ocp-0", labels=labels, image=f"Red Hat Enterprise Linux CoreOS {rhcos}"),
        daemon_set(
            f"nvidia-driver-daemonset-{rhcos}",
            "nvidia-gpu-operator",
            "nvcr.io/nvidia/driver@sha256:" + "1" * 64,
            owner=owner,
            nodeSelector=deploys("driver"),
            tolerations=TOLERATES_GPU,
        ),
        *objects,
        nfd(
            "openshift-nfd",
            "nfd-worker",
            owner={
                "apiVersion": "nfd.openshift.io/v1",
                "kind": "NodeFeatureDiscovery",
                "name": "n",
            },
        ),
    ]


def rke2():
    """The operator by Helm; the driver is on the nodes."""
    labels = {**GFD, **ALL, "node.kubernetes.io/instance-type": "rke2"}
    labels.pop("nvidia.com/gpu.deploy.driver")
    kubelet = "v1.35.1+rke2r1"
    return [
        node("rke2-0", labels=labels, kubelet=kubelet, image="SUSE Linux Enterprise Server 15 SP7"),
        *operator("nvidia-driver-daemonset", driver={"enabled": False}),
        nfd(),
        deployment(
            "kueue-controller-manager",
            "kueue-system",
            "registry.k8s.io/kueue/kueue:v0.20.0",
            labels=helm("kueue", "kueue-0.20.0")["labels"],
        ),
    ]


def bare_metal():
    """Everything by the gpu-operator's chart, RDMA by the network operator."""
    labels = {
        **GFD,
        **ALL,
        **deploys("mig-manager"),
        "node.kubernetes.io/instance-type": "dgx-h100",
    }
    network = {"apiVersion": "mellanox.com/v1alpha1", "kind": "NicClusterPolicy", "name": "n"}
    return [
        node("dgx-0", labels=labels),
        node("dgx-1", labels=labels),
        *operator(),
        nfd(),
        deployment(
            "network-operator",
            "nvidia-network-operator",
            "nvcr.io/nvidia/cloud-native/network-operator:v26.4.0",
            labels=helm("network-operator", "network-operator-26.4.0")["labels"],
        ),
        daemon_set(
            "mofed-ubuntu24.04-5d4c8f-ds",
            "nvidia-network-operator",
            "nvcr.io/nvidia/mellanox/doca-driver:doca3.2.0-25.10-1.2.8.0-0",
            owner=network,
            tolerations=TOLERATES_GPU,
        ),
    ]


CLOUDS = {
    "GKE": gke,
    "EKS": eks,
    "AKS": aks,
    "OpenShift": openshift,
    "RKE2": rke2,
    "bare metal": bare_metal,
}


def kind_of(value):
    group = value["apiVersion"].rpartition("/")[0]
    return f"{group}/{value['kind']}" if group else value["kind"]


def by_kind(objects):
    listed = defaultdict(list)
    for one in objects:
        listed[kind_of(one)].append(one)
    return dict(listed)


def named(objects, name):
    return next(one for one in objects if one["metadata"]["name"] == name)


def facts_of(objects, *, with_pods=True, ready=True, **settings):
    """The facts of a cluster that was listed whole; each DaemonSet runs where it may."""
    listed = by_kind(objects)
    bare = Facts(listed=listed)
    reach = {one.title: one.reach for one in components(bare, gpu_nodes(bare))}
    if with_pods:
        listed["Pod"] = [
            pod(one, name, ready=ready)
            for one in listed.get("apps/DaemonSet", ())
            for name in sorted(reach.get(title(one), ()))
        ]
    settings.setdefault("absent", frozenset(KINDS) - listed.keys())
    return Facts(listed=listed, now_ns=NOW_NS, **settings)


def title(value):
    return f"{value['kind']} {value['metadata']['namespace']}/{value['metadata']['name']}"
