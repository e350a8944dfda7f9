"""Topology-aware placement, asked of the functions that a cycle uses.

Nodes and pods become a `Snapshot`, levels and labels a topology and its flavor, and feature gates
the knobs of `TopologyRules`. Rows about Kueue's own domains are answered in `topology_domains`.

Two rows of `TestFindTopologyAssignments` cannot be answered: in the older file what one pod of a
``priorFlavorUsage`` or ``priorOwnUsage`` takes was lost (``[{}]``), so nothing is used and another
domain is chosen ("sibling-flavor usage …", "non-hostname-leaf topology …").
"""

import json
from collections.abc import Iterable, Mapping

from gpuyard.dialects import core
from gpuyard.dialects.kueue.topology import topology_assignment, topology_request
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.quantity import NANO_PER_MILLI, NANO_PER_UNIT, parse_nano
from gpuyard.model.queues import ResourceFlavor
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.topology import (
    DomainCount,
    Topology,
    TopologyAssignment,
    TopologyRules,
    TopologyUsage,
)
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling import topology
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import PodSetRequest, Refusal, TopologyCapacity
from gpuyard.scheduling.topology.assignments import stale_domain
from gpuyard.scheduling.topology.tree import grow
from verification.oracles.kueue import topology_domains
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.rows import Answers, Json, Kind, Outside, Row, Test

NAME = "default"
DONE = ("Succeeded", "Failed")
GATES = {  # v0.19.2
    "TASProfileMixed": True,
    "TASBalancedPlacement": False,
    "TASRespectNodeAffinityPreferred": False,
    "ElasticJobsViaWorkloadSlicesWithTAS": False,
    "SkipReassignmentForPodOwnedWorkloads": True,
}
GROUP_OF_PODS = "kueue.x-k8s.io/is-group-workload"


def lifted(raw: Json) -> Json:
    """Return a row with the expectations that lie among its inputs taken out of them."""
    if raw["test"] == "TestFindTopologyAssignments":
        pod_sets = raw["case"]["podSets"]
        case = {
            **raw["case"],
            "podSets": [
                {key: value for key, value in one.items() if not key.startswith("want")}
                for one in pod_sets
            ],
            "wantAssignments": [one.get("wantAssignment") for one in pod_sets],
            "wantReasons": [one.get("wantReason") for one in pod_sets],
        }
        return {**raw, "case": case}
    if raw["test"] == "TestSelectOptimalDomainSetToFitStableTieBreak":
        call = dict(raw["around"]["call"])
        case = {**raw["case"], "want": call.pop("want")}
        return {**raw, "case": case, "around": {**raw["around"], "call": call}}
    return raw


# -- places


def find(row: Row) -> Answers:
    """Answer with the places of every pod set, or why there are none."""
    case = row.case
    gates = {**GATES, **(case.get("featureGates") or {})}
    capacity = _capacity(case["levels"], case["nodes"], case.get("pods"), case.get("nodeLabels"))
    for usage in (*(case.get("priorOwnUsage") or ()), *(case.get("priorFlavorUsage") or ())):
        capacity.use(_usage(usage))
    requests = [_request(one, str(index)) for index, one in enumerate(case["podSets"])]
    found = _find(capacity, requests, case.get("workload"), gates)
    if isinstance(found, Refusal):
        said = topology.sentence(found)
        before = dict(found.placed)
        return {
            "wantAssignments": [
                _shown(before[each.name]) if each.name in before else None for each in requests
            ],
            "wantReasons": [said if each.name in found.pod_sets else "" for each in requests],
        }
    return {
        "wantAssignments": [_shown(each) for each in found],
        "wantReasons": [""] * len(requests),
    }


def _find(
    capacity: TopologyCapacity,
    requests: list[PodSetRequest],
    workload: Json,
    gates: Mapping[str, bool],
) -> tuple[TopologyAssignment, ...] | Refusal:
    rules = TopologyRules(
        unconstrained_packing="least-free-capacity" if gates["TASProfileMixed"] else "best-fit",
        balances_preferred=gates["TASBalancedPlacement"],
        respects_preferred_nodes=gates["TASRespectNodeAffinityPreferred"],
        keeps_running_pods=gates["ElasticJobsViaWorkloadSlicesWithTAS"],
        leaves_bare_pods=gates["SkipReassignmentForPodOwnedWorkloads"],
    )
    failed = ((workload or {}).get("status") or {}).get("unhealthyNodes")
    if not failed:
        return topology.place(capacity, requests, rules=rules)
    return topology.place_again(
        capacity,
        [_with_places(each, workload) for each in requests],
        failed_host=failed[0]["name"],
        is_bare_pod=_is_bare_pod(workload["metadata"]),
        rules=rules,
    )


