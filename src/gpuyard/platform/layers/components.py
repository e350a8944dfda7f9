"""Each layer that was found: what it is, who installed it, where it runs and where it may not.

A DaemonSet wants the nodes that its selector and affinity choose; taints keep it off some of them.
Both are answered by the scheduling core's own functions. Where pods were listed, they tell on which
nodes it runs, and whether it is ready there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from gpuyard.dialects import plain, wire
from gpuyard.dialects.core.constraints import pod_constraints
from gpuyard.dialects.workloads import ContainerView, PodView, workload
from gpuyard.model.constraints import Constraints, NodeSelectorTerm, Taint
from gpuyard.platform.layers import versions
from gpuyard.platform.layers.facts import DAEMON_SET, DEPLOYMENT, Facts
from gpuyard.platform.layers.installers import Installer, installer_of
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.signatures import Part, parts_of
from gpuyard.platform.layers.words import Layer
from gpuyard.scheduling.feasibility.taint_toleration import is_tolerated
from gpuyard.scheduling.shapes import holds

NAME_FIELD: Final = "metadata.name"
ENDED: Final = frozenset({"Succeeded", "Failed"})


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One layer in one DaemonSet or Deployment."""

    layer: Layer
    product: str
    title: str
    namespace: str
    installer: Installer
    version: str
    is_daemon: bool
    resource: str = ""
    port: int = 0  # of an exporter; on the node itself where `is_host_port`
    is_host_port: bool = False
    reach: frozenset[str] = frozenset()  # nodes that it wants and may run on
    barred: Mapping[str, Taint] = {}  # nodes that it wants, and the taint that keeps it off
    running: Mapping[str, bool] | None = None  # node: is it ready there; `None` where unseen
    ready: int = 0  # as its status says, in the whole cluster
    desired: int = 0

    def is_on(self, node: str) -> bool:
        """Tell whether it is on a node, or about to be."""
        return node in self.reach or node in (self.running or {})


def components(facts: Facts, nodes: Sequence[GpuNode]) -> list[Component]:
    """Return the layers in all DaemonSets and Deployments, by name."""
    pods = _pods_by_owner(facts) if facts.sees("Pod") else None
    found = [
        one
        for kind in (DAEMON_SET, DEPLOYMENT)
        for value in facts.of(kind)
        for one in _of_object(value, facts, nodes, pods, is_daemon=kind == DAEMON_SET)
    ]
    return sorted(found, key=lambda one: (one.layer, one.title))


def _of_object(
    value: Mapping[str, object],
    facts: Facts,
    nodes: Sequence[GpuNode],
    pods: Mapping[tuple[str, str], Mapping[str, bool]] | None,
    *,
    is_daemon: bool,
) -> Iterator[Component]:
    found = workload(value)
    if found is None:
        return
    parts = list(parts_of(found, found.name))
    if not parts:
        return
    reach, barred = _reach(value, nodes) if is_daemon else (frozenset[str](), {})
    running = None if pods is None else pods.get((found.namespace, found.name), {})
    state = (
        ("numberReady", "desiredNumberScheduled") if is_daemon else ("readyReplicas", "replicas")
    )
    for part in parts:
        port, is_host_port = _port(found.pods, part)
        yield Component(
            layer=part.signature.layer,
            product=part.signature.product,
            title=found.title,
            namespace=found.namespace,
            installer=installer_of(value, facts),
            version=versions.of_image(part.image) or versions.of_labels(found.labels),
            is_daemon=is_daemon,
            resource=part.signature.resource,
            port=port,
            is_host_port=is_host_port,
            reach=reach,
            barred=barred,
            running=running if is_daemon else None,
            ready=found.whole("status", state[0]) or 0,
            desired=found.whole("status", state[1]) or 0,
        )


def _reach(
    value: Mapping[str, object], nodes: Iterable[GpuNode]
) -> tuple[frozenset[str], dict[str, Taint]]:
    """Return the nodes that a DaemonSet runs on, and those that only a taint keeps it off."""
    asked = _constraints(value)
    wanted = [] if asked is None else [one for one in nodes if _wants(asked, one)]
    barred = {
        node.name: taint
        for node in wanted
        for taint in node.taints
        if asked is not None and not is_tolerated(taint, asked.tolerations)
    }
    return frozenset(one.name for one in wanted if one.name not in barred), barred


def _constraints(value: Mapping[str, object]) -> Constraints | None:
    template = plain.mapping(value, "spec", "template")
    given = {"metadata": {}, "spec": template.get("spec") or {}}
    try:
        return pod_constraints(wire.decode(wire.Pod, given))
    except wire.DialectError:
        return None  # what cannot be read reaches nobody as far as we can tell


def _wants(asked: Constraints, node: GpuNode) -> bool:
    if any(node.labels.get(key) != value for key, value in asked.node_selector):
        return False
    terms = asked.required_nodes
    return terms is None or any(_term_holds(one, node) for one in terms)


def _term_holds(term: NodeSelectorTerm, node: GpuNode) -> bool:
    name = {NAME_FIELD: node.name}
    return bool(term.expressions or term.fields) and (
        all(holds(one, node.labels) for one in term.expressions)
        and all(holds(one, name) for one in term.fields)
    )


def _pods_by_owner(facts: Facts) -> dict[tuple[str, str], dict[str, bool]]:
    """Return for each DaemonSet, by namespace and name, on which nodes it is, and ready there."""
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for pod in facts.of("Pod"):
        node = plain.text(pod, "spec", "nodeName")
        if not node or plain.text(pod, "status", "phase") in ENDED:
            continue
        for _, owner in plain.mappings(pod, "metadata", "ownerReferences"):
            if plain.text(owner, "kind") == "DaemonSet":
                key = (plain.text(pod, "metadata", "namespace"), plain.text(owner, "name"))
                found.setdefault(key, {})[node] = _is_ready(pod)
    return found


def _is_ready(pod: Mapping[str, object]) -> bool:
    return any(
        plain.text(one, "type") == "Ready" and plain.text(one, "status") == "True"
        for _, one in plain.mappings(pod, "status", "conditions")
    )


def _port(pods: Iterable[PodView], part: Part) -> tuple[int, bool]:
    """Return where an exporter listens, and whether that is a port of the node."""
    if not part.signature.port:
        return 0, False
    for pod in pods:
        for container in pod.containers:
            if container.image == part.image:
                on_host = pod.spec.is_true("hostNetwork")
                return _listens(container, part.signature.port, on_host=on_host)
    return part.signature.port, False


def _listens(container: ContainerView, usual: int, *, on_host: bool) -> tuple[int, bool]:
    for _, one in container.mappings("ports"):
        host, own = plain.whole(one, "hostPort"), plain.whole(one, "containerPort")
        if host:
            return host, True
        if own:
            return own, on_host
    return usual, on_host
