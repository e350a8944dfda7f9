"""The search through the flavors of one resource group, for pod sets that stay together.

Flavors are looked at in the order of the queue, from where the last search stopped. Each gets the
grade of its worst resource. The search ends early at the first flavor that is good enough for the
queue's fungibility; else the best grade wins, the earlier flavor among equals.

The position that is remembered is that of the last flavor looked at, whichever was taken: the next
search goes on behind it, or begins anew when that was the last of all.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner/flavorassigner.go (findFlavorForPodSets,
fitsResourceQuota). Where we differ, on purpose: a position behind the last flavor (the queue has
lost some since) begins anew; there it finds nothing to object to, and the pod set fits without any
flavor. A queue may rather preempt than borrow; where then one resource borrows and another one
needs preemption, the grade is that of borrowing, and there the whole counts as fitting and waits
for good. Here the mode is that of each resource.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gpuyard.model.queues import FlavorResource, ResourceGroup
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling import quota
from gpuyard.scheduling.flavors.assignment import START_OVER, FlavorChoice
from gpuyard.scheduling.flavors.attempts import Attempt, once
from gpuyard.scheduling.flavors.eligible import objection
from gpuyard.scheduling.flavors.modes import (
    BEST,
    WORST,
    Grade,
    Mode,
    Prospect,
    is_preferred,
    tries_next,
)
from gpuyard.scheduling.flavors.question import Question
from gpuyard.scheduling.flavors.reasons import FlavorReason, NoFitReason, more_severe
from gpuyard.scheduling.preemption.queues.rules import Possibility

POSSIBLE: dict[Possibility, Prospect] = {
    "NoCandidates": Prospect.NO_CANDIDATES,
    "Preempt": Prospect.PREEMPT,
    "Reclaim": Prospect.RECLAIM,
}


class Found(NamedTuple):
    """The choices by resource (none: no flavor will do), why not better, and what was looked at.

    Reasons are left out where the flavor fits.
    """

    choices: dict[str, FlavorChoice]
    reasons: tuple[FlavorReason, ...]
    attempts: tuple[Attempt, ...]


class Look(NamedTuple):
    """One flavor: its grade, that of each resource, and what is against it."""

    flavor: str
    grade: Grade
    by_resource: dict[str, Grade]
    borrowing: int
    reasons: tuple[FlavorReason, ...]
    no_fit_reason: NoFitReason

    @property
    def worst(self) -> Prospect:
        """Return the worst prospect; the grade may be a better one that borrows more."""
        return min(self.grade.prospect, *(own.prospect for own in self.by_resource.values()))


def search(
    question: Question,
    group: ResourceGroup,
    resource: str,
    *,
    pod_sets: Sequence[PodSet],
    requests: Mapping[str, int],
    assumed: Mapping[FlavorResource, int],
) -> Found:
    """Return the flavor for all resources of `group` among `requests`.

    `pod_sets` get it together, `requests` is what they ask for together, `assumed` what earlier pod
    sets of the workload were given. `resource` is what the search is for: the position at which
    that of the first pod set stopped tells where to go on.
    """
    covered = {name: requests[name] for name in requests if name in group.covered_resources}
    names = [pod_set.name for pod_set in pod_sets]
    reasons: list[FlavorReason] = []
    attempts: list[Attempt] = []
    best: Look | None = None
    last = START_OVER
    start = question.first_to_try(names[0], resource)
    for last in range(start if start < len(group.flavors) else 0, len(group.flavors)):
        flavor = group.flavors[last].flavor
        closed = _closed(question, flavor, names, resource)
        if closed is not None:
            reasons.append(closed)
            continue
        unfit = objection(question, flavor, pod_sets, group)
        if unfit is not None:
            reasons.append(unfit)
            attempts.append(_unfit(flavor, unfit))
            continue
        look = _look(question, flavor, names, covered, assumed)
        reasons += look.reasons
        attempts.append(_attempt(look))
        if _is_good_enough(question, look.grade):
            best = look
            break
        if _is_better(question, look.grade, best.grade if best else WORST):
            best = look
    if best is None:
        return Found({}, tuple(reasons), tuple(attempts))
    index = _remembered(question, last, len(group.flavors))
    why = () if best.worst is Prospect.FIT else tuple(reasons)
    return Found(_choices(best, index), why, tuple(attempts))


# -- one flavor


def _closed(
    question: Question, flavor: str, names: Sequence[str], resource: str
) -> FlavorReason | None:
    """Return why the flavor is not to be looked at, whatever it has."""
    nominated = question.request.nominated
    if nominated and all(nominated.get(name, {}).get(resource) != flavor for name in names):
        return FlavorReason(code="NotNominated", flavor=flavor, resource=resource)
    allowed = question.request.allowed
    if question.rules.respect_allowed_flavors and allowed is not None and flavor not in allowed:
        return FlavorReason(code="NotAllowed", flavor=flavor)
    if flavor in question.request.closed:
        return FlavorReason(code="NodesRefuse", flavor=flavor)
    return None


def _look(
    question: Question,
    flavor: str,
    names: Sequence[str],
    covered: Mapping[str, int],
    assumed: Mapping[FlavorResource, int],
) -> Look:
    """Return what `flavor` promises for `covered`; every resource speaks, also after a refusal."""
    grade, borrowing = BEST, 0
    by_resource: dict[str, Grade] = {}
    reasons: list[FlavorReason] = []
    no_fit: NoFitReason = ""
    for resource, amount in covered.items():
        key = FlavorResource(flavor, resource)
        needed, mismatch = _net_of_replaced(question, key, amount, names)
        if mismatch is not None:
            grade = WORST
            reasons.append(mismatch)
            no_fit = more_severe(no_fit, "NoMatchingFlavor")
        own, reason = _grade(question, key, needed, assumed.get(key, 0))
        if reason is not None:
            reasons.append(reason)
            no_fit = more_severe(no_fit, _no_fit_reason(own.prospect, reason))
        borrowing = max(borrowing, own.borrowing)
        by_resource[resource] = own
        if is_preferred(grade, own, question.spec.fungibility):
            grade = own
    return Look(flavor, grade, by_resource, borrowing, tuple(reasons), no_fit)


def _net_of_replaced(
    question: Question, key: FlavorResource, amount: int, names: Sequence[str]
) -> tuple[int, FlavorReason | None]:
    """Return what is needed beyond what the replaced slice holds; it must hold the same flavor."""
    if question.replaced is None:
        return amount, None
    held = {each.name: each for each in question.replaced.pod_sets}
    for name in names:
        given = held.get(name)
        flavor = dict(given.flavors).get(key.resource, "") if given else ""
        if given is None or flavor != key.flavor:
            return amount, FlavorReason(code="OtherSliceFlavor", flavor=key.flavor, held=flavor)
        amount -= given.usage.get(key.resource)
    return amount, None


def _grade(
    question: Question, key: FlavorResource, needed: int, assumed: int
) -> tuple[Grade, FlavorReason | None]:
    """Return how the quota of one resource could be had, and what is missing where it is not."""
    node = question.node
    amount = quota.saturating_add(assumed, needed)
    capacity = quota.potential_available(node, key)
    if amount > capacity:
        return Grade(Prospect.NO_FIT, 0), FlavorReason(
            code="ExceedsMaxQuota",
            flavor=key.flavor,
            resource=key.resource,
            needed=needed,
            assumed=assumed,
            capacity=capacity,
        )
    height = quota.borrowing_height(node, key, amount)
    available = max(0, quota.available(node, key))
    if amount <= available:
        return Grade(Prospect.FIT, height.levels), None
    short = FlavorReason(
        code="InsufficientUnusedQuota",
        flavor=key.flavor,
        resource=key.resource,
        needed=needed,
        assumed=assumed,
        capacity=capacity,
        missing=quota.saturating_subtract(amount, available),
    )
    own = node.quotas.get(key)
    within_nominal = amount <= (own.nominal if own else 0)
    if within_nominal or height.is_part or _may_preempt_while_borrowing(question):
        simulated = question.simulate(key, amount)
        prospect = POSSIBLE[simulated.possibility]
        return Grade(prospect, simulated.borrowing_levels), short
    return Grade(Prospect.NO_FIT, height.levels), short


def _may_preempt_while_borrowing(question: Question) -> bool:
    preemption = question.spec.preemption
    may_reclaim = preemption.reclaim_within_cohort != "Never"
    return preemption.borrow_within_cohort.policy != "Never" or (
        question.rules.fair_sharing and may_reclaim
    )


# -- what it means


def _is_good_enough(question: Question, grade: Grade) -> bool:
    if not question.rules.fungibility:
        return grade.prospect is Prospect.FIT
    return not tries_next(grade, question.spec.fungibility)


def _is_better(question: Question, grade: Grade, best: Grade) -> bool:
    if not question.rules.fungibility:
        return grade.prospect > best.prospect
    return is_preferred(grade, best, question.spec.fungibility)


def _remembered(question: Question, last: int, flavors: int) -> int:
    if not question.rules.fungibility:
        return 0
    return START_OVER if last == flavors - 1 else last


def _no_fit_reason(prospect: Prospect, reason: FlavorReason) -> NoFitReason:
    if prospect is not Prospect.NO_FIT:
        return ""
    return "ExceedsMaxQuota" if reason.code == "ExceedsMaxQuota" else "WaitingForQuota"


def _choices(look: Look, index: int) -> dict[str, FlavorChoice]:
    return {
        resource: FlavorChoice(
            flavor=look.flavor,
            mode=own.prospect.mode,
            borrowing=own.borrowing,
            tried_index=index,
        )
        for resource, own in look.by_resource.items()
    }


def _unfit(flavor: str, reason: FlavorReason) -> Attempt:
    return Attempt(
        flavor=flavor, mode=Mode.NO_FIT, reasons=(reason,), no_fit_reason="NoMatchingFlavor"
    )


def _attempt(look: Look) -> Attempt:
    prospect = look.worst
    return Attempt(
        flavor=look.flavor,
        mode=prospect.mode,
        borrowing=look.borrowing,
        prospect=prospect if prospect.needs_preemption else None,
        reasons=once(look.reasons),
        no_fit_reason=look.no_fit_reason,
    )
