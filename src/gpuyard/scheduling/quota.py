"""How much of a resource a queue may still use.

Quota lives in trees: ClusterQueues are leaves, Cohorts are inner nodes, a Cohort without a parent
is a root, and so is a ClusterQueue without a Cohort. Everything is counted per flavor and resource:

- *subtree* quota: what a node owns plus what its children let others see;
- *local* quota: the part of it that the lending limit keeps back from the parent;
- *usage*: of a queue, what its workloads hold; of a cohort, what its children use beyond their
  local quota. Usage bubbles up only as far as it exceeds what is local.

A node first uses what is local. Everything else is stored in its parent, where siblings may have
taken it, and where it may take theirs up to its borrowing limit. So the answer for a queue is found
from the root downwards. It may be negative: quota was lowered under running workloads.

`build` is the door. Whatever is wrong with the queues themselves is refused there with one
sentence; behind it every tree is sound, of any depth. Quotas do not change in a built tree, usage
does: `use` and `release` are exact inverses, in any order.

Semantics: Kueue v0.19.2, pkg/cache/scheduler/resource_node.go, clusterqueue_snapshot.go (fits),
pkg/resources/amount.go (saturation), pkg/scheduler/preemption/classical/hierarchical_preemption.go
(height). Where we differ, on purpose: usage is an exact integer and never saturates, so that it can
be given back; to release more than is held is an error; Kueue leaves a queue with an unknown flavor
inactive, here it is refused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gpuyard.model.queues import (
    QUOTA_MAX,
    QUOTA_MIN,
    WEIGHT_ONE_NANO,
    ClusterQueue,
    Cohort,
    FlavorResource,
    ResourceGroup,
    ResourceQuota,
)

Usage = Mapping[FlavorResource, int]

WEIGHT_NANO_MIN = 2  # Kueue: a weight that is not 0 is more than 10⁻⁹
CYCLE_NAMES_MAX = 8  # so many names of a cycle does an error tell


class QuotaError(ValueError):
    """Queues or amounts that contradict themselves; one sentence, nothing was changed."""


class QuotaNode:
    """A ClusterQueue or a Cohort in its tree; all amounts by flavor and resource.

    A missing entry is zero. Only `usage` changes after `build`.
    """

    __slots__ = (
        "children",
        "height",
        "is_cohort",
        "lendable",
        "local",
        "name",
        "parent",
        "potential",
        "quotas",
        "subtree",
        "usage",
        "weight_nano",
    )

    def __init__(
        self,
        name: str,
        *,
        is_cohort: bool,
        quotas: dict[FlavorResource, ResourceQuota] | None = None,
        weight_nano: int = WEIGHT_ONE_NANO,
    ) -> None:
        """Start alone and unused."""
        self.name = name
        self.is_cohort = is_cohort
        self.quotas = quotas or {}
        self.weight_nano = weight_nano
        self.parent: QuotaNode | None = None
        self.children: list[QuotaNode] = []  # by name, cohorts first
        self.height = 0  # steps to the furthest leaf
        self.subtree: dict[FlavorResource, int] = {}
        self.local: dict[FlavorResource, int] = {}
        self.potential: dict[FlavorResource, int] = {}  # available without any usage
        self.lendable: dict[str, int] = {}  # potential by resource, over all flavors of the tree
        self.usage: dict[FlavorResource, int] = {}  # zeros are left out

    def __repr__(self) -> str:
        return f"{'Cohort' if self.is_cohort else 'ClusterQueue'} {self.name}"

    def to_root(self) -> "Iterator[QuotaNode]":
        """Yield the node itself, its parent, and so on."""
        node: QuotaNode | None = self
        while node is not None:
            yield node
            node = node.parent


class QuotaTree(NamedTuple):
    """All trees of a cluster: their leaves and their inner nodes by name."""

    cluster_queues: dict[str, QuotaNode]
    cohorts: dict[str, QuotaNode]


class Height(NamedTuple):
    """How high in its tree a queue has to borrow; 0 is its own quota.

    `is_part` is true where that subtree is not the whole tree.
    """

    levels: int
    is_part: bool


# -- the door


def build(
    cluster_queues: Iterable[ClusterQueue],
    cohorts: Iterable[Cohort] = (),
    *,
    flavors: Iterable[str],
) -> QuotaTree:
    """Return the trees of these queues without any usage; `flavors` are the names that exist.

    A cohort that is only named (by a queue or as a parent) is a root without quota of its own.

    Raises
    ------
    QuotaError
        for two of one name, a flavor that does not exist, a negative amount or weight, two quotas
        for the same thing, or cohorts that are their own ancestors.

    """
    queues, groups, known = list(cluster_queues), list(cohorts), frozenset(flavors)
    tree = QuotaTree({}, {})
    for queue in queues:
        _insert(tree.cluster_queues, queue, queue.resource_groups, known)
    for cohort in groups:
        _insert(tree.cohorts, cohort, cohort.resource_groups, known)
    for queue in queues:
        _adopt(tree, tree.cluster_queues[queue.name], queue.cohort)
    for cohort in groups:
        _adopt(tree, tree.cohorts[cohort.name], cohort.parent)
    downwards = _from_roots(tree)
    for node in reversed(downwards):
        _sum_up(node)
    for node in downwards:
        _look_down(node)
    return tree


def _insert(
    nodes: dict[str, QuotaNode],
    spec: ClusterQueue | Cohort,
    groups: Sequence[ResourceGroup],
    known: frozenset[str],
) -> None:
    place = f"{type(spec).__name__} {spec.name}"
    if spec.name in nodes:
        raise QuotaError(f"{place} exists twice; give each a name of its own")
    if spec.fair_weight_nano != 0 and spec.fair_weight_nano < WEIGHT_NANO_MIN:
        weight = "negative" if spec.fair_weight_nano < 0 else "too small"
        raise QuotaError(f"{place}: its fair weight is {weight}; give 0 or more than 1n")
    nodes[spec.name] = QuotaNode(
        spec.name,
        is_cohort=isinstance(spec, Cohort),
        quotas=_quotas(place, groups, known),
        weight_nano=spec.fair_weight_nano,
    )


def _quotas(
    place: str, groups: Sequence[ResourceGroup], known: frozenset[str]
) -> dict[FlavorResource, ResourceQuota]:
    found: dict[FlavorResource, ResourceQuota] = {}
    for group in groups:
        for flavor in group.flavors:
            if flavor.flavor not in known:
                raise QuotaError(f"{place}: there is no ResourceFlavor {flavor.flavor}")
            for quota in flavor.resources:
                key = FlavorResource(flavor.flavor, quota.resource)
                at = f"{place}: {key.resource} in flavor {key.flavor}"
                if quota.resource not in group.covered_resources:
                    raise QuotaError(f"{at} is not among the resources that its group covers")
                if key in found:
                    raise QuotaError(f"{at} has two quotas; give one")
                _check_amounts(at, quota)
                found[key] = quota
    return found


def _check_amounts(place: str, quota: ResourceQuota) -> None:
    for word, amount in (
        ("nominal quota", quota.nominal),
        ("borrowing limit", quota.borrowing_limit),
        ("lending limit", quota.lending_limit),
    ):
        if amount is not None and amount < 0:
            raise QuotaError(f"{place}: the {word} is {amount}; it cannot be negative")


def _adopt(tree: QuotaTree, node: QuotaNode, parent: str) -> None:
    if not parent:
        return
    if parent not in tree.cohorts:
        tree.cohorts[parent] = QuotaNode(parent, is_cohort=True)
    node.parent = tree.cohorts[parent]
    node.parent.children.append(node)


def _from_roots(tree: QuotaTree) -> list[QuotaNode]:
    """Return every node after its parent."""
    everyone = [*tree.cohorts.values(), *tree.cluster_queues.values()]
    downwards = sorted((node for node in everyone if node.parent is None), key=_by_name)
    for node in downwards:  # grows while it is walked
        node.children.sort(key=_by_name)
        downwards.extend(node.children)
    if len(downwards) < len(everyone):
        reached = set(map(id, downwards))
        lost = [node for node in tree.cohorts.values() if id(node) not in reached]
        raise QuotaError(
            f"these Cohorts are their own ancestors: {' → '.join(_cycle(lost))}; "
            "take the parent from one of them"
        )
    return downwards


def _by_name(node: QuotaNode) -> tuple[bool, str]:
    return not node.is_cohort, node.name


def _cycle(lost: Iterable[QuotaNode]) -> list[str]:
    """Return the names around the cycle that the smallest of `lost` is in or hangs from."""
    seen: dict[str, int] = {}
    for node in min(lost, key=_by_name).to_root():
        if node.name in seen:
            around = [*list(seen)[seen[node.name] :], node.name]
            return around if len(around) <= CYCLE_NAMES_MAX else [*around[:CYCLE_NAMES_MAX], "…"]
        seen[node.name] = len(seen)
    raise AssertionError(f"no cycle above {node.name}")  # it has a root and is not lost


def _sum_up(node: QuotaNode) -> None:
    """Set subtree and local quota; the children's are set."""
    total = {key: quota.nominal for key, quota in node.quotas.items()}
    for child in node.children:
        for key, owned in child.subtree.items():
            visible = saturating_subtract(owned, child.local.get(key, 0))
            total[key] = saturating_add(total.get(key, 0), visible)
    node.subtree = total
    for key, quota in node.quotas.items():
        if quota.lending_limit is not None:
            node.local[key] = max(0, saturating_subtract(total[key], quota.lending_limit))
    node.height = 1 + max((child.height for child in node.children), default=-1)


