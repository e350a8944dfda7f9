"""The outcome: which flavor each resource of each pod set gets, and what has to happen before.

Everything that a cycle asks of it is here: how good it is (`mode`), how far it borrows, what it
would use, where the search stands (`tried`), and why not. Nothing of it has been counted anywhere
yet: whoever acts on it does that.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner/flavorassigner.go (Assignment,
PodSetAssignment, TotalRequestsFor) and pkg/scheduler/scheduler.go (quotaResourcesToReserve,
netUsage). One difference: Kueue keeps the mode of the whole beside the modes of its parts, here it
is always the worst of them, and therefore a missing place in the topology is always named as the
reason.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gpuyard.model.queues import Admission, FlavorResource, PodSetAssignment, Usage
from gpuyard.model.resources import NOTHING, Resources
from gpuyard.model.topology import TopologyAssignment
from gpuyard.scheduling.flavors.attempts import Attempt
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.reasons import (
    FlavorReason,
    NoFitReason,
    TopologyError,
    sentence,
)
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.quota import QuotaNode, saturating_add, saturating_subtract

START_OVER = -1  # the search begins with the first flavor again


class FlavorChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The flavor for one resource.

    `tried_index` is the position of the last flavor that the search looked at, not that of
    `flavor`; ``START_OVER`` where it was the last of all.
    """

    flavor: str
    mode: Mode
    borrowing: int = 0
    tried_index: int = 0


Choices = tuple[tuple[str, FlavorChoice], ...]  # by resource, sorted
ScanPositions = Mapping[str, Mapping[str, int]]  # tried index by pod set and resource


class PodSetFlavors(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod set gets, and why it is not more.

    `requests` are those of all its pods. No choices and no reasons: it asks for nothing that is
    counted.
    """

    name: str
    count: int
    requests: Resources = NOTHING
    choices: Choices = ()
    reasons: tuple[FlavorReason, ...] = ()
    error: TopologyError | None = None
    attempts: tuple[Attempt, ...] = ()
    topology: TopologyAssignment | None = None

    @property
    def mode(self) -> Mode:
        """Return the worst mode of its choices."""
        if self.error is not None or (self.reasons and not self.choices):
            return Mode.NO_FIT
        return min((choice.mode for _, choice in self.choices), default=Mode.FIT)

    def with_mode(self, mode: Mode) -> "PodSetFlavors":
        """Return the same with every choice at `mode`."""
        changed = tuple(
            (resource, msgspec.structs.replace(choice, mode=mode))
            for resource, choice in self.choices
        )
        return msgspec.structs.replace(self, choices=changed)

    def assigned(self) -> PodSetAssignment:
        """Return what is written into the admission; only resources with a flavor are counted."""
        return PodSetAssignment(
            name=self.name,
            count=self.count,
            flavors=tuple((resource, choice.flavor) for resource, choice in self.choices),
            usage=Resources.of((name, self.requests.get(name)) for name, _ in self.choices),
            topology=self.topology,
        )


class FlavorAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload gets.

    `borrowing` is the height of the lowest cohort whose quota suffices, 0 is the queue itself.
    `usage` is what it takes beyond what it, or the slice it replaces, holds already.
    """

    pod_sets: tuple[PodSetFlavors, ...]
    borrowing: int = 0
    usage: Usage = Usage()
    no_fit_reason: NoFitReason = ""

    @property
    def mode(self) -> Mode:
        """Return the worst mode of its pod sets; without any it does not fit."""
        return min((each.mode for each in self.pod_sets), default=Mode.NO_FIT)

    @property
    def is_borrowing(self) -> bool:
        """Tell whether it takes more than the queue's own quota."""
        return self.borrowing > 0

    @property
    def tried(self) -> ScanPositions:
        """Return where the search stands, for the next cycle."""
        return {
            each.name: {resource: choice.tried_index for resource, choice in each.choices}
            for each in self.pod_sets
        }

    @property
    def nominated(self) -> dict[str, dict[str, str]]:
        """Return the flavors by pod set and resource, for a second look in the same cycle."""
        return {
            each.name: {resource: choice.flavor for resource, choice in each.choices}
            for each in self.pod_sets
        }

    def with_mode(self, mode: Mode) -> "FlavorAssignment":
        """Return the same with every choice at `mode`."""
        changed = tuple(each.with_mode(mode) for each in self.pod_sets)
        return msgspec.structs.replace(self, pod_sets=changed)

    def admission(self, queue: str) -> Admission:
        """Return the admission to `queue` that this makes."""
        return Admission(queue, tuple(each.assigned() for each in self.pod_sets))

    def message(self) -> str:
        """Return Kueue's sentence on why it is not admitted, "" where it fits."""
        parts = []
        for each in self.pod_sets:
            if each.error is not None:
                return f"failed to assign flavors to pod set {each.name}: {sentence(each.error)}"
            if each.reasons:
                reasons = ", ".join(sorted(map(sentence, each.reasons)))
                parts.append(f"couldn't assign flavors to pod set {each.name}: {reasons}")
        return "; ".join(parts)


def quota_needs(
    assignment: FlavorAssignment,
    requests: Sequence[QuotaRequest],
    replaced: Admission | None = None,
) -> dict[FlavorResource, int]:
    """Return what others have to free for `assignment`: what the pods ask for, without zeros.

    Of an elastic slice only the pods count that the slice it replaces has not. The number of pods
    itself (`pods`), where the queue has quota for it, is nothing that preemption looks at.
    """
    held = {each.name: each.count for each in replaced.pod_sets} if replaced else {}
    asked_by_name = {each.pod_set.name: each for each in requests}
    needed: dict[FlavorResource, int] = {}
    for given in assignment.pod_sets:
        asked = asked_by_name[given.name]
        count = given.count if replaced is None else asked.count - held.get(given.name, 0)
        flavors = dict(given.choices)
        for resource, amount in asked.scaled_to(count).total.amounts:
            if amount and resource in flavors:
                key = FlavorResource(flavors[resource].flavor, resource)
                needed[key] = needed.get(key, 0) + amount
    return needed


def quota_to_reserve(assignment: FlavorAssignment, node: QuotaNode) -> dict[FlavorResource, int]:
    """Return what is set aside in a cycle for a workload that waits for others to leave.

    Not more than what the queue could have: of its own quota what is unused, and with borrowing up
    to its borrowing limit, which may have been passed already (negative). What fits is set aside
    whole.
    """
    wanted = dict(assignment.usage.quota)
    if assignment.mode is not Mode.PREEMPT:
        return wanted
    return {key: _at_most(node, key, amount, assignment) for key, amount in wanted.items()}


def _at_most(
    node: QuotaNode, key: FlavorResource, amount: int, assignment: FlavorAssignment
) -> int:
    quota = node.quotas.get(key)
    nominal = quota.nominal if quota else 0
    used = node.usage.get(key, 0)
    if not assignment.borrowing:
        return max(0, min(amount, saturating_subtract(nominal, used)))
    if quota is None or quota.borrowing_limit is None:
        return amount
    limit = saturating_add(nominal, quota.borrowing_limit)
    return min(amount, saturating_subtract(limit, used))
