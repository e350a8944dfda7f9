"""What an autoscaler scales, what it looks at, and how long a new replica takes.

A HorizontalPodAutoscaler, a KEDA ScaledObject and a Knative Service say the same in three ways. The
rules of this folder ask here. An autoscaler is of interest where the workload that it scales asks
for GPUs; which one that is, is known only if it was given.

How long a replica takes to load its model, its startup probe tells: it is what somebody has
allowed for.

Field names: k8s.io/api 1.37 autoscaling/v2; keda v2.21 apis/keda/v1alpha1 (ScaledObject) and
pkg/scalers (trigger metadata).
"""

from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import Workload, api_group
from gpuyard.lint.world import Entry, World

HPA = "autoscaling/HorizontalPodAutoscaler"
SCALED_OBJECT = "keda.sh/ScaledObject"
AUTOSCALERS = (HPA, SCALED_OBJECT)
# kind, its field for the fewest replicas, what it is by default, and the same for the most
_BOUNDS = (
    (HPA, "minReplicas", 1, "maxReplicas", 1),
    (SCALED_OBJECT, "minReplicaCount", 0, "maxReplicaCount", 100),
)
DEFAULT_KIND = "apps/Deployment"  # of a ScaledObject that names none


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an autoscaler looks at."""

    path: Path
    """The metric or trigger."""
    target_path: Path
    """Where its target stands, or would."""
    kind: str
    """``resource``, ``pods``, ``object``, ``external``, or a KEDA trigger's type."""
    name: str
    """The name of the metric or resource, or a query."""
    target: str
    """The target as it is written, "" where there is none."""
    is_average: bool
    """The value is divided by the number of replicas before it is compared."""


def target_kind(entry: Entry) -> tuple[str, str]:
    """Return kind (with its group) and name of what an autoscaler scales."""
    reference = entry.mapping("spec", "scaleTargetRef")
    kind, group = plain.text(reference, "kind"), api_group(plain.text(reference, "apiVersion"))
    named = f"{group}/{kind}" if group else kind
    if entry.kind == SCALED_OBJECT and not group:
        named = f"apps/{kind}" if kind else DEFAULT_KIND
    return named, plain.text(reference, "name")


def scaled(entry: Entry, world: World) -> Workload | None:
    """Return the GPU workload that an autoscaler scales, `None` where none is known."""
    kind, name = target_kind(entry)
    found = world.named(kind, name, entry)
    if found is None or found.workload is None or not found.workload.asks_gpus:
        return None
    return found.workload


def replicas(workload: Workload, world: World) -> tuple[int | None, int | None]:
    """Return the fewest and the most pods that a workload's first template makes.

    A manifest that leaves the number to its autoscaler says none, which is not the same as one.
    """
    written = workload.pods[0].count
    return world.once(_bounds).get(id(world.entry(workload)), (written, written))


def _bounds(world: World) -> Mapping[int, tuple[int, int]]:
    """Return the bounds that autoscalers keep, by what they scale."""
    found = {}
    for kind, fewest, fewest_default, most, most_default in _BOUNDS:
        for entry in world.of_kind(kind):
            target = world.named(*target_kind(entry), entry)
            least = entry.whole("spec", fewest)
            limit = entry.whole("spec", most)
            if target is not None and world.owner(entry) is None:
                found[id(target)] = (
                    fewest_default if least is None else least,
                    most_default if limit is None else limit,
                )
    return found


def signals(entry: Entry) -> Iterator[Signal]:
    """Return what an autoscaler looks at."""
    if entry.kind == SCALED_OBJECT:
        for index, one in entry.mappings("spec", "triggers"):
            yield _trigger(one, ("spec", "triggers", index))
        return
    for index, one in entry.mappings("spec", "metrics"):
        yield from _metric(one, ("spec", "metrics", index))
    if entry.get("spec", "targetCPUUtilizationPercentage") is not None:
        path = ("spec", "targetCPUUtilizationPercentage")
        yield Signal(
            path=path, target_path=path, kind="resource", name="cpu", target="", is_average=True
        )


def load_seconds(workload: Workload) -> int:
    """Return how long the startup probes allow for, 0 where there are none."""
    longest = 0
    for pod in workload.gpu_pods:
        for box in pod.containers:
            probe = box.mapping("startupProbe")
            if probe:
                period = plain.whole(probe, "periodSeconds") or 10
                tries = plain.whole(probe, "failureThreshold") or 3
                delay = plain.whole(probe, "initialDelaySeconds") or 0
                longest = max(longest, delay + period * tries)
    return longest


def number(written: object) -> float | None:
    """Return a number that is written as one or as a text, `None` for anything else."""
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return None
    try:
        return float(written)
    except ValueError:
        return None


_FIELDS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _metric(one: Mapping[str, object], path: Path) -> Iterator[Signal]:
    field = _FIELDS.get(plain.text(one, "type"))
    if field is None:
        return
    inside = plain.mapping(one, field)
    target = plain.mapping(inside, "target")
    at = next(
        (name for name in ("averageValue", "value", "averageUtilization") if name in target), ""
    )
    is_resource = field in {"resource", "containerResource"}
    yield Signal(
        path=(*path, field),
        target_path=(*path, field, "target", *((at,) if at else ())),
        kind="resource" if is_resource else field,
        name=plain.text(inside, "name") if is_resource else plain.text(inside, "metric", "name"),
        target=str(target.get(at, "")),
        is_average=at != "value",
    )


def _trigger(one: Mapping[str, object], path: Path) -> Signal:
    kind = plain.text(one, "type")
    query = plain.get(one, "metadata", "query") if kind not in {"cpu", "memory"} else None
    field = "value" if kind in {"cpu", "memory"} else "threshold"
    return Signal(
        path=(*path, "metadata", "query") if isinstance(query, str) else path,
        target_path=(*path, "metadata", field),
        kind=kind,
        name=query if isinstance(query, str) else kind,
        target=str(plain.get(one, "metadata", field) or ""),
        is_average=plain.text(one, "metricType") in {"", "AverageValue"},
    )