def _look_down(node: QuotaNode) -> None:
    """Set what is available without usage; the parent's is set and names every resource."""
    if node.parent is None:
        node.potential = dict(node.subtree)
    else:
        for key, above in node.parent.potential.items():
            most = saturating_add(node.local.get(key, 0), above)
            limit = _borrowing_limit(node, key)
            if limit is not None:
                most = min(saturating_add(node.subtree.get(key, 0), limit), most)
            node.potential[key] = most
    for key, amount in node.potential.items():
        node.lendable[key.resource] = saturating_add(node.lendable.get(key.resource, 0), amount)


# -- what a queue may still use


def available(node: QuotaNode, key: FlavorResource) -> int:
    """Return what `node` could still take now, borrowing included; negative if over-admitted."""
    below: list[QuotaNode] = []
    root = node
    while root.parent is not None:
        below.append(root)
        root = root.parent
    free = saturating_subtract(root.subtree.get(key, 0), root.usage.get(key, 0))
    for step in reversed(below):
        limit = _borrowing_limit(step, key)
        if limit is not None:
            free = min(free, saturating_add(_left_in_parent(step, key), limit))
        free = saturating_add(local_available(step, key), free)
    return free


def local_available(node: QuotaNode, key: FlavorResource) -> int:
    """Return what is left of the quota that `node` does not lend; never negative."""
    return max(0, saturating_subtract(node.local.get(key, 0), node.usage.get(key, 0)))


