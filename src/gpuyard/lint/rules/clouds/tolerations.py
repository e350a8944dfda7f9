"""Tolerations that match the taint of one cloud, and not of the next.

GKE taints its GPU nodes ``nvidia.com/gpu=present`` and lets pods that ask for GPUs in by itself.
Elsewhere nobody taints unless told: examples for Karpenter and EKS use the value ``true``, AKS'
documentation uses ``sku=gpu``, and on OpenShift or RKE2 it is what somebody typed. With
``Equal``, which is meant where no operator is given, key and value have to match letter by letter;
``Exists`` needs the key only.

Where the nodes were given their taints decide, and this is silent (see FIT-TAINT).
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.clouds.known import Cloud, clouds
from gpuyard.lint.world import World

GPU_TAINT = "nvidia.com/gpu"
OWN: Mapping[Cloud, tuple[str, str, str]] = {
    "GKE": (GPU_TAINT, "present", "GKE taints GPU nodes nvidia.com/gpu=present"),
    "EKS": (GPU_TAINT, "true", "examples for EKS and Karpenter taint nvidia.com/gpu=true"),
    "AKS": ("sku", "gpu", "AKS' documentation taints sku=gpu"),
}


def check_value(pod: PodView, world: World) -> Iterator[Hit]:
    """Find Equal tolerations for a GPU taint that may miss its value."""
    if world.knows("Node"):
        return
    given = pod.spec.mappings("tolerations")
    open_keys = {
        plain.text(one, "key") for _, one in given if plain.text(one, "operator") == "Exists"
    }
    if "" in open_keys:
        return  # it tolerates everything
    where = clouds(pod)
    for index, one in given:
        key, value = plain.text(one, "key"), plain.text(one, "value")
        if key in open_keys or plain.text(one, "operator") not in {"", "Equal"}:
            continue
        said = _said(key, value, where)
        if said:
            yield Hit(pod.spec.at("tolerations", index), said)


def check_missing(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods for a cloud whose documentation taints GPU nodes by another key."""
    if world.knows("Node") or clouds(pod) != ["AKS"]:
        return
    keys = {plain.text(one, "key") for _, one in pod.spec.mappings("tolerations")}
    if GPU_TAINT in keys and not keys & {"sku", ""}:
        yield Hit(
            pod.spec.at("tolerations"),
            "it tolerates nvidia.com/gpu, and AKS' documentation taints GPU nodes sku=gpu",
            remedy="add a toleration for the key sku, if your node pools have that taint",
        )


def _said(key: str, value: str, where: list[Cloud]) -> str:
    """Return what is to be said of an Equal toleration, "" for nothing."""
    if key == GPU_TAINT and not where:
        matches = f"the value {value!r}" if value else "an empty value"
        return (
            f"the toleration of {key} matches only a taint with {matches}: GKE's is 'present', "
            "examples for EKS use 'true'"
        )
    for cloud in where:
        own_key, own_value, words = OWN[cloud]
        if key == own_key and value != own_value:
            return f"{words}, and the toleration matches only the value {value!r}"
    return ""


POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  nodeSelector:
    LABEL
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/gpu: 1
"""
GKE = POD.replace("LABEL", "cloud.google.com/gke-accelerator: nvidia-l4")
AKS = POD.replace("LABEL", "kubernetes.azure.com/accelerator: nvidia")
SOURCE = (
    "GKE documentation, About GPUs (taint nvidia.com/gpu=present); Karpenter v1 documentation, "
    "NodePools; AKS documentation, Use GPUs (taint sku=gpu)"
)

RULES = (
    Rule(
        id="TOLERATION-VALUE",
        severity="info",
        title="A GPU toleration matches the taint on every cloud",
        why="With Equal, or without an operator, the value has to be the taint's. The same "
        "manifest then runs on one cluster and stays Pending on the next.",
        remedy="write operator: Exists and leave the value out",
        source=SOURCE,
        scope="pod",
        check=check_value,
        failing=GKE.replace(
            "{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}",
            'key: nvidia.com/gpu # <- here\n      operator: Equal\n      value: "true"',
        ),
        passing=GKE,
    ),
    Rule(
        id="TOLERATION-KEY",
        severity="info",
        title="A GPU toleration has the key that the cloud's nodes carry",
        why="The key of the taint differs as well. On AKS it is by convention sku, so that a pod "
        "that tolerates only nvidia.com/gpu is kept out.",
        remedy="tolerate the key that your GPU nodes carry, with operator Exists",
        source=SOURCE,
        scope="pod",
        check=check_missing,
        failing=AKS.replace("tolerations:", "tolerations: # <- here"),
        passing=AKS.replace("key: nvidia.com/gpu", "key: sku"),
    ),
)
