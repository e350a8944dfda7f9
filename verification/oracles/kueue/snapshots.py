"""A snapshot of the queues: quota and usage of each, and what hosts offer and have given."""

import json
from typing import NamedTuple

from gpuyard.dialects import core, kueue
from gpuyard.dialects.kueue.parts import amount_of
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.queues import ResourceFlavor, Usage
from gpuyard.model.resources import Resources
from gpuyard.model.topology import DomainCount, Topology, TopologyUsage
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import TopologyCapacity, survey
from verification.oracles.kueue.cache import FILE, admit, name_of, queues_of
from verification.oracles.kueue.cycles.objects import places
from verification.oracles.kueue.kinds import SNAPSHOT, NodeState, without_zeros
from verification.oracles.kueue.objects import amounts, everyone
from verification.oracles.rows import Answers, Json, Kind, Row, Test


class Seen(NamedTuple):
    """What is expected of a snapshot."""

    nodes: dict[tuple[str, str], NodeState]
    inactive: dict[str, bool]


def snapshot(row: Row) -> Answers:
    """Answer with quota and usage of all queues; where places are given, with what is used of them.

    Flavors that were changed are read again, and who is there is counted again.
    """
    case = row.case
    changed = {name_of(each): each for each in case["relabeledFlavors"] or ()}
    flavors = [changed.get(name_of(each), each) for each in case["rfs"] or ()]
    queues = queues_of(
        case["cqs"] or (),
        flavors,
        case["cohorts"],
        topologies=[name_of(each) for each in case["topologies"] or ()],
        capacities=places(case, list(map(kueue.resource_flavor, flavors))),
    )
    admit(queues, case["wls"])
    states = {
        ("cohorts" if node.is_cohort else "clusterQueues", node.name): NodeState(
            without_zeros(node.subtree), without_zeros(node.usage)
        )
        for node in everyone(queues.tree)
        if node.is_cohort or node.name not in queues.inactive
    }
    if case["tasFlavorUsage"] is not None:
        return {"wantTASUsage": _domain_usage(queues, case["tasFlavorUsage"])}
    seen = Seen(states, dict.fromkeys(queues.inactive, True))
    return {"wantTASUsage": None, "wantSnapshot": seen}


def _domain_usage(queues: Queues, given: Json) -> dict[str, dict[str, dict[str, int]]]:
    """Count `given` by flavor; return what is then used in each domain of each flavor."""
    (queue,) = queues.specs
    for flavor, usages in given.items():
        for each in usages:
            domain = DomainCount(tuple(each["values"]), each["count"])
            usage = TopologyUsage(flavor, Resources.of(each["singlePodRequests"]), (domain,))
            queues.use(queue, Usage((), (usage,)))
    return {name: _by_domain(each, each.used.tolist()) for name, each in queues.places.items()}


def _by_domain(capacity: TopologyCapacity, rows: list[list[int]]) -> dict[str, dict[str, int]]:
    names = {column: name for name, column in capacity.resources.items()}
    return {
        ",".join(capacity.tree.leaf_values(leaf)): {
            names[column]: amount for column, amount in enumerate(row) if amount
        }
        for leaf, row in enumerate(rows)
        if any(row)
    }


def free_capacity(row: Row) -> Answers:
    """Answer with what each host offers to a flavor of all nodes; nobody uses any of it."""
    fleet = Snapshot()
    for rank, node in enumerate(row.case["nodes"]):
        fleet.apply(NodeObserved(core.node(node, rank=rank)))
    flavor = ResourceFlavor(name="tas-flavor", topology="hosts")
    capacity = survey(fleet, flavor, Topology(name="hosts", levels=("kubernetes.io/hostname",)))
    free = _by_domain(capacity, capacity.free.tolist())
    used = _by_domain(capacity, capacity.used.tolist())
    offered = {name: (each, used.get(name, {})) for name, each in free.items()}
    return {"wantFreeCapacityPerDomain": [offered]}


# -- how expectations are read


def _read_seen(wanted: Json) -> Seen:
    nodes = {
        (kind, name): NodeState(
            *(
                without_zeros(amounts(one.get("resourceNode", {}).get(field)))
                for field in ("subtreeQuota", "usage")
            )
        )
        for kind in ("clusterQueues", "cohorts")
        for name, one in wanted["manager"].get(kind, {}).items()
    }
    inactive = wanted.get("inactiveClusterQueueSets", {})
    return Seen(nodes, {name: member == {} for name, member in inactive.items()})


def _read_domains(wanted: Json) -> Json:
    return wanted and {
        flavor: {domain: used for domain, used in domains.items() if used}
        for flavor, domains in wanted.items()
    }


def _read_offered(wanted: Json) -> list[dict[str, tuple[dict[str, int], dict[str, int]]]]:
    def read(given: Json) -> dict[str, int]:
        return {name: amount_of(name, amount, name) for name, amount in given.items()}

    return [
        {
            domain: (read(each["freeCapacity"]), read(each["tasUsage"]))
            for domain, each in json.loads(text).items()
        }
        for text in wanted
    ]


_OTHER = SNAPSHOT.skips - {"inactiveClusterQueueSets"}

SEEN = Kind(_read_seen, {}, _OTHER)
DOMAINS = Kind(_read_domains, {"altered": {"altered": {"cpu": 1}}})
OFFERED = Kind(_read_offered, [])

TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestSnapshot"): Test(
        snapshot,
        frozenset(
            {
                "cohorts",
                "cqs",
                "featureGates",
                "nodes",
                "relabeledFlavors",
                "rfs",
                "tasFlavorUsage",
                "topologies",
                "wls",
            }
        ),
        {"wantSnapshot": SEEN, "wantTASUsage": DOMAINS},
        late=frozenset({"wantSnapshot"}),
    ),
    (FILE, "TestSnapshotLog"): Test(
        free_capacity, frozenset({"nodes"}), {"wantFreeCapacityPerDomain": OFFERED}
    ),
}