def potential_available(node: QuotaNode, key: FlavorResource) -> int:
    """Return what `node` could take if nobody used anything: the largest request it can meet."""
    return node.potential.get(key, 0)


def fits(node: QuotaNode, requests: Usage) -> bool:
    """Tell whether `node` can take `requests` now. Nothing is asked in vain: zero always fits."""
    return all(max(0, available(node, key)) >= amount for key, amount in requests.items())


def is_borrowing(node: QuotaNode, key: FlavorResource, extra: int = 0) -> bool:
    """Tell whether `node`, with `extra` on top, uses more than its subtree owns."""
    used = node.usage.get(key, 0)
    used = saturating_add(used, extra) if extra else min(used, QUOTA_MAX)
    return node.subtree.get(key, 0) < used


def borrowing_height(node: QuotaNode, key: FlavorResource, amount: int) -> Height:
    """Return the height of the lowest subtree whose own quota holds `amount` more.

    Where none does it is the height of the whole tree: the request borrows as widely as it can.
    """
    if node.parent is None or not is_borrowing(node, key, amount):
        return Height(0, is_part=node.parent is not None)
    rest = saturating_subtract(amount, local_available(node, key))
    root = node.parent
    for root in node.parent.to_root():
        if not is_borrowing(root, key, rest):
            return Height(root.height, is_part=root.parent is not None)
        rest = saturating_subtract(rest, local_available(root, key))
    return Height(root.height, is_part=False)


