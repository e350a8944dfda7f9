"""Take victims out until the demand fits, then put back whom it does not need.

`Trial` takes workloads out of the queues' state and puts them back; when it ends, all is as it was,
whatever happened in between. The set that is left after `fill_back` is irredundant: with any one of
it back, the demand does not fit. It is not always the smallest set.

A demand fits when its queue has the quota and, where it asks for places in a topology, when
`places_fit()` says so; it is asked last, with the victims' places free.

Semantics: Kueue v0.19.2, pkg/scheduler/preemption/preemption.go (workloadFits, fillBackWorkloads).
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from gpuyard.model.queues import Admitted, Usage
from gpuyard.scheduling import quota
from gpuyard.scheduling.preemption.queues.candidates import Candidate
from gpuyard.scheduling.preemption.queues.rules import Demand
from gpuyard.scheduling.queues import Queues

KNOWN_MAX = 4096  # answers for sets of victims; beyond it they are worked out anew

PlacesFit = Callable[[], bool]
Known = dict[tuple[frozenset[str], bool], bool]  # by who is out and whether it may borrow: fits


def anywhere() -> bool:
    """Fit: the demand asks for no places in a topology."""
    return True


class Trial:
    """The queues without some workloads, for as long as the block lasts.

    The victims stay holders; only what they use is gone.
    """

    def __init__(
        self,
        queues: Queues,
        demand: Demand,
        places_fit: PlacesFit = anywhere,
        known: Known | None = None,
    ) -> None:
        """Start with nobody taken out.

        `known` is what trials of the same demand in the same state found out, and will.
        """
        self.queues = queues
        self.demand = demand
        self.leaf = queues.node(demand.queue)
        self._places_fit = places_fit
        self._asked = sorted(demand.usage.quota, key=lambda each: each[0] not in demand.contested)
        self._out: dict[str, tuple[str, Usage]] = {}
        self._is_counted = False
        self._known = known
        self._state = queues.state

    def __enter__(self) -> Self:
        """Return the trial itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put everything back."""
        self.count(is_counted=False)
        for queue, usage in self._out.values():
            self.queues.use(queue, usage)
        self._out.clear()
        self.queues.state = self._state

    def take_out(self, admitted: Admitted) -> None:
        """Let a workload go."""
        key = admitted.workload.key
        held = admitted.admission.cluster_queue, self.queues.usage_of(key)
        self.queues.release(*held)
        self._out[key] = held

    def put_back(self, admitted: Admitted) -> None:
        """Undo `take_out`."""
        self.queues.use(*self._out.pop(admitted.workload.key))

    def count(self, *, is_counted: bool) -> None:
        """Let the demand count as usage of its queue, or no longer."""
        if is_counted != self._is_counted:
            change = self.queues.use if is_counted else self.queues.release
            change(self.demand.queue, self.demand.usage)
            self._is_counted = is_counted

    def fits(self, *, may_borrow: bool = True) -> bool:
        """Tell whether the demand fits, whether it counts as usage already or not.

        That hangs on nothing but who is out.
        """
        if self._known is None:
            return self._fits(may_borrow=may_borrow)
        asked = frozenset(self._out), may_borrow
        known = self._known.get(asked)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[asked] = self._fits(may_borrow=may_borrow)
        return known

    def _fits(self, *, may_borrow: bool) -> bool:
        was_counted = self._is_counted
        self.count(is_counted=False)
        is_fitting = self._has_quota(may_borrow=may_borrow) and self._places_fit()
        self.count(is_counted=was_counted)
        return is_fitting

    def _has_quota(self, *, may_borrow: bool) -> bool:
        return all(
            (may_borrow or not quota.is_borrowing(self.leaf, key, amount))
            and max(0, quota.available(self.leaf, key)) >= amount
            for key, amount in self._asked
        )


def fill_back(trial: Trial, taken: list[Candidate], *, may_borrow: bool = True) -> list[Candidate]:
    """Return those of `taken` that have to go; the others are put back.

    `taken` is in the order in which they were taken out, and without the last the demand did not
    fit; so the last stays out.
    """
    needed = taken[-1:]
    for candidate in reversed(taken[:-1]):
        trial.put_back(candidate.admitted)
        if not trial.fits(may_borrow=may_borrow):
            trial.take_out(candidate.admitted)
            needed.append(candidate)
    return needed[::-1]
