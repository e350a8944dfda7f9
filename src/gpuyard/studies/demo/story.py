"""One story that every platform team knows, lived through with every fact and plan written down.

A serving team and a research team share 20 GPUs. Research runs a fine-tuning job and a batch gang
and borrows what serving does not use. Then a deployment grows from 4 replicas to 12. Who goes, how
quickly, when are the replicas ready, when does the gang come back, and what did it cost?

Nothing here is told by hand: the scenes are read off the plans and stays of a run
(`gpuyard.twin.shared_fleet`) under a policy, whatever they turn out to be.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from gpuyard.model.deltas import YardDelta
from gpuyard.model.plan import Plan
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import (
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
    WorkloadClass,
)
from gpuyard.scheduling.cycle import Pending
from gpuyard.scheduling.policy import Policy
from gpuyard.studies.contested.contest import GIB_BYTES, HOUR_NS, MINUTE_NS, SECOND_NS, WORLD
from gpuyard.studies.contested.teams import HOSTS, cohorts, doors, flavors_of, teams_queues
from gpuyard.studies.contested.whole_gpus import in_whole_gpus
from gpuyard.traces.fleet import parse_fleet
from gpuyard.traces.habits import PRIORITIES
from gpuyard.traces.trace import Trace
from gpuyard.twin.shared_fleet import FleetWorld, SharedFleet, SharedRun, Stay, run
from gpuyard.twin.world import Delay, World

FLEET = "5x4xL40S"
SHARES = {"serving": 3, "research": 2}  # of 20 GPUs: 12 and 8
GANG = "research/sweep"
GROWS_NS = 6 * HOUR_NS + 20 * MINUTE_NS
SHRINKS_AFTER_NS = 5 * HOUR_NS
UNTIL_NS = 24 * HOUR_NS
FIRST, ALL = 4, 12  # replicas before and after

# Assumption: images are on the nodes, weights in shared storage; a pod is ready after 30 s.
STARTS = World(write=Delay(least_ns=5 * 10**6), start=Delay(least_ns=30 * SECOND_NS))


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What happened at an instant."""

    at_s: float
    words: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy made of it.

    `held` are the GPUs of each group of workloads at each of `instants_s`. `gone_after_s` and
    `ready_after_s` count from when the deployment grew; `None`: it never came to that.
    """

    policy: str
    fleet: str
    gpus: int
    grace_s: float
    evicted: tuple[str, ...]
    gone_after_s: float | None
    ready_after_s: float | None
    back_after_s: float | None
    ended_s: float | None
    lost_gpu_h: float
    scenes: tuple[Scene, ...]
    instants_s: tuple[float, ...]
    held: dict[str, tuple[int, ...]]


def live(name: str, policy: Policy) -> Story:
    """Live through the story under `policy`."""
    heard = _Heard()
    lived = run(fleet(), policy, recorder=heard)
    return _told(name, lived, heard)


def fleet() -> SharedFleet:
    """Return the fleet, the teams and what arrives."""
    translated = in_whole_gpus(Trace("story", parse_fleet(FLEET), tuple(_arrivals())), UNTIL_NS)
    world = FleetWorld(habits=WORLD.habits, starts=STARTS)
    return SharedFleet(
        nodes=translated.nodes,
        cluster_queues=teams_queues(translated.nodes, SHARES),
        local_queues=doors(SHARES),
        flavors=flavors_of(translated.nodes),
        cohorts=cohorts(),
        topologies=(HOSTS,),
        arrivals=translated.workloads,
        until_ns=UNTIL_NS,
        probe=_request(4),
        world=world,
    )


def _arrivals() -> Iterator[TimedWorkload]:
    yield _arrival("research/tune", "research", "fine-tuning", 2, 4, 0, 20 * HOUR_NS)
    yield _arrival(GANG, "research", "batch", 2, 4, 0, 10 * HOUR_NS)
    for index in range(ALL):
        is_first = index < FIRST
        at_ns = 10 * MINUTE_NS if is_first else GROWS_NS
        runs_ns = None if is_first else SHRINKS_AFTER_NS
        yield _arrival(f"serving/chat-{index:02}", "serving", "inference", 1, 1, at_ns, runs_ns)


def _arrival(
    key: str,
    team: str,
    kind: WorkloadClass,
    pods: int,
    gpus: int,
    at_ns: int,
    runtime_ns: int | None,
) -> TimedWorkload:
    template = PodTemplate(
        request=_request(gpus), namespace=team, labels=(("app", key.rpartition("-")[0] or key),)
    )
    workload = Workload(
        key=key,
        pod_sets=(PodSet(name="main", count=pods, template=template),),
        created_ns=at_ns,
        kind=kind,
        priority=PRIORITIES.get(kind, 0),
        queue=team,
        user=team,
    )
    return TimedWorkload(workload, runtime_ns)


def _request(gpus: int) -> Request:
    return Request(
        resources=Resources(((CPU, 4_000 * gpus), (MEMORY, 32 * gpus * GIB_BYTES))),
        devices=DeviceRequest(count=gpus),
    )


class _Heard:
    """Every plan, and when."""

    def __init__(self) -> None:
        self.plans: list[tuple[int, Plan]] = []

    def told(self, delta: YardDelta) -> None:
        """Hear a fact."""

    def asking(self, may_fit: Callable[[str], bool]) -> Callable[[str], bool]:
        """Hear nothing: workloads wait in queues."""
        return may_fit

    def decided(self, pending: Sequence[Pending], plan: Plan, now_ns: int) -> None:
        """Hear a plan."""
        self.plans.append((now_ns, plan))


# -- read off the run


def _told(name: str, lived: SharedRun, heard: _Heard) -> Story:
    gang = next(one for one in lived.outcomes if one.key == GANG)
    grown = [stay for stay in lived.stays if _group(stay.workload) == "chat, the eight more"]
    left_ns = [stay.until_ns for stay in lived.stays if stay.evicted]
    ready_ns = [stay.works_from_ns for stay in grown if stay.works_from_ns is not None]
    back_ns = [stay.from_ns for stay in lived.stays if stay.workload == GANG][1:]
    is_ready = len(ready_ns) == ALL - FIRST
    return Story(
        policy=name,
        fleet=FLEET,
        gpus=lived.devices,
        grace_s=WORLD.habits["batch"].grace_ns / SECOND_NS,
        evicted=tuple(sorted({stay.workload for stay in lived.stays if stay.evicted})),
        gone_after_s=(max(left_ns) - GROWS_NS) / SECOND_NS if left_ns else None,
        ready_after_s=(max(ready_ns) - GROWS_NS) / SECOND_NS if is_ready else None,
        back_after_s=(back_ns[0] - GROWS_NS) / SECOND_NS if back_ns else None,
        ended_s=None if gang.ended_ns is None else gang.ended_ns / SECOND_NS,
        lost_gpu_h=sum(one.lost_milli_ns for one in lived.outcomes if one.evictions)
        / 1000
        / HOUR_NS,
        scenes=tuple(sorted(_scenes(lived, heard), key=lambda scene: scene.at_s)),
        instants_s=tuple(at_ns / SECOND_NS for at_ns in _instants(lived.stays)),
        held={
            group: tuple(_held(lived.stays, group, at_ns) for at_ns in _instants(lived.stays))
            for group in dict.fromkeys(map(_group, sorted(one.key for one in lived.outcomes)))
        },
    )


def _scenes(lived: SharedRun, heard: _Heard) -> Iterator[Scene]:
    yield _scene(GROWS_NS, f"Deployment chat grows from {FIRST} replicas to {ALL}.")
    for at_ns, plan in heard.plans:
        for evict in plan.evicts:
            yield _scene(
                at_ns, f"{evict.victim} is told to go for {evict.workload}: {evict.reason}."
            )
    for stay in lived.stays:
        if stay.evicted:
            freed = stay.devices_milli // 1000
            yield _scene(stay.until_ns, f"{stay.workload} has gone, all of it: {freed} GPUs free.")
    ready_ns = sorted(
        stay.works_from_ns
        for stay in lived.stays
        if _group(stay.workload) == "chat, the eight more" and stay.works_from_ns is not None
    )
    if ready_ns:
        yield _scene(ready_ns[-1], f"{len(ready_ns)} replicas more are ready.")
    yield from _return(lived)


def _return(lived: SharedRun) -> Iterator[Scene]:
    """Tell how those come back who were evicted, and end."""
    for one in lived.outcomes:
        if not one.evictions:
            continue
        begun_ns = sorted(stay.from_ns for stay in lived.stays if stay.workload == one.key)
        for at_ns in begun_ns[1:]:
            yield _scene(at_ns, f"{one.key} starts again.")
        if one.ended_ns is not None:
            lost = one.lost_milli_ns / 1000 / HOUR_NS
            yield _scene(
                one.ended_ns,
                f"{one.key} has ended, all of its work done; the way there cost {lost:.1f} "
                "GPU-hours more.",
            )


def _scene(at_ns: int, words: str) -> Scene:
    return Scene(at_s=at_ns / SECOND_NS, words=words)


def _group(workload: str) -> str:
    if not workload.startswith("serving/chat-"):
        return workload
    return "chat, the first four" if int(workload[-2:]) < FIRST else "chat, the eight more"


def _instants(stays: Iterable[Stay]) -> list[int]:
    return sorted({0, UNTIL_NS} | {at for stay in stays for at in (stay.from_ns, stay.until_ns)})


def _held(stays: Iterable[Stay], group: str, at_ns: int) -> int:
    """Return the GPUs that a group holds from an instant on."""
    milli = sum(
        stay.devices_milli
        for stay in stays
        if _group(stay.workload) == group and stay.from_ns <= at_ns < stay.until_ns
    )
    return milli // 1000
