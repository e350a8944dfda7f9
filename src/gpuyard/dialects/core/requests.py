"""What one Pod asks of its node, from everything that its containers ask for.

Containers run together: their requests add up. Init containers run before them, one after the
other: of those only the largest counts. A restartable init container (a sidecar) keeps running: it
adds to the containers and to every init container behind it. Requests of the Pod as a whole replace
the result where they are given; the overhead of the runtime comes on top.

A container may be resized while it runs. Until the kubelet has caught up, a Pod counts with the
most that was asked for, promised or really given; a resize that was found infeasible no longer
counts as asked for.

All sums are made in nano units and rounded up once at the end (`gpuyard.model.quantity`).

Semantics: PodRequests in k8s.io/component-helpers/resource (v1.36); which names count:
IsScalarResourceName and Resource.Add in k8s.io/kubernetes v1.36.3, pkg/scheduler. ``pods`` is not
among them: a Pod is one pod, whatever it says. The amounts for scores are those that
resource_allocation.go computes for an incoming Pod. Not read, because off by default in 1.36:
resized pod-level requests, and node resources granted through DRA claims.
"""

from collections.abc import Callable, Iterable, Mapping

from gpuyard.dialects import wire
from gpuyard.model.quantity import NANO_PER_MILLI, NANO_PER_UNIT, parse_nano, round_up
from gpuyard.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources
from gpuyard.model.workloads import Request

SCORED_IF_MISSING = {CPU: 100 * NANO_PER_MILLI, MEMORY: 200 * 2**20 * NANO_PER_UNIT}

_HUGE_PAGES = "hugepages-"
_ATTACHABLE_VOLUMES = "attachable-volumes-"
_QUOTA_ONLY = "requests."  # names a quota on an extended resource, not the resource

Nanos = dict[str, int]  # billionths of the base unit by resource name
Ask = Callable[[wire.Container], Nanos]


def effective_request(pod: wire.Pod, *, pod_level_resources: bool = True) -> Request:
    """Return what `pod` asks of its node, and what kube-scheduler's resource scores count for it.

    `pod_level_resources` is the feature gate PodLevelResources.
    Raises DialectError for an amount that is negative or not a quantity.
    """
    resources = rounded(_pod_requests(pod, {}, pod_level_resources=pod_level_resources))
    scored = rounded(_pod_requests(pod, SCORED_IF_MISSING, pod_level_resources=pod_level_resources))
    return Request(resources=resources, scored=None if scored == resources else scored)


def amounts(listed: wire.ResourceList | None, place: str) -> Nanos:
    """Return a resource list in nano units; `place` names it in errors."""
    nanos = {}
    for name, quantity in (listed or {}).items():
        try:
            nanos[name] = parse_nano(quantity)
        except ValueError as error:
            raise wire.DialectError(f"{place}.{name}: {error}") from None
        if nanos[name] < 0:
            raise wire.DialectError(f"{place}.{name}: {quantity} is negative")
    return nanos


def rounded(nanos: Mapping[str, int]) -> Resources:
    """Return what the scheduler counts of `nanos`: CPU in millicores, the rest in base units."""
    return Resources.of(
        (name, round_up(nano, NANO_PER_MILLI if name == CPU else NANO_PER_UNIT))
        for name, nano in nanos.items()
        if _is_counted(name)
    )


def _is_counted(name: str) -> bool:
    if "/" in name:
        return not name.startswith(_QUOTA_ONLY)
    return name in {CPU, MEMORY, EPHEMERAL_STORAGE} or name.startswith(
        (_HUGE_PAGES, _ATTACHABLE_VOLUMES)
    )


def _pod_requests(pod: wire.Pod, missing: Nanos, *, pod_level_resources: bool) -> Nanos:
    """Return the requests of the whole Pod; a container that lacks one counts as `missing` says."""
    place = wire.describe("Pod", pod.metadata) + ": spec."
    total = _of_all_containers(pod, missing)
    if pod_level_resources and pod.spec.resources is not None:
        given = amounts(pod.spec.resources.requests, f"{place}resources.requests")
        total.update({name: nano for name, nano in given.items() if _is_pod_level(name)})
    return _sum(total, amounts(pod.spec.overhead, f"{place}overhead"))


