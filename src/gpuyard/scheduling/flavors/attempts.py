"""What became of each flavor that was looked at: one line per flavor, the worst over resources.

The search looks at a flavor once for each resource group that it is in. `Attempts` merges these
looks: the worse mode, the wider borrowing, all reasons once.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner/flavor_assigner_attempts.go, and
resolveNoFitReason of flavorassigner.go.
"""

from collections.abc import Iterable, Sequence

import msgspec

from gpuyard.model.queues import ResourceGroup
from gpuyard.scheduling.flavors.modes import Mode, Prospect
from gpuyard.scheduling.flavors.reasons import (
    FlavorReason,
    NoFitReason,
    milder,
    more_severe,
    sentence,
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One flavor and what it came to.

    `prospect` is `None` where preemption was not considered; `no_fit_reason` is empty where the
    flavor could serve sooner or later.
    """

    flavor: str
    mode: Mode
    borrowing: int = 0
    prospect: Prospect | None = None
    reasons: tuple[FlavorReason, ...] = ()
    no_fit_reason: NoFitReason = ""

    def merged_with(self, other: "Attempt") -> "Attempt":
        """Return both looks at the flavor as one."""
        prospects = [each.prospect for each in (self, other) if each.prospect is not None]
        return Attempt(
            flavor=self.flavor,
            mode=min(self.mode, other.mode),
            borrowing=max(self.borrowing, other.borrowing),
            prospect=min(prospects, default=None),
            reasons=once((*self.reasons, *other.reasons)),
            no_fit_reason=more_severe(self.no_fit_reason, other.no_fit_reason),
        )


class Attempts:
    """The attempts for one group of pod sets, by flavor."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_flavor: dict[str, Attempt] = {}

    def add(self, looks: Sequence[Attempt], *, resource: str, group: ResourceGroup) -> None:
        """Merge the looks of one search for `resource` in `group`.

        A flavor of the group that an earlier search looked at and this one did not reach is not
        going to provide the resource.
        """
        for look in looks:
            before = self._by_flavor.get(look.flavor)
            self._by_flavor[look.flavor] = look if before is None else before.merged_with(look)
        reached = {look.flavor for look in looks}
        if not reached:
            return
        for flavor in {each.flavor for each in group.flavors} - reached:
            before = self._by_flavor.get(flavor)
            if before is not None:
                missed = FlavorReason(code="ResourceNotProvided", flavor=flavor, resource=resource)
                self._by_flavor[flavor] = msgspec.structs.replace(
                    before,
                    mode=Mode.NO_FIT,
                    reasons=once((*before.reasons, missed)),
                    no_fit_reason="NoMatchingFlavor",
                )

    def by_name(self) -> tuple[Attempt, ...]:
        """Return them in the order of their flavors' names."""
        return tuple(self._by_flavor[flavor] for flavor in sorted(self._by_flavor))


def once(reasons: Iterable[FlavorReason]) -> tuple[FlavorReason, ...]:
    """Return each reason once, in the order of their sentences."""
    return tuple(sorted(set(reasons), key=sentence))


def no_fit_reason(attempts: Sequence[Attempt], groups: Sequence[ResourceGroup]) -> NoFitReason:
    """Return why a pod set with these attempts cannot be served.

    Flavors of one resource group are alternatives, the mildest of their reasons counts; resource
    groups are needed together, there the most severe counts. Nothing tried is no flavor at all.
    """
    if not attempts:
        return "NoMatchingFlavor"
    mildest: dict[int, NoFitReason] = {}
    for position, attempt in enumerate(attempts):
        if attempt.mode is not Mode.NO_FIT:
            continue
        within = [
            index
            for index, group in enumerate(groups)
            if any(each.flavor == attempt.flavor for each in group.flavors)
        ]
        for index in within or [-1 - position]:  # a flavor that is in no group stands for itself
            known = mildest.get(index, attempt.no_fit_reason)
            mildest[index] = milder(known, attempt.no_fit_reason)
    worst: NoFitReason = ""
    for reason in mildest.values():
        worst = more_severe(worst, reason)
    return worst
