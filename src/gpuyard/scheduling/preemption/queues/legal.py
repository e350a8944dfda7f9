"""Who of the victims must not go after all, once the end is known.

A search judges each victim at the moment in which it is taken. What it takes and puts back later
changes the ground: victims of the preemptor's own queue lower its share until they are put back, a
queue that others of it are taken from falls back into its quota. Then a victim goes that the rules
protect, and by the same rules it takes its place back, for ever. So this module looks at the end:
all victims gone, the demand started, one victim at a time in its place again.

`revalidate` asks of each victim in another queue whether its claim still stands:

- its queue, and each cohort below the one that both share, uses more than its quota of one thing
  that is contested and that the victim itself holds; and
- where shares decide, the preemptor's is below the victim's. They do with reason
  ``InCohortFairSharing``, and with fair sharing also where the preemptor borrows any of what it
  asks for, be it contested or not.

`stable` also asks whether the demand would stand on less safe quota than the victim. A workload is
exposed at a queue or cohort by what that uses beyond its quota. At each one that both stand in,
below the root, the demand may not be more exposed than the victim was, alone of all victims.
Without this three workloads can evict each other in turn, each step right: a small one takes back
what its queue owns, a larger one of its queue, more important, evicts it and has to borrow, and a
third takes from the borrower. It costs something: a demand that would borrow does not evict several
smaller workloads of its queue, if any of them alone would borrow less.

Neither is Kueue's. The first is its issue 14543 (open at v0.19.2). Cycles of three and more, over
several cohorts and resources too, come up in one of a thousand small random worlds with Kueue's
rules. With both knobs none came up in 400,000 worlds with one resource, and 11 in as many with two:
there a victim may borrow a little of one resource and own what it gives up of the other. What makes
circles impossible is the memory of the ledger: nobody evicts for whom it was evicted
(`ledger.evictions`).
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from gpuyard.model.queues import Admitted, FlavorResource
from gpuyard.scheduling import quota
from gpuyard.scheduling.fair_share import dominant_share, order
from gpuyard.scheduling.preemption.queues.minimal import Trial
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules, Target
from gpuyard.scheduling.quota import QuotaNode


class End(NamedTuple):
    """How the preemptor stands once it has started and all victims are gone, by node above it."""

    exposed: dict[QuotaNode, dict[FlavorResource, int]]
    shares: dict[QuotaNode, tuple[bool, Fraction]]


NOT_ASKED = End({}, {})  # neither exposure nor shares decide


class Ways(NamedTuple):
    """The ways of two queues to the root: each one's up to below what they share, then the rest."""

    own: Sequence[QuotaNode]
    theirs: Sequence[QuotaNode]
    shared: Sequence[QuotaNode]  # without the root, beyond which nobody can borrow


def illegal(trial: Trial, victims: Iterable[Target], rules: QueuePreemptionRules) -> frozenset[str]:
    """Return the keys of those of `victims` that must not go; nobody is out before or after."""
    holders = [(each, trial.queues.admitted[each.workload]) for each in victims]
    for _, admitted in holders:
        trial.take_out(admitted)
    end = _end(trial, rules)
    found: set[str] = set()
    for victim, admitted in holders:
        trial.put_back(admitted)
        if not _is_legal(trial, victim, admitted, end, rules):
            found.add(victim.workload)
        trial.take_out(admitted)
    for _, admitted in holders:
        trial.put_back(admitted)
    return frozenset(found)


def _end(trial: Trial, rules: QueuePreemptionRules) -> End:
    if not (rules.stable or rules.fair_sharing):
        return NOT_ASKED
    trial.count(is_counted=True)
    keys = [key for key, _ in trial.demand.usage.quota]
    above = list(trial.leaf.to_root())
    end = End(
        {node: {key: exposure(node, key) for key in keys} for node in above},
        {node: order(dominant_share(node)) for node in above} if rules.fair_sharing else {},
    )
    trial.count(is_counted=False)
    return end


def _is_legal(
    trial: Trial, victim: Target, admitted: Admitted, end: End, rules: QueuePreemptionRules
) -> bool:
    """Tell whether `victim` may go, being in its place again while all others are gone."""
    ways = _ways(trial.leaf, trial.queues.node(admitted.admission.cluster_queue))
    if rules.revalidate and ways.theirs:
        if not _borrows(admitted, ways.theirs, trial.demand.contested):
            return False
        if rules.fair_sharing:
            borrows = any(any(end.exposed[node].values()) for node in ways.own)
            if victim.reason == "InCohortFairSharing" or borrows:
                theirs = order(dominant_share(ways.theirs[-1]))
                if end.shares[ways.own[-1]] >= theirs:
                    return False
    return not rules.stable or all(
        amount <= exposure(node, key)
        for node in ways.shared
        for key, amount in end.exposed[node].items()
    )


def _borrows(
    admitted: Admitted, branch: Sequence[QuotaNode], contested: frozenset[FlavorResource]
) -> bool:
    """Tell whether all of `branch` is beyond its quota of one contested thing that is held."""
    return any(
        all(quota.is_borrowing(node, key) for node in branch)
        for key, amount in admitted.admission.usage().quota
        if amount > 0 and key in contested
    )


def exposure(node: QuotaNode, key: FlavorResource) -> int:
    """Return how much `node` uses beyond its quota."""
    beyond = quota.saturating_subtract(node.usage.get(key, 0), node.subtree.get(key, 0))
    return max(0, beyond)


def _ways(own: QuotaNode, theirs: QuotaNode) -> Ways:
    mine, other = list(own.to_root()), list(theirs.to_root())
    common = 0
    while common < min(len(mine), len(other)) and mine[-1 - common] is other[-1 - common]:
        common += 1
    split, end = len(mine) - common, len(other) - common
    return Ways(mine[:split], other[:end], mine[split:-1])
