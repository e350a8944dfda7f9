"""Start a pending job at the cost of others: find victims without whom it fits.

A scenario is tried for real: its victims are told to go, then the job and the victims are placed
again, in the order of their queues. Victims that find a place, their own or another one, lose
nothing but time. The job must find places for all its pods, and what is taken must be right
(`Rule`, the pass's own law). Everything happens on trial.

Large gangs are approached: first victims are looked for that make room for one pod, then for two,
four, … ; what was needed for fewer pods is kept for more. The number of scenarios is bounded by
`PassKnobs.scenarios_max`; one that failed is not tried again.

Semantics: KAI Scheduler v0.17, actions/common/solvers (job_solver.go, by_pod_solver.go) and
actions/common/action.go; its time budgets are a count here, so that a cycle can be replayed.
"""

from collections.abc import Callable, Sequence

import msgspec

from gpuyard.model.policy import DEVICES
from gpuyard.scheduling.fleet import BoolArray
from gpuyard.scheduling.passes.fill import fill
from gpuyard.scheduling.passes.jobs import STAYS, USES, Job, Pod, View
from gpuyard.scheduling.passes.scenarios import (
    GENERATORS,
    Bite,
    Generator,
    Question,
    Scenario,
)
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.turns import Turns


class Attempt(msgspec.Struct, frozen=True):
    """A scenario after its simulation: `pods` of `job` have places, victims have moved or gone."""

    job: Job
    pods: Sequence[Pod]
    scenario: Scenario


Rule = Callable[[Attempt], bool]
"""Tells whether what a scenario takes is right."""


def solve(session: Session, job: Job, victims: Callable[[], Turns], rule: Rule) -> bool:
    """Start `job`, and tell whether it could be done; where not, nothing has changed.

    `victims` gives the candidates anew each time it is called.
    """
    pods = job.view().to_start(really=False)
    if not pods:
        return False
    search = _Search(session, job, victims, rule)
    using = _using(job)
    for generator in GENERATORS:
        with session.trial() as trial:
            if search.by(generator, pods) and job.view().is_whole() and _using(job) > using:
                trial.keep()
                return True
    return False


class _Search:
    """One job's search; remembers what failed and how much it has tried."""

    def __init__(
        self, session: Session, job: Job, victims: Callable[[], Turns], rule: Rule
    ) -> None:
        self.session = session
        self.job = job
        self.victims = victims
        self.rule = rule
        self.failed: set[tuple[int, frozenset[str]]] = set()
        self.tried = 0

    def by(self, generator: Generator, pods: Sequence[Pod]) -> bool:
        """Start all `pods` with the scenarios of one generator."""
        settled: tuple[Bite, ...] = ()

        def probe(count: int) -> bool:
            nonlocal settled
            with self.session.trial():
                found = self._start(generator, pods[:count], settled)
            settled = settled if found is None else found
            return found is not None

        if not largest(len(pods), probe):
            return False
        return self._start(generator, pods, settled) is not None

    def _start(
        self, generator: Generator, pods: Sequence[Pod], settled: tuple[Bite, ...]
    ) -> tuple[Bite, ...] | None:
        """Start `pods` and return who was needed for it; `None` where nothing helps."""
        question = Question(self.session, pods, settled, self.victims)
        for scenario in generator(question):
            who = len(pods), frozenset(pod.key for pod in scenario.pods())
            if who in self.failed or self.tried >= self.session.knobs.scenarios_max:
                continue
            self.tried += 1
            if self._try(pods, scenario):
                return tuple(bite for bite in scenario.all() if _had_to_leave(bite))
            self.failed.add(who)
        return None

    def _try(self, pods: Sequence[Pod], scenario: Scenario) -> bool:
        """Simulate one scenario, and keep it where it works and is right."""
        session, victims = self.session, scenario.pods()
        if not victims:
            return False
        nodes = _with_room(session, self.job)
        with session.trial() as trial:
            for pod in victims:
                nodes[session.slot_of(pod.node)] = True
                session.evict(pod)
            works = _place_again(session, self.job, pods, victims, nodes)
            if works and self.rule(Attempt(self.job, pods, scenario)):
                trial.keep()
        return trial.is_kept


def _place_again(
    session: Session, job: Job, pods: Sequence[Pod], victims: Sequence[Pod], nodes: BoolArray
) -> bool:
    """Place `pods` of `job` and as many of the victims as possible, in the order of their turns."""
    evicted = {pod.job for pod in victims}
    views = [
        each.view()
        for each in session.jobs.values()
        if each is not job
        and (each.key in evicted or any(pod.state == "pending" for pod in each.pods))
    ]
    staying = [pod for pod in job.pods if pod.state in STAYS]
    views.append(View(job, [*staying, *pods], is_relaxed=True))
    turns = Turns(session, views)
    is_placed = False
    while (view := turns.pop()) is not None:
        if view.job is job:
            if not fill(session, view, nodes, pods, at_once=False):
                return False
            is_placed = True
        elif view.job.key in evicted:
            fill(session, view, nodes, at_once=False)
    return is_placed


def _with_room(session: Session, job: Job) -> BoolArray:
    """Return the nodes with any device free; all nodes where a pod asks for no device."""
    if any(not pod.amounts[DEVICES] for pod in job.pods):
        return session.everywhere()
    return session.free_device_milli() > 0


def _had_to_leave(bite: Bite) -> bool:
    return any(pod.state in {"releasing", "pipelined"} for pod in bite.pods)


def _using(job: Job) -> int:
    return sum(pod.state in USES for pod in job.pods)


def largest(count: int, probe: Callable[[int], bool]) -> int:
    """Return the largest number up to `count` for which `probe` succeeds, by doubling and halving.

    `probe` is taken to fail from some number on.
    """
    low, step = 0, 1
    while probe(step):
        low = step
        if step == count:
            return count
        step = min(2 * step, count)
    high = step
    while high - low > 1:
        middle = (low + high) // 2
        if probe(middle):
            low = middle
        else:
            high = middle
    return low
