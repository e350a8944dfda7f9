"""Pods that look at GPUs without asking for one, after the operator's turn to CDI.

An exporter or a health check sets ``NVIDIA_VISIBLE_DEVICES`` and asks for no GPU. With the legacy
runtime hook, the default runtime of the node saw the variable and let the devices in. From chart
v25.10 on CDI is the default and the node's default runtime is left alone: such a pod sees no GPU
unless it asks for the runtime by name.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import CDI_BY_DEFAULT, all_settings
from gpuyard.lint.world import World

VARIABLE = "NVIDIA_VISIBLE_DEVICES"
NO_DEVICES = frozenset({"", "void", "none"})


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find containers that rely on the default runtime where CDI has taken over."""
    if pod.asks_gpus or pod.claims or pod.spec.text("runtimeClassName") or not pod.is_complete:
        return
    for container in pod.all_containers:
        if _looks(container) and _is_cdi(world):
            yield Hit(
                container.variables[VARIABLE].path,
                f"container {container.name} sets {VARIABLE} and asks for no GPU, but with the "
                "operator's CDI the default runtime does not look at it",
            )


def _looks(container: ContainerView) -> bool:
    variable = container.env(VARIABLE)
    return variable is not None and variable.value not in NO_DEVICES


def _is_cdi(world: World) -> bool:
    """Tell whether an operator beside it is known to use CDI: its chart's version says so."""
    found = [one for _, one in all_settings(world) if not one.is_policy]
    return bool(found) and all(
        one.version is not None and one.version >= CDI_BY_DEFAULT and one.is_on("cdi.enabled")
        for one in found
    )


RULES = (
    Rule(
        id="CDI-RUNTIME-CLASS",
        severity="warning",
        title="A pod that looks at GPUs under CDI names its runtime class",
        why="Since v25.10 the operator uses CDI and leaves the node's default runtime alone. A pod "
        "that only sets NVIDIA_VISIBLE_DEVICES sees no GPU any more: exporters go blank.",
        remedy="add runtimeClassName: nvidia to the pod",
        source="GPU Operator documentation, release notes 25.10.0 and Container Device Interface; "
        "NVIDIA/gpu-operator v25.10.1 values.yaml (cdi.enabled)",
        scope="pod",
        gpu_only=False,
        check=check,
        failing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  enabled: false
toolkit:
  enabled: true
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: gpu-health
spec:
  selector:
    matchLabels: {app: gpu-health}
  template:
    metadata:
      labels: {app: gpu-health}
    spec:
      containers:
        - name: health
          image: registry.example/gpu-health:1.2
          env:
            - name: NVIDIA_VISIBLE_DEVICES # <- here
              value: all
""",
        passing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  enabled: false
toolkit:
  enabled: true
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: gpu-health
spec:
  selector:
    matchLabels: {app: gpu-health}
  template:
    metadata:
      labels: {app: gpu-health}
    spec:
      runtimeClassName: nvidia
      containers:
        - name: health
          image: registry.example/gpu-health:1.2
          env:
            - name: NVIDIA_VISIBLE_DEVICES
              value: all
""",
    ),
)
