"""The objects of a row: what Volcano's test builders make of their arguments.

Pods and Nodes become Kubernetes JSON, so that our dialect reads them; pod groups, queues and
hypernodes become the few facts below. Semantics: pkg/scheduler/util/test_utils.go,
pkg/scheduler/api/test_utils.go (v1.16.0-alpha.1).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gpuyard.dialects.core.requests import node_allocatable
from gpuyard.model.resources import Resources
from verification.oracles.rows import Json

PREEMPTABLE = "volcano.sh/preemptable"
TASK_ROLE = "volcano.sh/task-spec"
GROUP = "scheduling.k8s.io/group-name"
GONE_NODE = "a pod stands on node {}, which does not exist"


class SubGroups(NamedTuple):
    """A policy that splits a pod group's pods by the values of labels, each part `size` pods."""

    name: str
    label_keys: tuple[str, ...]
    size: int
    min_groups: int
    mode: str
    tier: int


class PodGroup(NamedTuple):
    """A gang; `mode` and `tier` bind it to a hypernode ("" and 0 where they do not)."""

    key: str
    queue: str
    min_member: int
    min_by_role: Mapping[str, int]
    phase: str
    mode: str = ""
    tier: int | str = 0
    sub_groups: tuple[SubGroups, ...] = ()
    priority_class: str = ""
    min_resources: Resources | None = None


class Queue(NamedTuple):
    """A queue; a resource that `capability` does not name is not limited."""

    name: str
    weight: int
    capability: Resources
    deserved: Resources = Resources()
    priority: int = 0
    is_open: bool = True


# -- pods and nodes


def pods_of(case: Mapping[str, Json]) -> list[Json]:
    """Return the pods as Kubernetes JSON."""
    return [_pod(each["$call"].split(".")[-1], each["args"]) for each in case.get("Pods") or ()]


def _pod(builder: str, given: Sequence[Json]) -> Json:
    namespace, name, node, phase, requests, group, labels, selector = given[:8]
    spec: Json = {
        "nodeName": node,
        "nodeSelector": selector,
        "containers": [{"resources": {"requests": amounts(requests)}}],
    }
    match builder:
        case "BuildPod":
            pass
        case "BuildPodWithPriority":
            spec["priority"] = given[8]
        case "BuildPodWithPreemptionPolicy":
            spec["preemptionPolicy"] = given[8]
        case "BuildPodWithAffinity":
            spec["affinity"] = in_kubernetes_case(given[8])
        case "BuildPodWithTopologySpreadConstraints":
            spec["topologySpreadConstraints"] = in_kubernetes_case(given[8])
        case "buildPodWithPodAntiAffinity":
            term = {"labelSelector": {"matchLabels": labels}, "topologyKey": given[8]}
            required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
            spec["affinity"] = {"podAntiAffinity": required}
        case _:
            raise ValueError(f"{builder} is not known")
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": labels,
            "annotations": {GROUP: group},
        },
        "spec": spec,
        "status": {"phase": phase},
    }


