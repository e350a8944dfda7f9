"""Preemption without fair shares: quota that is one's own, then priorities.

A workload in another queue can be a candidate in three ways, and has its *claim* accordingly:

- ``hierarchical``: the demand fits into the quota of a subtree that the candidate stands outside
  of. Whatever is used there beyond quota is given back, at any priority that the policy allows.
- ``while-borrowing``: there is no such subtree, but `borrow_within_cohort` lets the demand's queue
  evict who is less important, and borrow itself.
- ``without-borrowing``: nor that; it goes only if the demand then stays in its nominal quota.

The fourth claim is ``within``: it is in the same queue.

A candidate of another queue is valid for as long as its queue, and every cohort between it and the
lowest that both share, use more than their nominal quota of something that is contested. So each is
asked again when its turn comes: victims taken before may have brought its queue back to nominal.

Two attempts are made with the same order: with borrowing (then ``without-borrowing`` has no claim)
and without. Which comes first, and whether both are made, is Kueue's, for compatibility.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/classical/ and preemption.go
(classicalPreemptions).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from gpuyard.model.queues import Admitted, FlavorResource
from gpuyard.scheduling import quota
from gpuyard.scheduling.preemption.queues.candidates import (
    NOBODY_USED,
    Candidate,
    LocalUsage,
    Rank,
    candidate,
    in_order,
    let_go,
)
from gpuyard.scheduling.preemption.queues.minimal import Trial, fill_back
from gpuyard.scheduling.preemption.queues.policies import may_borrow_over
from gpuyard.scheduling.preemption.queues.rules import (
    Demand,
    PreemptionReason,
    QueuePreemptionRules,
    Target,
    VictimOrder,
)
from gpuyard.scheduling.queues import NOTHING_LOST, Loss, Queues
from gpuyard.scheduling.quota import QuotaNode

Claim = Literal["within", "hierarchical", "without-borrowing", "while-borrowing"]

REASONS: dict[Claim, PreemptionReason] = {
    "within": "InClusterQueue",
    "hierarchical": "InCohortReclamation",
    "without-borrowing": "InCohortReclamation",
    "while-borrowing": "InCohortReclaimWhileBorrowing",
}
GROUPS: tuple[tuple[Claim, ...], ...] = (
    ("hierarchical",),
    ("without-borrowing", "while-borrowing"),
    ("within",),
)
OFFERS_KEPT_MAX = 64  # lists of candidates; beyond it they are collected anew
GROUP_OF = {claim: place for place, claims in enumerate(GROUPS) for claim in claims}


class Claimed(NamedTuple):
    """A candidate, by which claim, and the nodes from its queue up to below the shared cohort."""

    candidate: Candidate
    claim: Claim
    branch: tuple[QuotaNode, ...]

    @property
    def key(self) -> str:
        """Return the key of the workload."""
        return self.candidate.key

    @property
    def priority(self) -> int:
        """Return the priority that counts."""
        return self.candidate.priority


Found = tuple[Admitted, Claim, tuple[QuotaNode, ...]]


class Offers:
    """Candidates of other queues by order and who asks, and what anybody loses, at one instant."""

    def __init__(self) -> None:
        """Know nobody."""
        self.lists: dict[Hashable, Sequence[Claimed]] = {}
        self.losses: dict[str, Loss] = {}  # of those who hold quota

    def losses_of(self, queues: Queues, found: Iterable[Found]) -> Mapping[str, Loss]:
        """Return a mapping that knows what each of `found` would lose."""
        for admitted, _, _ in found:
            key = admitted.workload.key
            if key not in self.losses:
                self.losses[key] = queues.losses.get(key, NOTHING_LOST)
        return self.losses

    def keep(self, asked: Hashable, offered: Sequence[Claimed]) -> None:
        """Remember who can be taken by those who ask like that."""
        if len(self.lists) >= OFFERS_KEPT_MAX:
            self.lists.clear()
        self.lists[asked] = offered


class Outside(NamedTuple):
    """A queue outside the demand's that uses more than its quota of what is contested."""

    queue: str
    branch: tuple[QuotaNode, ...]
    is_hierarchical: bool