def _is_pod_level(name: str) -> bool:
    return name in {CPU, MEMORY} or name.startswith(_HUGE_PAGES)


def _of_all_containers(pod: wire.Pod, missing: Nanos) -> Nanos:
    asked = _asked_for(pod)
    if pod.status is None:
        return _aggregate(pod, asked, missing)
    statuses = {
        status.name: status
        for status in (
            *(pod.status.init_container_statuses or ()),
            *(pod.status.container_statuses or ()),
        )
    }
    infeasible = _is_resize_infeasible(pod.status)
    fallback: Ask = (lambda _: {}) if infeasible else asked
    promised = _promised(pod, statuses, fallback)
    given = _given(pod, statuses, promised)
    largest = _aggregate(pod, promised, missing)
    _raise_to(largest, _aggregate(pod, given, missing))
    if not infeasible:
        _raise_to(largest, _aggregate(pod, asked, missing))
    return largest


def _asked_for(pod: wire.Pod) -> Ask:
    place = wire.describe("Pod", pod.metadata)

    def ask(container: wire.Container) -> Nanos:
        requests = container.resources.requests if container.resources else None
        return amounts(requests, f"{place}: container {container.name!r}: resources.requests")

    return ask


def _promised(pod: wire.Pod, statuses: Mapping[str, wire.ContainerStatus], fallback: Ask) -> Ask:
    place = wire.describe("Pod", pod.metadata)

    def ask(container: wire.Container) -> Nanos:
        status = statuses.get(container.name)
        if status is None or status.allocated_resources is None:
            return fallback(container)
        at = f"{place}: status of container {container.name!r}: allocatedResources"
        return amounts(status.allocated_resources, at)

    return ask


def _given(pod: wire.Pod, statuses: Mapping[str, wire.ContainerStatus], fallback: Ask) -> Ask:
    place = wire.describe("Pod", pod.metadata)

    def ask(container: wire.Container) -> Nanos:
        status = statuses.get(container.name)
        if status is None or status.resources is None or status.resources.requests is None:
            return fallback(container)
        at = f"{place}: status of container {container.name!r}: resources.requests"
        return amounts(status.resources.requests, at)

    return ask


def _is_resize_infeasible(status: wire.PodStatus) -> bool:
    reasons = (c.reason for c in status.conditions or () if c.type == "PodResizePending")
    return next(reasons, None) == "Infeasible"


def _aggregate(pod: wire.Pod, ask: Ask, missing: Nanos) -> Nanos:
    """Return what all containers need together while they run and while they start."""
    running = _sum(*(missing | ask(container) for container in pod.spec.containers or ()))
    sidecars: Nanos = {}
    starting: Nanos = {}
    for container in pod.spec.init_containers or ():
        needed = _sum(sidecars, missing | ask(container))
        if is_sidecar(container):
            running = _sum(running, missing | ask(container))
            sidecars = needed
        _raise_to(starting, needed)
    _raise_to(running, starting)
    return running


def is_sidecar(container: wire.Container) -> bool:
    """Return whether an init container keeps running beside the containers."""
    return container.restart_policy == "Always"


def _sum(*parts: Nanos) -> Nanos:
    total: Nanos = {}
    for part in parts:
        for name, nano in part.items():
            total[name] = total.get(name, 0) + nano
    return total


def _raise_to(nanos: Nanos, others: Nanos) -> None:
    for name, nano in others.items():
        nanos[name] = max(nanos.get(name, 0), nano)


def node_allocatable(listed: wire.ResourceList | None, place: str) -> Resources:
    """Return what a node offers, ``pods`` included."""
    nanos = amounts(listed, place)
    pods: Iterable[tuple[str, int]] = (
        [(PODS, round_up(nanos[PODS], NANO_PER_UNIT))] if PODS in nanos else []
    )
    return Resources.of((*rounded(nanos).amounts, *pods))
