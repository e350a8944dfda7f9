"""Assignments as values: counted, joined, cut short, turned into usage.

An assignment lists leaves in the order of their names, from the widest label to the narrowest; the
pods of a workload take them in this order, by rank. So joining keeps that order, and cutting takes
from the end.

Semantics: Kueue v0.19.2, pkg/util/tas/tas_assignment.go (CountPodsInAssignment, TruncateAssignment,
ComputeUsagePerDomain), pkg/cache/scheduler/tas_flavor_snapshot.go (mergeTopologyAssignments,
IsTopologyAssignmentStale, deleteDomain).
"""

from collections import Counter

from gpuyard.model.resources import Resources
from gpuyard.model.topology import DomainCount, TopologyAssignment, TopologyUsage
from gpuyard.scheduling.topology.tree import DomainTree


def pod_count(assignment: TopologyAssignment | None) -> int:
    """Return how many pods have a place."""
    return sum(domain.count for domain in assignment.domains) if assignment else 0


def merged(
    tree: DomainTree, one: TopologyAssignment, other: TopologyAssignment
) -> TopologyAssignment:
    """Return both together, in the order of the leaves; all of them are in `tree`."""
    counts: Counter[tuple[str, ...]] = Counter()
    for domain in (*one.domains, *other.domains):
        counts[domain.values] += domain.count
    in_order = sorted(counts, key=tree.leaf_of.__getitem__)
    return TopologyAssignment(
        one.levels,
        tuple(DomainCount(values, counts[values]) for values in in_order),
        one.alone_in,
    )


def truncated(assignment: TopologyAssignment, count: int) -> TopologyAssignment:
    """Return the places of the first `count` pods."""
    kept: list[DomainCount] = []
    for domain in assignment.domains:
        if count <= 0:
            break
        kept.append(DomainCount(domain.values, min(domain.count, count)))
        count -= domain.count
    return TopologyAssignment(assignment.levels, tuple(kept), assignment.alone_in)


def without_host(assignment: TopologyAssignment, host: str) -> tuple[TopologyAssignment, int]:
    """Return the places on other hosts, and how many pods stand on `host`."""
    kept = tuple(domain for domain in assignment.domains if domain.values[-1] != host)
    rest = TopologyAssignment(assignment.levels, kept, assignment.alone_in)
    return rest, pod_count(assignment) - pod_count(rest)


def stale_domain(tree: DomainTree, assignment: TopologyAssignment) -> tuple[str, ...] | None:
    """Return the first domain that is not in `tree` any more, `None` where all are."""
    for domain in assignment.domains:
        if domain.values not in tree.leaf_of:
            return domain.values
    return None


def usage_of(flavor: str, per_pod: Resources, assignment: TopologyAssignment) -> TopologyUsage:
    """Return what pods with these places hold; each of them takes `per_pod`."""
    return TopologyUsage(flavor, per_pod, assignment.domains, assignment.alone_in)