def search(
    trial: Trial,
    rules: QueuePreemptionRules,
    claimed: Sequence[Claimed],
    local_usage: LocalUsage = NOBODY_USED,
) -> list[Target]:
    """Return who of those that were collected has to go, none where it would not help.

    They stand in the order of `in_turn`; only what LocalQueues used is looked at anew.
    """
    demand = trial.demand
    ordered = claimed
    if rules.by_local_usage and local_usage:
        ordered = _by_local_usage(claimed, rules, local_usage)
    for may_borrow in attempts(trial, {each.claim for each in claimed}):
        taken: list[Claimed] = []
        for each in ordered:
            if not is_valid(each, demand.contested, may_borrow=may_borrow):
                continue
            trial.take_out(each.candidate.admitted)
            taken.append(each)
            if trial.fits(may_borrow=may_borrow):
                return _needed(trial, taken, may_borrow=may_borrow)
        for each in taken:
            trial.put_back(each.candidate.admitted)
    return []


def _needed(trial: Trial, taken: list[Claimed], *, may_borrow: bool) -> list[Target]:
    claims = {each.candidate.key: each.claim for each in taken}
    needed = fill_back(trial, [each.candidate for each in taken], may_borrow=may_borrow)
    return [Target(candidate.key, REASONS[claims[candidate.key]]) for candidate in needed]


def attempts(trial: Trial, claims: set[Claim]) -> tuple[bool, ...]:
    """Return whether the demand may borrow, attempt by attempt."""
    borrow = trial.queues.specs[trial.demand.queue].preemption.borrow_within_cohort
    may_not_borrow_over = borrow.policy == "Never"
    if claims <= {"within"} or (may_not_borrow_over and not _is_under_nominal(trial)):
        return (True,)
    if may_not_borrow_over and "hierarchical" not in claims:
        return (False, True)
    return (True, False)


def _is_under_nominal(trial: Trial) -> bool:
    """Tell whether the queue has nominal quota left of all that is contested."""
    leaf = trial.leaf
    return all(leaf.usage.get(key, 0) < leaf.subtree.get(key, 0) for key in trial.demand.contested)


# -- candidates


def collect(
    queues: Queues, demand: Demand, rules: QueuePreemptionRules, order: VictimOrder = "newest"
) -> list[Claimed]:
    """Return all candidates with their claims, in no order."""
    own = _within(queues, demand, rules)
    others = _of_others(queues, demand, rules, list(_outside(queues.node(demand.queue), demand)))
    return _ranked([*own, *others], demand, rules, order, queues.losses)


def in_turn(
    queues: Queues,
    demand: Demand,
    rules: QueuePreemptionRules,
    orders: Sequence[VictimOrder],
    known: Offers | None = None,
) -> list[Sequence[Claimed]]:
    """Return for each of `orders` the candidates that could help, as they are taken.

    Who is told to go already comes first, then the others; each by claim, then by rank. A claim
    ``without-borrowing`` is good for nothing where the demand has to borrow even if everybody of
    its own queue leaves who may. Candidates of other queues are `known` where somebody asked for
    as much who may take them as well, as long as nobody loses anything else by going.
    """
    own = _within(queues, demand, rules)
    allowed = queues.specs[demand.queue].preemption
    may_borrow_over_some = allowed.borrow_within_cohort.policy != "Never"
    is_useful = may_borrow_over_some or _may_own_enough(queues, demand, [each for each, *_ in own])
    outside = [
        each
        for each in _outside(queues.node(demand.queue), demand)
        if each.is_hierarchical or is_useful
    ]
    is_anybodys = allowed.reclaim_within_cohort == "Any" and not may_borrow_over_some
    asked = (
        queues.holders_changed,
        "" if is_anybodys else demand.workload.key,
        demand.contested,
        frozenset(queues.not_evicted_by(demand.workload.key)),
        tuple(outside),
    )
    known = Offers() if known is None else known
    found: list[Sequence[Claimed]] = []
    for order in orders:
        others = known.lists.get((order, asked))
        if others is None:
            named = _of_others(queues, demand, rules, outside)
            losses = known.losses_of(queues, named if order != "newest" else ())
            others = sorted(_ranked(named, demand, rules, order, losses), key=_turn)
            known.keep((order, asked), others)
        losses = known.losses_of(queues, own if order != "newest" else ())
        ranked = _ranked(own, demand, rules, order, losses)
        found.append(sorted([*ranked, *others], key=_turn) if ranked else others)
    return found


def _ranked(
    found: Sequence[Found],
    demand: Demand,
    rules: QueuePreemptionRules,
    order: VictimOrder,
    losses: Mapping[str, Loss],
) -> list[Claimed]:
    return [
        Claimed(candidate(admitted, demand, rules, order, losses), claim, branch)
        for admitted, claim, branch in found
    ]