def group_key(pod: Json) -> str:
    """Return the key of the pod group that `pod` names."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['annotations'][GROUP]}"


def nodes_of(case: Mapping[str, Json]) -> list[Json]:
    """Return the nodes as Kubernetes JSON, labelled with the hypernodes that hold them."""
    tiers = tiers_of(case)
    nodes = []
    for each in case.get("Nodes") or ():
        name, allocatable, labels = each["args"]
        domains = {
            label: hypernode
            for label, hypernodes in tiers.items()
            for hypernode, members in hypernodes.items()
            if name in members
        }
        nodes.append(
            {
                "metadata": {"name": name, "labels": {**(labels or {}), **domains}},
                "status": {"allocatable": amounts(allocatable)},
            }
        )
    return nodes


def tiers_of(case: Mapping[str, Json]) -> dict[str, dict[str, Sequence[str]]]:
    """Return the members of each hypernode, by the label of its tier, the widest tier first."""
    members = case.get("HyperNodes") or {}
    by_tier = {int(tier): names for tier, names in (case.get("HyperNodesSetByTier") or {}).items()}
    return {
        tier_label(tier): {name: members[name] for name in sorted(by_tier[tier])}
        for tier in sorted(by_tier, reverse=True)
    }


def tier_label(tier: int) -> str:
    """Return the node label of a tier; tiers are counted from the narrowest."""
    return f"volcano.sh/hypernode-tier-{tier}"


def amounts(given: Json) -> Json:
    """Return a list of resources as Kubernetes writes it."""
    if not given or "$call" not in given:
        return dict(given or {})
    cpu, memory, *others = given["args"]
    listed: list[Json] = []
    for each in others:
        listed += each if isinstance(each, list) else [each]
    return {"cpu": cpu, "memory": memory, **{each["Name"]: each["Value"] for each in listed}}


def resources(given: Json) -> Resources:
    """Return a list of resources as exact amounts."""
    return node_allocatable(amounts(given), "a list of resources")


def in_kubernetes_case(value: Json) -> Json:
    """Return a Go struct with the names that its fields have in JSON."""
    if isinstance(value, list):
        return [in_kubernetes_case(each) for each in value]
    if isinstance(value, dict):
        return {
            name[:1].lower() + name[1:]: in_kubernetes_case(each) for name, each in value.items()
        }
    return value


# -- pod groups


def pod_groups_of(case: Mapping[str, Json]) -> list[PodGroup]:
    """Return the pod groups in the order of the row."""
    return [_pod_group(each) for each in case.get("PodGroups") or ()]


def _pod_group(given: Json) -> PodGroup:
    args = given["args"]
    match given["$call"].removeprefix("util.BuildPodGroup"):
        case "":
            return _plain(*args)
        case "WithPrio":
            return _plain(*args[:6])._replace(priority_class=args[6])
        case "WithMinResources":
            name, namespace, queue, least, by_role, least_resources, phase = args
            plain = _plain(name, namespace, queue, least, by_role, phase)
            return plain._replace(min_resources=resources(least_resources))
        case "WithNetWorkTopologies" | "UsingNetWorkTopologiesWithTierName":
            return _plain(*args[:2], *args[3:7])._replace(mode=args[7], tier=args[8])
        case "WithSubGroupPolicy":
            plain = _plain(*args[:2], *args[3:7])
            policies = tuple(_sub_groups(each) for each in args[9])
            return plain._replace(mode=args[7], tier=args[8], sub_groups=policies)
    raise ValueError(f"{given['$call']} is not known")


def _plain(
    name: str, namespace: str, queue: str, least: int, by_role: Json, phase: str
) -> PodGroup:
    return PodGroup(f"{namespace}/{name}", queue, least, by_role or {}, phase)


def _sub_groups(given: Json) -> SubGroups:
    name, keys, mode, tier, *rest = given["args"]
    size = rest[0] if rest else 1
    least = rest[1] if rest[1:] else 0
    return SubGroups(name, tuple(keys), size, least, mode, tier)


def priorities_of(case: Mapping[str, Json]) -> dict[str, tuple[int, bool]]:
    """Return the value of each priority class, and whether its pods make others go."""
    found = {}
    for each in case.get("PriClass") or ():
        name, value, *policy = each["args"]
        found[name] = (value, policy != ["Never"])
    return found


# -- queues


def queues_of(case: Mapping[str, Json]) -> list[Queue]:
    """Return the queues in the order of the row."""
    return list(_queues(case.get("Queues") or ()))


def _queues(given: Iterable[Json]) -> Iterator[Queue]:
    for each in given:
        args = each["args"]
        match each["$call"].removeprefix("util.BuildQueue"):
            case "" | "WithAnnos":
                yield Queue(args[0], args[1], resources(args[2]))
            case "WithState":
                yield Queue(args[0], args[1], resources(args[2]), is_open=args[3] != "Closed")
            case "WithPriorityAndResourcesQuantity":
                name, priority, deserved, most = args
                yield Queue(name, 1, resources(most), resources(deserved), priority)
            case other:
                raise ValueError(f"util.BuildQueue{other} is not known")