def _with_places(request: PodSetRequest, workload: Json) -> PodSetRequest:
    held = {one["name"]: one for one in workload["status"]["admission"]["podSetAssignments"]}
    given = held[request.name].get("topologyAssignment")
    return PodSetRequest(
        pod_set=request.pod_set,
        count=request.count,
        per_pod=request.per_pod,
        previous=topology_assignment(given),
    )


def _is_bare_pod(metadata: Json) -> bool:
    owners = metadata.get("ownerReferences") or ()
    is_group = (metadata.get("annotations") or {}).get(GROUP_OF_PODS) == "true"
    kinds = [(owner["apiVersion"], owner["kind"]) for owner in owners]
    return kinds == [("v1", "Pod")] and not is_group


def _request(given: Json, name: str) -> PodSetRequest:
    asked = topology_request(given.get("topologyRequest"))
    if asked is not None and given.get("podSetGroupName"):
        asked = topology_request(
            {**given["topologyRequest"], "podSetGroupName": given["podSetGroupName"]}
        )
    spec = {key: given.get(key) for key in ("nodeSelector", "tolerations")}
    spec["affinity"] = {"nodeAffinity": given.get("nodeAffinity")}
    return _pod_set_request(
        PodSet(
            name=given.get("podSetName") or name,
            count=given["count"],
            template=core.pod_template({"spec": spec}),
            topology=asked,
        ),
        given["requests"],
        topology_assignment(given.get("previousAssignment")),
    )


def _pod_set_request(
    pod_set: PodSet, requests: Json, previous: TopologyAssignment | None
) -> PodSetRequest:
    return PodSetRequest(
        pod_set=pod_set,
        count=pod_set.count,
        per_pod=Resources.of(requests or {}),
        previous=previous,
    )


def _capacity(
    levels: Iterable[str], nodes: Json, pods: Json = None, node_labels: Json = None
) -> TopologyCapacity:
    snapshot = Snapshot()
    for each in nodes:
        snapshot.apply(NodeObserved(core.node(each)))
    for each in pods or ():
        is_here = each["spec"].get("nodeName") in snapshot.slot_of
        if is_here and each["status"].get("phase") not in DONE:
            snapshot.apply(PodBound(core.assignment(each)))
    flavor = ResourceFlavor(name=NAME, node_labels=tuple(sorted((node_labels or {}).items())))
    return topology.survey(snapshot, flavor, Topology(name=NAME, levels=tuple(levels)))


def _usage(given: Json) -> TopologyUsage:
    """Return usage in one domain, in the spelling of either file."""
    by_name = {key.lower(): value for key, value in given.items()}
    per_pod = by_name["singlepodrequests"]
    return TopologyUsage(
        NAME,
        Resources.of({} if isinstance(per_pod, list) else per_pod),
        (DomainCount(tuple(by_name["values"]), by_name["count"]),),
    )


def replaced(row: Row) -> Answers:
    """Answer with the places of a pod set of which one host failed."""
    case = row.case
    levels = case["levels"] or row.context["defaultLevels"]
    capacity = _capacity(levels, case["nodes"], case["pods"])
    for domain, amounts in (case["aggregatedDomainUsages"] or {}).items():
        capacity.use(_total(domain, amounts))
    for usage in case["priorFlavorUsage"] or ():
        capacity.use(_usage(usage))
    pod_set = PodSet(
        name=row.context["podSetName"],
        count=case["count"],
        template=core.pod_template({"spec": {}}),
        topology=topology_request(case["topologyRequest"]),
    )
    request = _pod_set_request(pod_set, {CPU: 1000}, topology_assignment(case["existingTA"]))
    found = topology.place_again(capacity, [request], failed_host=case["unhealthyNode"])
    if isinstance(found, Refusal):
        return {"wantAssignment": None, "wantReason": topology.sentence(found)}
    return {"wantAssignment": _shown(found[0]), "wantReason": ""}


