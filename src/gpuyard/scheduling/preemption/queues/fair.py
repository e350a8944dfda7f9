"""Preemption by fair shares: who has the larger share gives.

All shares count the demand as if it had started. The tournament (`shares`) names a queue, and of
that queue the next candidate is looked at:

- in the demand's own queue it is taken; its policy has allowed it.
- While the demand's queue stays within nominal quota in all that is contested, it is taken: quota
  that one owns does not depend on shares (`reclaim_within_nominal`).
- Else the first strategy decides. *Shares* are those of the two nodes just below the lowest cohort
  that both queues share. ``LessThanOrEqualToFinalShare``: the preemptor's is at most the victim's
  after the victim has gone. ``LessThanInitialShare``: it is below the victim's before.

Where that does not make room, the second strategy, ``LessThanInitialShare``, is asked once for each
queue about those who were spared, with what was taken before still out. At the end the demand's
usage is gone again, and whoever is not needed is put back.

Two shares and the way a removal changes them are all that is worked out in a step; a victim's share
never grows by its removal, so that a preemptor whose share is larger spares the queue as a whole.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption.go (fairPreemptions) and fairsharing/;
the rules S2-a and S2-b of its enhancement proposal 1714. `borrow_within_cohort` plays no part.
"""

from collections.abc import Iterator, Sequence

from gpuyard.scheduling import quota
from gpuyard.scheduling.fair_share import dominant_share
from gpuyard.scheduling.preemption.queues.candidates import (
    NOBODY_USED,
    Candidate,
    LocalUsage,
    in_order,
    in_queue,
)
from gpuyard.scheduling.preemption.queues.classical import is_within_nominal
from gpuyard.scheduling.preemption.queues.minimal import Trial, fill_back
from gpuyard.scheduling.preemption.queues.rules import (
    Demand,
    FairStrategy,
    PreemptionReason,
    QueuePreemptionRules,
    Target,
    VictimOrder,
)
from gpuyard.scheduling.preemption.queues.shares import ShareKey, Tournament, key_of
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.quota import QuotaNode

Taken = dict[str, tuple[Candidate, PreemptionReason]]  # by key, in the order of taking


def search(
    trial: Trial,
    rules: QueuePreemptionRules,
    collected: Sequence[Candidate],
    local_usage: LocalUsage = NOBODY_USED,
) -> list[Target]:
    """Return who of those that were collected has to go, none where it would not help."""
    candidates = in_order(collected, rules, local_usage)
    if not candidates:
        return []
    taken: Taken = {}
    trial.count(is_counted=True)
    fits, left = _first(trial, candidates, rules, taken)
    if not fits and len(rules.strategies) > 1:
        fits = _second(trial, left, taken)
    trial.count(is_counted=False)
    if not fits:
        return []
    needed = fill_back(trial, [candidate for candidate, _ in taken.values()])
    return [Target(each.key, taken[each.key][1]) for each in needed]


def collect(
    queues: Queues, demand: Demand, rules: QueuePreemptionRules, order: VictimOrder = "newest"
) -> list[Candidate]:
    """Return the candidates of the demand's queue, and of those in its tree that borrow."""
    own = queues.node(demand.queue)
    found = in_queue(queues, demand.queue, demand, rules, order)
    if own.parent is None:
        return found
    *_, root = own.to_root()
    for leaf in _leaves(root):
        if leaf is not own and not is_within_nominal(leaf, demand.contested):
            found += in_queue(queues, leaf.name, demand, rules, order)
    return found


def _leaves(node: QuotaNode) -> Iterator[QuotaNode]:
    if not node.is_cohort:
        yield node
    for child in node.children:
        yield from _leaves(child)


def _first(
    trial: Trial, candidates: list[Candidate], rules: QueuePreemptionRules, taken: Taken
) -> tuple[bool, list[Candidate]]:
    """Take victims by the first strategy; return whether the demand fits, and who was spared."""
    tournament = Tournament(trial.leaf, candidates)
    owns_it = rules.reclaim_within_nominal and is_within_nominal(trial.leaf, trial.demand.contested)
    spared: list[Candidate] = []
    while (queue := tournament.next_queue()) is not None:
        reason: PreemptionReason = "InCohortFairSharing"
        if queue is trial.leaf:
            reason = "InClusterQueue"
        elif owns_it:
            reason = "InCohortReclamation"
        else:
            spared += _spared_by(rules.strategies[0], tournament, queue)
            if not tournament.has_candidates(queue):
                continue
        if _takes_next(trial, tournament, queue, reason, taken):
            return True, spared
    return False, spared


def _second(trial: Trial, spared: list[Candidate], taken: Taken) -> bool:
    """Take one of `spared` from each queue whose share is larger; return whether it is enough."""
    tournament = Tournament(trial.leaf, spared)
    while (queue := tournament.next_queue()) is not None:
        own, theirs = tournament.below_shared(queue)
        is_larger = tournament.share(own) < tournament.share(theirs)
        if is_larger and _takes_next(trial, tournament, queue, "InCohortFairSharing", taken):
            return True
        tournament.drop(queue)
    return False


def _takes_next(
    trial: Trial,
    tournament: Tournament,
    queue: QuotaNode,
    reason: PreemptionReason,
    taken: Taken,
) -> bool:
    """Take the next candidate of `queue`, and tell whether the demand fits now."""
    candidate = tournament.pop(queue)
    trial.take_out(candidate.admitted)
    tournament.changed(queue)
    taken[candidate.key] = candidate, reason
    return trial.fits()


def _spared_by(
    strategy: FairStrategy, tournament: Tournament, queue: QuotaNode
) -> Iterator[Candidate]:
    """Yield, and pop, the candidates of `queue` before the first that `strategy` lets go."""
    own, theirs = tournament.below_shared(queue)
    mine, before = tournament.share(own), tournament.share(theirs)
    while tournament.has_candidates(queue):
        if mine <= before and (
            mine < before
            if strategy == "LessThanInitialShare"
            else mine <= share_without(tournament.first(queue), queue, theirs)
        ):
            return
        yield tournament.pop(queue)


def share_without(candidate: Candidate, queue: QuotaNode, node: QuotaNode) -> ShareKey:
    """Return the share of `node` if `candidate` left `queue`, which is `node` or below it."""
    usage = dict(candidate.usage.quota)
    quota.release(queue, usage)
    share = key_of(dominant_share(node))
    quota.use(queue, usage)
    return share
