"""How clouds write labels and taints."""

import pytest

from tests.small_findings import findings, rules


def pod(spec):
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
        f"  {spec}\n  containers: [{{name: c, resources: {{limits: {{nvidia.com/gpu: 1}}}}}}]\n"
    )


def selecting(**labels):
    listed = ", ".join(f"{key}: {value!r}" for key, value in labels.items())
    return pod(f"nodeSelector: {{{listed}}}")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("cloud.google.com/gke-accelerator", "nvidia-h100", "nvidia-h100-80gb or nvidia-h100-mega"),
        ("cloud.google.com/gke-accelerator", "nvidia-tesla-l4", "nvidia-l4"),
        ("cloud.google.com/gke-accelerator", "NVIDIA-H100-80GB", "nvidia-h100-80gb"),
        ("cloud.google.com/gke-accelerator", "nvidia-h100-80gb", ""),
        ("cloud.google.com/gke-accelerator", "nvidia-tesla-a100", ""),
        ("cloud.google.com/gke-accelerator", "nvidia-h100-94gb", ""),
        ("cloud.google.com/gke-accelerator", "nvidia-rtx-pro-6000", ""),
        ("cloud.google.com/gke-spot", "yes", "true"),
        ("karpenter.sh/capacity-type", "ON_DEMAND", "spot or on-demand or reserved"),
        ("karpenter.sh/capacity-type", "spot", ""),
        ("eks.amazonaws.com/capacityType", "spot", "ON_DEMAND"),
        ("karpenter.k8s.aws/instance-gpu-name", "H100", "h100"),
        ("karpenter.k8s.aws/instance-gpu-name", "nvidia-l40s", "l40s"),
        ("karpenter.k8s.aws/instance-gpu-name", "l40s", ""),
        ("nvidia.com/gpu.product", "H100", "NVIDIA-H100"),
        ("nvidia.com/gpu.product", "nvidia-a100", "NVIDIA-A100"),
        ("nvidia.com/gpu.product", "T4", "Tesla-T4"),
        ("nvidia.com/gpu.product", "Tesla-T4", ""),
        ("nvidia.com/gpu.product", "NVIDIA-L4", ""),
        ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3-SHARED", ""),
        ("nvidia.com/gpu.product", "A100-SXM4-40GB", ""),
        ("team", "H100", ""),
    ],
)
def test_how_a_label_is_written(key, value, says):
    found = findings(selecting(**{key: value}), "CLOUD-LABEL")
    assert bool(found) == bool(says)
    assert all(says in message for _, _, message in found)


def test_values_of_an_affinity_are_read_too():
    terms = (
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
        "{nodeSelectorTerms: [{matchExpressions: [{key: karpenter.k8s.aws/instance-gpu-name, "
        "operator: In, values: [h100, H200]}]}]}}}"
    )
    ((_, _, message),) = findings(pod(terms), "CLOUD-LABEL")
    assert "'H200'" in message


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"cloud.google.com/gke-spot": "true", "eks.amazonaws.com/nodegroup": "g"}, 1),
        ({"karpenter.k8s.aws/instance-gpu-name": "h100", "eks.amazonaws.com/nodegroup": "g"}, 0),
        ({"cloud.google.com/gke-spot": "true", "topology.kubernetes.io/zone": "a"}, 0),
    ],
)
def test_labels_of_two_clouds(labels, expected):
    assert len(rules(selecting(**labels), "CLOUD-MIXED")) == expected


GKE = "cloud.google.com/gke-accelerator: nvidia-l4"
EKS = "karpenter.k8s.aws/instance-gpu-name: l4"
AKS = "kubernetes.azure.com/accelerator: nvidia"


@pytest.mark.parametrize(
    ("label", "toleration", "expected"),
    [
        (GKE, "key: nvidia.com/gpu, operator: Equal, value: 'true'", ["TOLERATION-VALUE"]),
        (GKE, "key: nvidia.com/gpu, operator: Equal, value: present", []),
        (GKE, "key: nvidia.com/gpu, operator: Exists", []),
        (GKE, "key: nvidia.com/gpu, effect: NoSchedule", ["TOLERATION-VALUE"]),
        (EKS, "key: nvidia.com/gpu, value: present", ["TOLERATION-VALUE"]),
        (EKS, "key: nvidia.com/gpu, value: 'true'", []),
        (AKS, "key: sku, operator: Equal, value: gpu, effect: NoSchedule", []),
        (AKS, "key: sku, operator: Equal, value: GPU", ["TOLERATION-VALUE"]),
        (AKS, "key: nvidia.com/gpu, operator: Exists", ["TOLERATION-KEY"]),
        ("team: a", "key: nvidia.com/gpu, value: 'true'", ["TOLERATION-VALUE"]),
        ("team: a", "key: team, value: a", []),
        ("team: a", "operator: Exists", []),
    ],
)
def test_tolerations(label, toleration, expected):
    text = pod(f"nodeSelector: {{{label}}}\n  tolerations: [{{{toleration}}}]")
    assert rules(text, "TOLERATION") == expected


def test_where_nodes_were_given_their_taints_decide():
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"
    text = pod("tolerations: [{key: nvidia.com/gpu, value: x}]")
    assert rules(text, "TOLERATION", background=node) == []
