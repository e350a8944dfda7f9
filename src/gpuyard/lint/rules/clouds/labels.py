"""Values of node labels that no node can have, because they are written another way.

A selector compares letter by letter. ``H100``, ``nvidia-h100`` and ``NVIDIA-H100-80GB-HBM3`` are
three labels' ways to write one GPU, each right for one of them.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import CelRule, Hit, Rule
from gpuyard.lint.rules.clouds.known import (
    ACCELERATORS,
    AWS_GPU_NAME,
    CLOSED,
    GKE_ACCELERATOR,
    PRODUCT,
    Wanted,
    cloud_of,
    wanted,
)
from gpuyard.lint.world import World

_MODEL = re.compile(r"(?<![a-z0-9])(gb200|b200|h200|h100|a100|l4|t4|v100|p100|p4|k80)(?![a-z0-9])")
_BARE = re.compile(r"(nvidia[- ])?(tesla[- ])?[a-z]{1,2}[0-9]{1,3}s?", re.IGNORECASE)
_GOOD_PRODUCTS = re.compile(r"Tesla-|NVIDIA-|Quadro-|GeForce-|GRID-|TITAN-")


def check_value(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find values that the label never has."""
    for one in wanted(pod):
        right = _right(one)
        if right:
            yield Hit(
                one.path,
                f"{one.key} is never {one.value!r}: it is written {' or '.join(right)}",
                of="value",
                remedy=f"write {' or '.join(right)}",
            )


def check_mixed(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find selectors that want one node in two clouds."""
    found: dict[str, str] = {}
    for key in pod.spec.mapping("nodeSelector"):
        cloud = cloud_of(str(key))
        if cloud:
            found.setdefault(cloud, str(key))
    if len(found) > 1:
        yield Hit(
            pod.spec.at("nodeSelector"),
            f"no node has labels of {' and '.join(found)} at once: {', '.join(found.values())}",
        )


def _right(one: Wanted) -> tuple[str, ...]:
    """Return how the value is written, nothing where it may be right."""
    if one.key in CLOSED:
        return () if one.value in CLOSED[one.key] else CLOSED[one.key]
    if one.key == GKE_ACCELERATOR:
        return _accelerator(one.value)
    if one.key in AWS_GPU_NAME:
        lower = one.value.lower().removeprefix("nvidia-").removeprefix("tesla-")
        return () if lower == one.value else (lower,)
    if one.key == PRODUCT and _BARE.fullmatch(one.value) and not _GOOD_PRODUCTS.match(one.value):
        model = one.value.upper().rpartition("-")[2].rpartition(" ")[2]
        return (f"Tesla-{model}",) if model == "T4" else (f"NVIDIA-{model}… with memory and form",)
    return ()


def _accelerator(value: str) -> tuple[str, ...]:
    known = {name for names in ACCELERATORS.values() for name in names}
    found = _MODEL.search(value.lower())
    if value in known or found is None:
        return ()
    names = ACCELERATORS[found[1]]
    is_longer = any(value.startswith(f"{name}-") for name in names) or re.search(r"\dgb", value)
    return () if value == value.lower() and is_longer else names


POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  nodeSelector:
    cloud.google.com/gke-accelerator: nvidia-h100-80gb
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/gpu: 1
"""
SOURCE = (
    "GKE documentation, About GPUs; karpenter-provider-aws v1, well-known labels; AKS "
    "documentation, Spot node pools; NVIDIA GPU Feature Discovery v0.17"
)

RULES = (
    Rule(
        id="CLOUD-LABEL",
        severity="warning",
        title="A node label is written as the cloud writes it",
        why="A selector compares letter by letter. A value that no node has keeps the pod Pending, "
        "and where nodes are made on demand none is made for it.",
        remedy="write the value as the cloud's documentation or kubectl get nodes --show-labels do",
        source=SOURCE,
        scope="pod",
        check=check_value,
        failing=POD.replace("nvidia-h100-80gb", "nvidia-h100 # <- here"),
        passing=POD,
    ),
    Rule(
        id="CLOUD-MIXED",
        severity="error",
        title="A pod wants its node in one cloud",
        why="All labels of a nodeSelector have to be on one node. No node has labels of two "
        "clouds, and the pod stays Pending everywhere.",
        remedy="keep the labels of one cloud, one overlay or values file for each",
        source=SOURCE,
        scope="pod",
        check=check_mixed,
        cel=CelRule(
            "!has(variables.spec.nodeSelector) || [['cloud.google.com/'], ['karpenter.k8s.aws/', "
            "'eks.amazonaws.com/', 'k8s.amazonaws.com/'], ['kubernetes.azure.com/', "
            "'karpenter.azure.com/']].filter(cloud, variables.spec.nodeSelector.exists(key, "
            "cloud.exists(prefix, key.startsWith(prefix)))).size() < 2"
        ),
        failing=POD.replace("nodeSelector:", "nodeSelector: # <- here").replace(
            "  containers:", "    karpenter.k8s.aws/instance-gpu-name: h100\n  containers:"
        ),
        passing=POD,
    ),
)