def _borrowing_limit(node: QuotaNode, key: FlavorResource) -> int | None:
    quota = node.quotas.get(key)
    return None if quota is None else quota.borrowing_limit


def _left_in_parent(node: QuotaNode, key: FlavorResource) -> int:
    """Return what `node` has stored in its parent and not used itself; negative if it borrows."""
    local = node.local.get(key, 0)
    stored = saturating_subtract(node.subtree.get(key, 0), local)
    used = max(0, saturating_subtract(node.usage.get(key, 0), local))
    return saturating_subtract(stored, used)


# -- usage


def use(node: QuotaNode, usage: Usage) -> None:
    """Count `usage` against `node` and, beyond local quota, against its ancestors.

    It is not asked whether it fits. Raises QuotaError for a negative amount.
    """
    _check_usage(node, usage)
    for key, amount in usage.items():
        _bubble(node, key, amount)


def release(node: QuotaNode, usage: Usage) -> None:
    """Undo `use`, in any order of uses and releases.

    Raises QuotaError for a negative amount, or for more than `node` uses.
    """
    _check_usage(node, usage)
    for key, amount in usage.items():
        held = node.usage.get(key, 0)
        if amount > held:
            raise QuotaError(
                f"{node!r}: {amount} of {key.resource} in flavor {key.flavor} cannot be released, "
                f"only {held} are used"
            )
    for key, amount in usage.items():
        _bubble(node, key, -amount)


def _check_usage(node: QuotaNode, usage: Usage) -> None:
    for key, amount in usage.items():
        if amount < 0:
            raise QuotaError(
                f"{node!r}: {amount} of {key.resource} in flavor {key.flavor} is no usage; "
                "it cannot be negative"
            )


def _bubble(node: QuotaNode, key: FlavorResource, change: int) -> None:
    """Change the usage of `node`, and of each ancestor by what this changes beyond local quota."""
    step: QuotaNode | None = node
    while step is not None and change:
        before = step.usage.get(key, 0)
        used = before + change
        if used:
            step.usage[key] = used
        else:
            del step.usage[key]
        local = step.local.get(key, 0)
        if local:  # without, all of the usage is in the parent: it is never negative
            beyond = 0 if local >= QUOTA_MAX else max(0, used - local)
            change = beyond - (0 if local >= QUOTA_MAX else max(0, before - local))
        step = step.parent


# -- amounts


def saturating_add(left: int, right: int) -> int:
    """Return the sum; without bound if one of both is."""
    if left >= QUOTA_MAX or right >= QUOTA_MAX:
        return QUOTA_MAX
    return max(QUOTA_MIN, min(left + right, QUOTA_MAX))


def saturating_subtract(left: int, right: int) -> int:
    """Return the difference; what is without bound stays so, and takes all from what is not."""
    if right >= QUOTA_MAX:
        return 0 if left >= QUOTA_MAX else QUOTA_MIN
    if left >= QUOTA_MAX:
        return QUOTA_MAX
    return max(QUOTA_MIN, min(left - right, QUOTA_MAX))