def _within(queues: Queues, demand: Demand, rules: QueuePreemptionRules) -> list[Found]:
    """Return who could go of the demand's own queue."""
    return [(each, "within", ()) for each in let_go(queues, demand.queue, demand, rules)]


def _of_others(
    queues: Queues, demand: Demand, rules: QueuePreemptionRules, outside: Sequence[Outside]
) -> list[Found]:
    """Return who could go of the queues `outside`, and by which claim."""
    allowed = queues.specs[demand.queue].preemption
    found: list[Found] = []
    for queue, branch, is_hierarchical in outside:
        for each in let_go(queues, queue, demand, rules):
            claim: Claim = "without-borrowing"
            if is_hierarchical:
                claim = "hierarchical"
            elif may_borrow_over(allowed, demand.workload, each.workload, rules):
                claim = "while-borrowing"
            found.append((each, claim, branch))
    return found


def _may_own_enough(queues: Queues, demand: Demand, own: Iterable[Admitted]) -> bool:
    """Tell whether the demand would fit into what its queue owns if all of `own` left."""
    leaf = queues.node(demand.queue)
    left: Counter[FlavorResource] = Counter()
    for each in own:
        left.update(dict(queues.usage_of(each.workload.key).quota))
    return not any(
        quota.is_borrowing(leaf, key, amount - left[key]) for key, amount in demand.usage.quota
    )


def _outside(leaf: QuotaNode, demand: Demand) -> Iterator[Outside]:
    """Yield the queues to take from, those of the lowest shared cohort first."""
    rest = dict(demand.usage.quota)
    is_hierarchical, rest = _fits_in_quota(leaf, rest)
    below = leaf
    for cohort in leaf.to_root():
        if cohort is leaf:
            continue
        for child in cohort.children:
            if child is not below and not is_within_nominal(child, demand.contested):
                yield from _beyond_nominal(child, (), demand.contested, is_hierarchical)
        fits, rest = _fits_in_quota(cohort, rest)
        is_hierarchical = is_hierarchical or fits
        below = cohort


def _beyond_nominal(
    node: QuotaNode,
    above: tuple[QuotaNode, ...],
    contested: frozenset[FlavorResource],
    is_hierarchical: bool,  # noqa: FBT001 — passed down unchanged, private
) -> Iterator[Outside]:
    """Yield the queues in the subtree of `node` on whose way up to it everybody exceeds its quota.

    `node` itself exceeds its own.
    """
    branch = (node, *above)
    if not node.is_cohort:
        yield Outside(node.name, branch, is_hierarchical)
    for child in node.children:
        if not is_within_nominal(child, contested):
            yield from _beyond_nominal(child, branch, contested, is_hierarchical)


def _fits_in_quota(
    node: QuotaNode, requests: dict[FlavorResource, int]
) -> tuple[bool, dict[FlavorResource, int]]:
    """Tell whether `node` owns enough for `requests` too, and return what goes beyond its local."""
    is_enough = not any(quota.is_borrowing(node, key, extra) for key, extra in requests.items())
    beyond = {
        key: max(0, quota.saturating_subtract(amount, quota.local_available(node, key)))
        for key, amount in requests.items()
    }
    return is_enough, beyond


def is_within_nominal(node: QuotaNode, contested: frozenset[FlavorResource]) -> bool:
    """Tell whether `node` uses no more than it owns of all that is contested."""
    for key in contested:  # noqa: SIM110  asked of every queue of the tree, for every demand
        if quota.is_borrowing(node, key):
            return False
    return True


def is_valid(each: Claimed, contested: frozenset[FlavorResource], *, may_borrow: bool) -> bool:
    """Tell whether a candidate may be taken now."""
    if each.claim == "within":
        return True
    if may_borrow and each.claim == "without-borrowing":
        return False
    return not any(is_within_nominal(node, contested) for node in each.branch)


def _by_local_usage(
    claimed: Sequence[Claimed], rules: QueuePreemptionRules, local_usage: LocalUsage
) -> list[Claimed]:
    """Return who was told to go already, then the others; each by claim, then as they are taken."""
    by_key = {each.key: each for each in claimed}
    in_rank: list[Claimed] = []
    for claims in GROUPS:
        group = (each.candidate for each in claimed if each.claim in claims)
        in_rank += (by_key[each.key] for each in in_order(group, rules, local_usage))
    return sorted(in_rank, key=lambda each: not each.candidate.admitted.evicted)


def _turn(each: Claimed) -> tuple[bool, int, Rank]:
    return not each.candidate.admitted.evicted, GROUP_OF[each.claim], each.candidate.rank
