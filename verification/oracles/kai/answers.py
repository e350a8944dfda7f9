"""Run our passes over a row, and say what became of its pods in the source's words.

A row of one action is one session with one pass. An integration test runs all passes in rounds: in
between, pods that were given a node run, pods that were told to go or promised a place are pending
again. It compares once after the first rounds, and again after each further one: a decision must
not only be right, it must last.
"""

from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.workloads import WHOLE_DEVICE_MILLI
from gpuyard.scheduling.passes import table
from gpuyard.scheduling.passes.jobs import USES, Job, Pod, PodState
from gpuyard.scheduling.passes.knobs import ALL_PASSES, PassKnobs, PassName
from gpuyard.scheduling.passes.session import Session
from verification.oracles.kai import cluster
from verification.oracles.kai.cluster import Spot
from verification.oracles.kai.read import is_computed
from verification.oracles.rows import Answers, Json, OutOfScopeError, Outside, Row

PASSES: Mapping[str, PassName] = {
    "allocate": "allocate",
    "consolidation": "consolidate",
    "reclaim": "reclaim",
    "preempt": "preempt",
    "stalegangeviction": "stale-gangs",
}
STALE_GRACE_NS = {"stalegangeviction": 60 * 10**9}  # everywhere else the source's tests give none


class PodFacts(msgspec.Struct, frozen=True):
    """One pod as the source's comparison sees it."""

    status: str
    node: str
    gpus: float
    gpus_accepted: float
    cpu_milli: int
    memory: int

    def __repr__(self) -> str:
        return f"{self.status}{'@' + self.node if self.node else ''}"


class State(msgspec.Struct, frozen=True):
    """All jobs and nodes at one instant; pods by key, nodes as (idle, releasing) whole GPUs."""

    jobs: dict[str, dict[str, PodFacts]]
    nodes: dict[str, tuple[float, float]]

    def pods(self) -> dict[str, PodFacts]:
        """Return all pods by key."""
        return {key: pod for pods in self.jobs.values() for key, pod in pods.items()}


class History(list[State]):
    """The states that a row is compared with, one after the other."""

    def __repr__(self) -> str:
        last = self[0].pods() if self else {}
        changed = [index for index, state in enumerate(self) if state.pods() != last]
        shown = ", ".join(f"{key}: {pod!r}" for key, pod in sorted(last.items()))
        return f"{shown}{f' (changes in rounds {changed})' if changed else ''}"


def one_action(row: Row) -> Answers:
    """Answer a row that is about one action."""
    _check(row.case)
    grace_ns = STALE_GRACE_NS.get(row.test, 0)
    session = _run(row.case, cluster.first_spots(row.case), (PASSES[row.test],), grace_ns)
    return _answers(History([_state(session, cluster.gpus_asked(row.case))]))


def in_rounds(row: Row) -> Answers:
    """Answer a row of an integration test."""
    _check(row.case)
    first, later = row.case["Rounds"]
    spots = cluster.first_spots(row.case)
    keeps_going = {job["Name"] for job in row.case.get("Jobs") or () if job.get("DeleteJobInTest")}
    for _ in range(first):
        spots = _carried(_run(row.case, spots, ALL_PASSES), keeps_going)
    asked = cluster.gpus_asked(row.case)
    history = History([_state(_run(row.case, spots, ()), asked)])
    for _ in range(later):
        session = _run(row.case, spots, ALL_PASSES)
        history.append(_state(session, asked))
        spots = _carried(session, keeps_going)
    return _answers(history)


def _check(case: Mapping[str, Json]) -> None:
    if is_computed([value for name, value in case.items() if name != "SchedulerConf"]):
        raise OutOfScopeError(Outside.COMPUTED)


def _answers(history: History) -> Answers:
    return dict.fromkeys(
        ("JobExpectedResults", "TaskExpectedResults", "ExpectedNodesResources"), history
    )


def _run(
    case: Mapping[str, Json],
    spots: Mapping[str, Spot],
    passes: tuple[PassName, ...],
    stale_grace_ns: int = 0,
) -> Session:
    nodes, policy = cluster.nodes_of(case), cluster.policy_of(case)
    names_plugins = case.get("SchedulerConf") is not None
    knobs = PassKnobs(passes=passes, stale_grace_ns=stale_grace_ns)
    if names_plugins:  # no such list names the plugin that prefers what is free now
        knobs = msgspec.structs.replace(knobs, available_now_points=0)
    session = Session(
        cluster.placer(nodes, policy),
        cluster.placer(nodes, policy),
        cluster.jobs_of(case, spots),
        cluster.tree_of(case),
        topologies=cluster.topologies_of(case),
        knobs=knobs,
        now_ns=cluster.NOW_NS,
    )
    table.run(session)
    return session


def _carried(session: Session, keeps_going: set[str]) -> dict[str, Spot]:
    """Return where pods are when the next round begins."""
    return {
        pod.key: _next_spot(pod, stays_releasing=job.key in keeps_going)
        for job in session.jobs.values()
        for pod in job.pods
    }


def _next_spot(pod: Pod, *, stays_releasing: bool) -> Spot:
    after: PodState = "running" if pod.state == "allocated" else pod.state
    if pod.state == "pipelined" or (pod.state == "releasing" and not stays_releasing):
        return Spot("pending", "", None)
    shares = pod.template.request.devices
    keeps = shares is not None and shares.milli < WHOLE_DEVICE_MILLI
    return Spot(after, pod.node, pod.devices if keeps else None)


def _state(session: Session, asked: Mapping[str, float]) -> State:
    jobs = {job.key: dict(_facts(job, asked)) for job in session.jobs.values()}
    now, soon = session.now.snapshot, session.soon.snapshot
    nodes = {}
    for name, slot in now.slot_of.items():
        idle = int((now.fleet.device_free[slot] >= WHOLE_DEVICE_MILLI).sum())
        free = int((soon.fleet.device_free[slot] >= WHOLE_DEVICE_MILLI).sum())
        nodes[name] = (float(idle), float(free - idle))
    return State(jobs, nodes)


def _facts(job: Job, asked: Mapping[str, float]) -> Iterator[tuple[str, PodFacts]]:
    for pod in job.pods:
        devices = pod.template.request.devices
        gpus = devices.total_milli / WHOLE_DEVICE_MILLI if devices else 0.0
        yield (
            pod.key,
            PodFacts(
                cluster.NAMES[pod.state],
                pod.node,
                asked[pod.key],
                gpus if pod.state in USES else 0.0,
                pod.amounts[CPU],
                pod.amounts[MEMORY],
            ),
        )
