"""Teams that share a fleet: without queues, under Kueue, and under gpuyard.

The same generated days for everybody: workloads of teams that own equal shares of the fleet, with
the restart costs of `studies.contested`. The contenders are those of the placement weeks, and

* Kueue with cohorts and topology as its documentation recommends (`studies.contested.teams`), pods
  bound by best-fit;
* gpuyard with its queues.

The first two know no queues: who comes first is placed first, and nobody is evicted. Workloads that
ask for a part of a GPU are left out, for quota counts whole ones. A smaller fleet and fewer days
than the weeks of placement: a queue that looks at everybody who waits has more to do.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from gpuyard.model.nodes import Node
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PRESETS
from gpuyard.studies.contested.contest import DAY_NS, HOUR_NS, PROBE, Contest, contest, thinned
from gpuyard.studies.cores import over_cores
from gpuyard.studies.demo.weeks import Scenario, Wait, wait_of, waits_by_kind
from gpuyard.studies.replay.records import keeping
from gpuyard.traces.fleet import parse_fleet
from gpuyard.traces.generate import generate
from gpuyard.twin import shared_fleet, timed
from gpuyard.twin.page.content import Role
from gpuyard.twin.record import Head, Recorder

GPUS_MAX = 128  # of a larger fleet teams share a part
DAYS_MAX = 3.0


class TeamContender(msgspec.Struct, frozen=True, kw_only=True):
    """A policy under the name that people know it by; `queued`: teams have queues with quota."""

    name: str
    role: Role
    policy: Policy
    queued: bool


CONTENDERS = (
    TeamContender(
        name="kube-scheduler default", role="peer-1", policy=PRESETS["kube"], queued=False
    ),
    TeamContender(
        name="MostAllocated + whole gangs",
        role="peer-2",
        policy=PRESETS["kube-most-allocated"],
        queued=False,
    ),
    TeamContender(
        name="Kueue, cohorts and topology", role="peer-3", policy=PRESETS["kueue"], queued=True
    ),
    TeamContender(name="gpuyard", role="ours", policy=PRESETS["gpuyard"], queued=True),
)


class TeamTask(msgspec.Struct, frozen=True, kw_only=True):
    """Days to live through; `record_path` is the file that keeps their record, if any shall."""

    contender: TeamContender
    fleet: str
    days: float
    load: float
    seed: int
    record_path: str | None = None


class TeamDays(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender made of them.

    `lost_gpu_h` went into starts that failed, work that was thrown away and catching up;
    `startable_pods` is how many pods of eight GPUs could have started at once, on average.
    """

    contender: str
    gpus: int
    days: float
    workloads: int
    waits: dict[str, Wait]
    wait: Wait
    useful_gpu_h: float
    lost_gpu_h: float
    evictions: int
    startable_pods: float


def tasks(scenario: Scenario, record_path: str | None = None) -> list[TeamTask]:
    """Return the days of every contender, the longest to compute first; ours keep a record."""
    return [
        TeamTask(
            contender=one,
            fleet=scenario.fleet,
            days=min(scenario.days, DAYS_MAX),
            load=scenario.main_load,
            seed=scenario.seeds[0],
            record_path=record_path if one.role == "ours" else None,
        )
        for one in reversed(CONTENDERS)
    ]


def days(chosen: list[TeamTask]) -> Iterator[TeamDays]:
    """Live through all of them, over all cores."""
    yield from over_cores(live, chosen)


def live(task: TeamTask) -> TeamDays:
    """Live through the days of one contender."""
    nodes = shared_part(parse_fleet(task.fleet))
    trace = generate(nodes, task.seed, days=task.days, load=task.load)
    made = contest("teams", trace, round(task.days * DAY_NS), seed=task.seed)
    if not task.contender.queued:
        return _without(task, made)
    if task.record_path is None:
        return _with_queues(task, made, None)
    head = Head(
        policy_name=task.contender.name,
        trace=f"teams on {task.fleet}",
        seed=task.seed,
        policy=task.contender.policy,
        queued=True,
    )
    with keeping(task.record_path, head) as recorder:
        return _with_queues(task, made, recorder)


def shared_part(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return one in so many of the nodes of each kind that no more than `GPUS_MAX` are left."""
    gpus = sum(len(node.devices) for node in nodes)
    one_in = max(1, -(-gpus // GPUS_MAX))
    return thinned(nodes, one_in) or tuple(nodes)


def _with_queues(task: TeamTask, made: Contest, recorder: Recorder | None) -> TeamDays:
    policy = task.contender.policy
    lived = shared_fleet.run(made.fleet, policy, seed=task.seed, recorder=recorder)
    kinds = [one.kind for one in lived.outcomes]
    waited_s = np.array([one.waited_ns for one in lived.outcomes]) / 10**9
    never = np.array([one.started_ns is None for one in lived.outcomes])
    return TeamDays(
        contender=task.contender.name,
        gpus=made.gpus,
        days=task.days,
        workloads=len(kinds),
        waits=waits_by_kind(kinds, waited_s, never),
        wait=wait_of(waited_s, never),
        useful_gpu_h=sum(one.useful_device_ns for one in lived.outcomes) / HOUR_NS,
        lost_gpu_h=sum(one.lost_device_ns for one in lived.outcomes) / HOUR_NS,
        evictions=sum(one.evictions for one in lived.outcomes),
        startable_pods=lived.mean_startable_pods,
    )


def _without(task: TeamTask, made: Contest) -> TeamDays:
    fleet = made.fleet
    setting = timed.Setting(
        nodes=fleet.nodes,
        arrivals=fleet.arrivals,
        mix=fleet.mix,
        until_ns=fleet.until_ns,
        probe=PROBE,
    )
    lived = timed.run(setting, task.contender.policy, seed=task.seed)
    line, jobs = lived.timeline, lived.jobs
    held_milli = line.allocated_milli - line.useful_milli
    never = jobs.started_ns < 0
    waited_s = jobs.waited_ns / 10**9
    return TeamDays(
        contender=task.contender.name,
        gpus=made.gpus,
        days=task.days,
        workloads=len(jobs.kind),
        waits=waits_by_kind(jobs.kind, waited_s, never),
        wait=wait_of(waited_s, never),
        useful_gpu_h=sum(jobs.useful_gpu_hours(lived.until_ns).values()),
        lost_gpu_h=line.mean(held_milli) / 1000 * lived.until_ns / HOUR_NS,
        evictions=0,
        startable_pods=line.mean(line.largest_gang),
    )
