"""What a workload would get, and who would have to go for it, as things stand.

First all its pods with nobody evicted; then with preemption; then, where it can do with less, fewer
pods, each number again with and without preemption. Who has to wait for victims seeks its places as
if they had gone already; who waits and has no victims at all gets places in an empty topology, so
that they can be kept from others in this round.

Semantics: Kueue v0.19.2, pkg/scheduler/scheduler.go (getAssignments, getInitialAssignments,
updateAssignmentForTAS).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from gpuyard.model.queues import Admission, FlavorResource, Usage
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI, PodSet, Workload
from gpuyard.scheduling.admission.entries import Head, Nominated, Nomination
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors import FlavorRequest, assign, partial_admission
from gpuyard.scheduling.flavors.assignment import FlavorAssignment, quota_needs
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.placing import place_requests, places_used, with_places
from gpuyard.scheduling.flavors.question import NotPlaced, Question
from gpuyard.scheduling.flavors.requests import QuotaRequest, of_admitted, of_pending
from gpuyard.scheduling.flavors.scan import ScanStamp, is_outdated
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.ordering.turns import queued_ns
from gpuyard.scheduling.preemption.queues.candidates import NOBODY_USED, LocalUsage
from gpuyard.scheduling.preemption.queues.classical import Offers
from gpuyard.scheduling.preemption.queues.rules import Demand, Simulation, Target
from gpuyard.scheduling.preemption.queues.simulate import simulate
from gpuyard.scheduling.preemption.queues.targets import targets
from gpuyard.scheduling.queues import NOTHING_LOST, Queues
from gpuyard.scheduling.quota import borrowing_height

ANSWERS_KEPT_MAX = 4096  # of one round; beyond it they are worked out anew
Answer = TypeVar("Answer")


class Nominator:
    """Answers for one state of the queues, which it leaves as it is."""

    def __init__(
        self,
        queues: Queues,
        rules: AdmissionRules,
        *,
        now: Callable[[Head], ScanStamp],
        now_ns: int | None = None,
        local_usage: LocalUsage = NOBODY_USED,
        may_evict: bool = True,
    ) -> None:
        """Take `now` for the stamp of a search for a head that begins now.

        Without `now_ns` everybody has waited long enough to evict others, if anybody `may_evict`.
        """
        self.queues = queues
        self.rules = rules
        self.now = now
        self.now_ns = now_ns
        self.local_usage = local_usage
        self.may_evict = may_evict
        self._simulated: dict[Hashable, Simulation] | None = None
        self._found: dict[Hashable, tuple[Target, ...]] | None = None
        self._offers: Offers | None = None

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Remember, for as long as the block lasts, who could go and what that would do.

        In it nothing may change but who holds what (`Queues.state`): a round looks at a head twice,
        and many heads at the same candidates.
        """
        self._simulated, self._found, self._offers = {}, {}, Offers()
        try:
            yield
        finally:
            self._simulated = self._found = self._offers = None

    def in_peace(self) -> "Nominator":
        """Return one that answers for the same state and evicts nobody."""
        return Nominator(self.queues, self.rules, now=self.now, now_ns=self.now_ns, may_evict=False)

    def nominate(self, head: Head, nominated: Nominated | None = None) -> Nomination:
        """Return what `head` would get; with `nominated` only of these flavors."""
        found = self._with_fewer_pods(head, nominated)
        return self._with_reserved_places(head, nominated, found)

    # -- how many pods

    def _with_fewer_pods(self, head: Head, nominated: Nominated | None) -> Nomination:
        """Return the assignment of all pods, or of as many as can be had."""
        whole = self._try(head, nominated, head.at_most)
        pod_sets = _limited(head)
        may_shrink = self.rules.flavors.partial_admission and partial_admission.can_shrink(pod_sets)
        if _is_possible(whole) or not may_shrink:
            return whole

        def try_fewer(counts: Sequence[int]) -> Nomination | None:
            fewer = self._try(head, nominated, counts)
            return fewer if _is_possible(fewer) else None

        return partial_admission.search(pod_sets, try_fewer) or whole

    def _try(
        self, head: Head, nominated: Nominated | None, counts: Sequence[int] | None
    ) -> Nomination:
        """Return what `counts` pods would get, and who has to go for that."""
        request = self._request(head, nominated, counts)
        assignment = self._assign(head, request)
        replaced = head.workload.replaces if request.replaced is not None else ""
        if assignment.mode is Mode.FIT:
            return Nomination(assignment, replaced=replaced)
        if assignment.mode is Mode.PREEMPT:
            victims = self._victims(head, request, assignment)
            if victims:
                return Nomination(assignment, victims, replaced)
        return Nomination(assignment)

    def _request(
        self, head: Head, nominated: Nominated | None, counts: Sequence[int] | None
    ) -> FlavorRequest:
        is_current = (
            head.tried is not None
            and head.stamp is not None
            and not is_outdated(head.stamp, self.now(head), self.rules.flavors)
        )
        return FlavorRequest(
            queue=head.queue,
            pod_sets=self._asked(head, counts),
            replaced=self._replaced(head),
            held=None if head.held is None else head.held.admission,
            tried=head.tried if is_current and nominated is None else None,
            nominated=nominated,
            closed=head.closed,
            unhealthy_nodes=() if head.held is None else head.held.unhealthy_nodes,
            is_elastic=head.workload.elastic,
        )

    def _asked(self, head: Head, counts: Sequence[int] | None) -> tuple[QuotaRequest, ...]:
        if head.held is not None:
            return of_admitted(head.held)
        return of_pending(head.workload, self.rules.flavors, counts)

    def _replaced(self, head: Head) -> Admission | None:
        """Return what the elastic slice holds that this workload takes the place of."""
        if not (self.rules.flavors.elastic_slices and head.workload.replaces):
            return None
        slice_ = self.queues.holders[head.queue].get(head.workload.replaces)
        return None if slice_ is None else slice_.admission

    # -- whose place

    def _assign(self, head: Head, request: FlavorRequest) -> FlavorAssignment:
        def ask(key: FlavorResource, amount: int, /) -> Simulation:
            if not self._may_preempt(head.workload):
                height = borrowing_height(self.queues.node(head.queue), key, amount)
                return Simulation(possibility="NoCandidates", borrowing_levels=height.levels)
            return self._simulate(head, key, amount)

        return assign(
            self.queues,
            request,
            rules=self.rules.flavors,
            simulate=ask,
            topologies=self._places(request),
        )

    def _simulate(self, head: Head, key: FlavorResource, amount: int) -> Simulation:
        def ask() -> Simulation:
            return simulate(
                self.queues,
                head.queue,
                head.workload,
                key,
                amount,
                self.rules.preemption,
                local_usage=self.local_usage,
                known=self._offers,
            )

        asked = self.queues.state, head.queue, head.workload.key, key, amount
        return _kept(self._simulated, asked, ask)

    def _question(self, request: FlavorRequest) -> Question:
        places = self._places(request)
        return Question(self.queues, request, self.rules.flavors, _never, places)

    def _places(self, request: FlavorRequest) -> FlavorTopologies:
        failed = request.unhealthy_nodes[0] if request.unhealthy_nodes else ""
        return FlavorTopologies(self.queues.places, self.rules.topology, failed_host=failed)

    def _victims(
        self, head: Head, request: FlavorRequest, assignment: FlavorAssignment
    ) -> tuple[Target, ...]:
        if not self._may_preempt(head.workload):
            return ()
        asked = (
            self.queues.state,
            head.queue,
            head.workload.key,
            *((each.name, each.count, each.choices) for each in assignment.pod_sets),
        )
        return _kept(self._found, asked, lambda: self._seek_victims(head, request, assignment))

    def _seek_victims(
        self, head: Head, request: FlavorRequest, assignment: FlavorAssignment
    ) -> tuple[Target, ...]:
        question = self._question(request)
        wanted, _ = place_requests(question, assignment.pod_sets)

        topologies = self._places(request)

        def places_fit() -> bool:
            return topologies.may_place(wanted) and not isinstance(
                topologies.place(wanted, empty=False), NotPlaced
            )

        needs = quota_needs(assignment, request.pod_sets, request.replaced)
        demand = Demand(
            workload=head.workload,
            queue=head.queue,
            usage=Usage(tuple(sorted(needs.items()))),
            contested=frozenset(
                FlavorResource(choice.flavor, resource)
                for each in assignment.pod_sets
                for resource, choice in each.choices
                if choice.mode is Mode.PREEMPT
            ),
        )
        found = targets(
            self.queues,
            demand,
            self.rules.preemption,
            places_fit=places_fit,
            local_usage=self.local_usage,
            known=self._offers,
        )
        told = [each for each in found if not self.queues.admitted[each.workload].evicted]
        if told and (head.has_room or not self._has_waited_for(head.workload, told)):
            return ()
        return found

    # -- patience

    def _may_preempt(self, workload: Workload) -> bool:
        """Tell whether `workload` may evict anybody by now, be it only who loses little."""
        waited_ns = self._waited_too_short_ns(workload)
        is_patient = self.rules.preempt_when_waited_pct > 0
        return self.may_evict and (
            waited_ns is None or (is_patient and waited_ns >= self.rules.preempt_not_before_ns)
        )

    def _has_waited_for(self, workload: Workload, victims: Iterable[Target]) -> bool:
        """Tell whether `workload` has waited long enough for what `victims` lose."""
        waited_ns = self._waited_too_short_ns(workload)
        if waited_ns is None:
            return True
        lost_ns = sum(
            self.queues.losses.get(victim.workload, NOTHING_LOST).device_ns for victim in victims
        )
        devices_milli = max(workload.device_milli, WHOLE_DEVICE_MILLI)
        waited_device_ns = waited_ns * devices_milli // WHOLE_DEVICE_MILLI
        return 100 * lost_ns <= self.rules.preempt_when_waited_pct * waited_device_ns

    def _waited_too_short_ns(self, workload: Workload) -> int | None:
        """Return how long a workload has waited that may not evict everybody yet, else `None`."""
        if self.now_ns is None or workload.kind in self.rules.preempt_at_once:
            return None
        waited_ns = self.now_ns - queued_ns(workload, self.rules.turns)
        return waited_ns if waited_ns < self.rules.preempt_after_ns else None

    # -- places

    def _with_reserved_places(
        self, head: Head, nominated: Nominated | None, found: Nomination
    ) -> Nomination:
        """Return the same with the places that a workload will have that waits for others."""
        assignment = found.assignment
        is_moving = head.held is not None and bool(head.held.unhealthy_nodes)
        if (
            assignment.mode is not Mode.PREEMPT
            or is_moving
            or not self.rules.flavors.topology_aware
        ):
            return found
        request = self._request(head, nominated, None)
        question = self._question(request)
        is_asked = any(each.topology for each in head.workload.pod_sets)
        if not (is_asked or question.topology_flavors.issuperset(question.flavors)):
            return found
        wanted, pod_sets = place_requests(question, assignment.pod_sets)
        with self.queues.without_usage(target.workload for target in found.targets):
            places = question.topologies.place(wanted, empty=not found.targets)
        if isinstance(places, NotPlaced):
            return found
        pod_sets = with_places(pod_sets, places)
        usage = Usage(assignment.usage.quota, places_used(question, pod_sets, request.held))
        return found._replace(
            assignment=msgspec.structs.replace(assignment, pod_sets=pod_sets, usage=usage)
        )


def _kept(
    known: dict[Hashable, Answer] | None, asked: Hashable, ask: Callable[[], Answer]
) -> Answer:
    """Return what is `known`, else `ask` and keep the answer."""
    if known is None:
        return ask()
    answer = known.get(asked)
    if answer is None:
        if len(known) >= ANSWERS_KEPT_MAX:
            known.clear()
        answer = known[asked] = ask()
    return answer


def _is_possible(found: Nomination) -> bool:
    """Tell whether it can be had, now or once the victims are gone."""
    return found.assignment.mode is Mode.FIT or bool(found.targets)


def _limited(head: Head) -> tuple[PodSet, ...]:
    """Return the pod sets of `head` with no more pods than it may start with."""
    pod_sets = head.workload.pod_sets
    if head.at_most is None:
        return pod_sets
    return tuple(
        msgspec.structs.replace(pod_set, count=count)
        for pod_set, count in zip(pod_sets, head.at_most, strict=True)
    )


def _never(_key: FlavorResource, _amount: int, /) -> Simulation:
    """Answer a question that is not asked: flavors are chosen already."""
    return Simulation(possibility="NoCandidates", borrowing_levels=0)