def _total(domain: str, amounts: Json) -> TopologyUsage:
    """Return usage that is known only in total: as if by one pod, which counts itself."""
    per_pod = {**amounts, PODS: amounts.get(PODS, 0) - 1}
    return TopologyUsage(NAME, Resources.of(per_pod), (DomainCount((domain,), 1),))


# -- assignments and levels


def stale(row: Row) -> Answers:
    """Answer whether places name a domain that is gone, and which."""
    tree = _capacity(row.case["tree"]["levelKeys"], row.case["tree"]["nodes"]).tree
    gone = stale_domain(tree, _assignment(row.case["assignment"], tree.assigned_levels))
    return {"wantStale": gone is not None, "wantStaleDomain": gone[0] if gone else ""}


def merged(row: Row) -> Answers:
    """Answer with two assignments joined."""
    tree = _capacity(row.context["levels"], row.context["nodes"]).tree
    both = (_assignment(row.case[key], tree.assigned_levels) for key in ("a", "b"))
    return {"want": _shown(topology.merged(tree, *both))}


def truncated(row: Row) -> Answers:
    """Answer with the places of the first pods."""
    kept = topology.truncated(_assignment(row.case["assignment"]), row.case["newCount"])
    return {"want": _shown(kept)}


def pod_count(row: Row) -> Answers:
    """Answer with how many pods have a place."""
    given = row.case["assignment"]
    return {"want": topology.pod_count(None if given is None else _assignment(given))}


def usage(row: Row) -> Answers:
    """Answer with what pods in some places use, counted in a capacity."""
    requests = row.context["singlePodRequests"]
    return {"want": _counted({}, row.case["assignment"], requests)}


def more_usage(row: Row) -> Answers:
    """Answer with what is used when pods in some places come to others."""
    requests = row.case["tasRequests"]["singlePodRequests"]
    return {"want": _counted(row.case["assumedUsage"] or {}, row.case["assignment"], requests)}


def _counted(before: Json, places: Json, requests: Json) -> dict[str, dict[str, int]]:
    added = _assignment(places or {})
    names = {*((name,) for name in before), *(domain.values for domain in added.domains)}
    capacity = _bare(sorted(names))
    for domain, amounts in before.items():
        capacity.use(_total(domain, amounts))
    capacity.use(topology.usage_of(NAME, Resources.of(requests), added))
    return _by_domain(capacity, capacity.used.tolist())


def _bare(paths: list[tuple[str, ...]]) -> TopologyCapacity:
    """Return a capacity of which only the domains are known."""
    levels = tuple(f"level-{depth}" for depth in range(len(paths[0]) if paths else 1))
    flavor, shape = ResourceFlavor(name=NAME), Topology(name=NAME, levels=levels)
    return TopologyCapacity(flavor, shape, grow(levels, paths), {})


def _by_domain(capacity: TopologyCapacity, rows: list[list[int]]) -> dict[str, dict[str, int]]:
    names = {column: name for name, column in capacity.resources.items()}
    return {
        ",".join(values): {names[column]: amount for column, amount in enumerate(row) if amount}
        for values, row in zip(map(capacity.tree.leaf_values, range(len(rows))), rows, strict=True)
    }


def free(row: Row) -> Answers:
    """Answer with what each domain has to offer and what of it is promised."""
    given = row.context["leafCapacities"]
    nodes = [
        {
            "metadata": {"name": domain, "labels": {"level": domain}},
            "status": {"allocatable": _quantities(each.get("freeCapacity") or {})},
        }
        for domain, each in given.items()
    ]
    capacity = _capacity(["level"], nodes)
    for domain, each in given.items():
        if each.get("tasUsage"):
            capacity.use(_total(domain, each["tasUsage"]))
    offered, used = capacity.free.copy(), capacity.used.tolist()
    offered[:, capacity.resources[PODS]] = 0  # these rows are about the others
    return {"expected": (_by_domain(capacity, offered.tolist()), _by_domain(capacity, used))}


