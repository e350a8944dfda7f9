"""Which sets of victims are worth trying for a pending job, the cheapest to test first.

Candidates come in *bites*, in the order of `turns` backwards: of an elastic job one pod, of a gang
that has nothing to spare all of it. They are accumulated, and after every bite smaller sets are
made of what has been collected so far:

- *node by node*: everything that has a pod on one node of the newest bite;
- *nodes together*: of the nodes with candidates those with the least room that, together with what
  is free anyway, could hold what is asked for; then more and more of them.

A bite is always taken whole. Victims that an easier version of the same question needed (fewer pods
of the pending job) are *settled*: they are part of every set.

Semantics: KAI Scheduler v0.17, actions/common/solvers (pod_scenario_builder.go,
sub_scenario_emitter.go) and the plugins nodelocalgreedy, multinodegang.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from gpuyard.model.policy import DEVICES
from gpuyard.scheduling.passes.jobs import STAYS, Pod, View
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.turns import Turns


class Bite(msgspec.Struct, frozen=True):
    """Pods of one job that would go together."""

    job: str
    pods: tuple[Pod, ...]


class Scenario(msgspec.Struct, frozen=True):
    """Who would have to go: the settled victims and `bites`."""

    settled: tuple[Bite, ...]
    bites: tuple[Bite, ...]

    def all(self) -> tuple[Bite, ...]:
        """Return all bites, the settled ones first."""
        return (*self.settled, *self.bites)

    def pods(self) -> list[Pod]:
        """Return all victims."""
        return [pod for bite in self.all() for pod in bite.pods]


class Question(msgspec.Struct, frozen=True):
    """What is asked: places for `pods`, taken from `victims`, beyond what `settled` gives."""

    session: Session
    pods: Sequence[Pod]
    settled: tuple[Bite, ...]
    victims: Callable[[], Turns]


Generator = Callable[[Question], Iterator[Scenario]]


def node_by_node(question: Question) -> Iterator[Scenario]:
    """Yield sets that empty single nodes."""
    for collected in _accumulate(question):
        if not collected:
            if question.settled:
                yield Scenario(question.settled, ())
            continue
        newest = question.session.jobs[collected[-1].job]
        seen: set[frozenset[str]] = set()
        for node in sorted({pod.node for pod in newest.pods if pod.node}):
            jobs = {bite.job for bite in collected for pod in bite.pods if pod.node == node}
            bites = tuple(bite for bite in collected if bite.job in jobs)
            who = frozenset(pod.key for bite in bites for pod in bite.pods)
            if who and who not in seen:
                seen.add(who)
                yield Scenario(question.settled, _joined(bites))


def nodes_together(question: Question) -> Iterator[Scenario]:
    """Yield sets that empty several nodes, as few and as full ones as could do."""
    for collected in _accumulate(question):
        if not collected:
            if question.settled:
                yield Scenario(question.settled, ())
            continue
        yield from _by_nodes(question, collected)


GENERATORS: tuple[Generator, ...] = (node_by_node, nodes_together)


def _accumulate(question: Question) -> Iterator[list[Bite]]:
    """Yield what was collected so far: nothing first, then one bite more each time."""
    settled = {pod.key for bite in question.settled for pod in bite.pods}
    collected: list[Bite] = []
    yield collected
    turns = question.victims()
    while (view := turns.pop()) is not None:
        bite = view.to_evict()
        if any(pod.key in settled for pod in bite):
            rest = [pod for pod in view.pods if pod.key not in settled]
            if rest:
                turns.push(View(view.job, rest))
            continue
        if not bite:
            continue
        stay = sum(pod.state in STAYS for pod in view.pods)
        if len(bite) < stay:
            turns.push(View(view.job, [pod for pod in view.pods if pod not in bite]))
        collected.append(Bite(view.job.key, tuple(bite)))
        yield collected


def _joined(bites: Sequence[Bite]) -> tuple[Bite, ...]:
    """Return the bites of one job as one."""
    by_job: dict[str, list[Pod]] = {}
    for bite in bites:
        by_job.setdefault(bite.job, []).extend(bite.pods)
    return tuple(Bite(job, tuple(pods)) for job, pods in by_job.items())


def _by_nodes(question: Question, collected: Sequence[Bite]) -> Iterator[Scenario]:
    """Yield the bites of the first few nodes, then of ever more of them."""
    nodes, missing = _candidates(question, collected)
    count = _enough(nodes, missing)
    step = 1
    while count <= len(nodes):
        picked = {node for node, _ in nodes[:count]}
        bites = tuple(bite for bite in collected if picked & {pod.node for pod in bite.pods})
        yield Scenario(question.settled, bites)
        if count == len(nodes):
            return
        count, step = min(count + step, len(nodes)), 2 * step


def _candidates(question: Question, collected: Sequence[Bite]) -> tuple[list[tuple[str, int]], int]:
    """Return nodes that could hold a pod, the fullest first, and what they have to give."""
    session = question.session
    free = session.free_device_milli()
    gives: dict[str, int] = {}
    for bite in collected:
        for pod in bite.pods:
            gives.setdefault(pod.node, 0)
            gives[pod.node] += pod.amounts[DEVICES]
    settled: dict[str, int] = {}
    for bite in question.settled:
        for pod in bite.pods:
            settled[pod.node] = settled.get(pod.node, 0) + pod.amounts[DEVICES]
    room = {
        node: amount + settled.get(node, 0) + int(free[session.slot_of(node)])
        for node, amount in gives.items()
    }
    asked = [pod.amounts[DEVICES] for pod in question.pods]
    missing = sum(asked) - sum(
        int(free[slot]) + settled.get(node.name, 0)
        for slot, node in session.soon.snapshot.nodes.items()
        if node.name not in gives
    )
    order = list(gives)  # by first appearance
    fitting = [node for node in order if room[node] >= min(asked)]
    fitting.sort(key=room.__getitem__)
    return [(node, room[node]) for node in fitting], missing


def _enough(nodes: Sequence[tuple[str, int]], missing: int) -> int:
    """Return how many of the first nodes give what is missing; more than there are if none do."""
    if missing <= 0:
        return 0
    for count, (_, room) in enumerate(nodes, start=1):
        missing -= room
        if missing <= 0:
            return count
    return len(nodes) + 1