def _quantities(amounts: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{amount}m" if name == CPU else str(amount) for name, amount in amounts.items()}


def levels_known(row: Row) -> Answers:
    """Answer whether a topology has the levels that a pod set asks for."""
    asked = topology_request(row.case["podSetTopologyRequest"])
    return {"want": topology.has_levels(row.context["levels"], asked)}


# -- how an assignment is read


def _assignment(given: Json, levels: tuple[str, ...] = ()) -> TopologyAssignment:
    domains = given.get("domains") or ()
    return TopologyAssignment(
        tuple(given.get("levels") or levels),
        tuple(DomainCount(tuple(one["values"]), one["count"]) for one in domains),
    )


def _shown(places: TopologyAssignment) -> Json:
    return [list(places.levels), [[list(each.values), each.count] for each in places.domains]]


def _read_assignment(wanted: Json) -> Json:
    if wanted is None:
        return None
    by_name = {key.lower(): value for key, value in wanted.items()}
    domains = [
        {key.lower(): value for key, value in one.items()} for one in by_name.get("domains") or ()
    ]
    return [by_name["levels"], [[one["values"], one["count"]] for one in domains]]


def _read_free(wanted: Json) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    parts = ("freeCapacity", "tasUsage")
    given = json.loads(wanted)
    offered, used = (
        {
            domain: {name: _amount(name, amount) for name, amount in each[part].items()}
            for domain, each in given.items()
        }
        for part in parts
    )
    return offered, used


def _amount(name: str, quantity: str) -> int:
    return parse_nano(quantity) // (NANO_PER_MILLI if name == CPU else NANO_PER_UNIT)


_ANOTHER = {"levels": ["altered"], "domains": [{"values": ["altered"], "count": 1}]}
ASSIGNMENT = Kind(_read_assignment, _ANOTHER)
ASSIGNMENTS = Kind(lambda wanted: [_read_assignment(one) for one in wanted], [_ANOTHER])
REASONS = Kind(lambda wanted: [one or "" for one in wanted], ["altered"])
NUMBER = Kind(lambda wanted: wanted, 1)
USAGE = Kind(lambda wanted: wanted or {}, {"altered": {"cpu": 1}})
FREE = Kind(_read_free, "{}")

FILE = "kueue_tas_snapshot"

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_cases", "TestFindTopologyAssignments"): Test(
        find,
        frozenset(
            {
                "levels",
                "nodes",
                "podSets",
                "featureGates",
                "nodeLabels",
                "pods",
                "workload",
                "priorFlavorUsage",
                "priorOwnUsage",
                "aggregatedDomainUsages",
            }
        ),
        {"wantAssignments": ASSIGNMENTS, "wantReasons": REASONS},
    ),
    (FILE, "TestFindTopologyAssignmentsMultiLayerReplacement"): Test(
        replaced,
        frozenset(
            {
                "admissionCount",
                "aggregatedDomainUsages",
                "count",
                "existingTA",
                "featureGates",
                "levels",
                "nodes",
                "pods",
                "priorFlavorUsage",
                "topologyRequest",
                "unhealthyNode",
            }
        ),
        {"wantAssignment": ASSIGNMENT, "wantReason": TEXT},
        around=frozenset({"defaultLevels", "podSetName"}),
    ),
    (FILE, "TestIsTopologyAssignmentStale"): Test(
        stale,
        frozenset({"assignment", "tree"}),
        {"wantStale": TRUTH, "wantStaleDomain": TEXT},
    ),
    (FILE, "TestMergeTopologyAssignments"): Test(
        merged,
        frozenset({"a", "b"}),
        {"want": ASSIGNMENT},
        around=frozenset({"levels", "nodes"}),
    ),
    (FILE, "TestTruncateAssignment"): Test(
        truncated, frozenset({"assignment", "newCount"}), {"want": ASSIGNMENT}
    ),
    (FILE, "TestCountPodsInAssignment"): Test(
        pod_count, frozenset({"assignment"}), {"want": NUMBER}
    ),
    (FILE, "TestComputeAssumedUsageFromAssignment"): Test(
        usage,
        frozenset({"assignment"}),
        {"want": USAGE},
        around=frozenset({"singlePodRequests"}),
    ),
    (FILE, "TestAddAssumedUsage"): Test(
        more_usage, frozenset({"assignment", "assumedUsage", "tasRequests"}), {"want": USAGE}
    ),
    (FILE, "TestFreeCapacityPerDomain"): Test(
        free,
        frozenset({"snapshot"}),
        {"expected": FREE},
        around=frozenset({"leafCapacities"}),
    ),
    (FILE, "TestHasLevel"): Test(
        levels_known,
        frozenset({"podSetTopologyRequest"}),
        {"want": TRUTH},
        around=frozenset({"levels"}),
    ),
    **topology_domains.TESTS,
}

OUTSIDE: dict[tuple[str, str], Outside] = {}
