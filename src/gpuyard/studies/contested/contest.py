"""Teams contend for one fleet: the same weeks under Kueue's policy and under ours.

The scenario is data: a fleet, what arrives, who the teams are and what stopping a workload costs.
Every contender meets the same arrivals, quota, world and wakes, decides without delay and as often
as it likes. Contenders are a `QueuePolicy` and a placement policy:

* ``kueue``: admission counts places host by host, and pods are bound where it put them, as Kueue's
  gates and node selectors do; the device plugin counts devices, so no more is chosen.
* ``gpuyard``: admission counts the same places, and our scores choose among them.

Where the numbers come from: the share of each team is equal, while what they ask for is not
(`traces.habits.USERS`: the first user sends the most). What is saved when, and how long a restart
takes, are assumptions; they stand in `WORLD`.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from gpuyard.model.nodes import Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import DeviceRequest, Request, TimedWorkload
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PRESETS
from gpuyard.studies.contested.teams import HOSTS, cohorts, doors, flavors_of, teams_queues
from gpuyard.studies.contested.whole_gpus import gpu_hours, in_whole_gpus
from gpuyard.studies.notebook import mix_of
from gpuyard.traces import habits
from gpuyard.traces.fleet import DEMO_FLEET
from gpuyard.traces.generate import generate
from gpuyard.traces.trace import Trace
from gpuyard.twin.shared_fleet import FleetWorld, Habit, SharedFleet

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
GIB_BYTES = 2**30

TEAMS = tuple(f"team-{number}" for number in range(habits.TEAMS))

# Assumption: Kubernetes' default grace period; a training job saves every half hour, a service has
# nothing to save, batch saves every hour. A restart is an image that is there already, weights from
# shared storage, and for a gang its rendezvous and compilation.
WORLD = FleetWorld(
    habits={
        "inference": Habit(saved_every_ns=0, restart_ns=2 * MINUTE_NS, grace_ns=30 * SECOND_NS),
        "training": Habit(
            saved_every_ns=30 * MINUTE_NS, restart_ns=5 * MINUTE_NS, grace_ns=30 * SECOND_NS
        ),
        "fine-tuning": Habit(
            saved_every_ns=30 * MINUTE_NS, restart_ns=3 * MINUTE_NS, grace_ns=30 * SECOND_NS
        ),
        "batch": Habit(saved_every_ns=HOUR_NS, restart_ns=MINUTE_NS, grace_ns=30 * SECOND_NS),
    }
)

# A pod as large as a node of eight GPUs, of any model, with a part of the node's CPU and memory.
PROBE = Request(
    resources=Resources(((CPU, 64_000), (MEMORY, 256 * GIB_BYTES))), devices=DeviceRequest(count=8)
)


CONTENDERS: dict[str, Policy] = {name: PRESETS[name] for name in ("kueue", "gpuyard")}


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet and what happens to it, and what the translation left out."""

    name: str
    seed: int
    fleet: SharedFleet
    gpus: int
    requested_gpu_h: float
    left_out: int
    left_out_gpu_h: float

    @property
    def load(self) -> float:
        """Return what is asked for over what the fleet has."""
        return self.requested_gpu_h * HOUR_NS / (self.gpus * self.fleet.until_ns)


def generated(load: float, seed: int = 1, *, days: float = 7.0) -> Contest:
    """Return generated days of the demo's fleet; `load` counts what is left out as well."""
    trace = generate(DEMO_FLEET, seed, days=days, load=load)
    return contest(f"generated {load:g}", trace, round(days * DAY_NS), seed=seed)


def openb(
    trace: Trace, *, from_day: int = 120, days: int = 30, one_in: int = 150, seed: int = 1
) -> Contest:
    """Return the busy end of the openb trace on one in so many of its nodes.

    The trace asks for at most 65 of its 6,212 GPUs at once, for its times are those of pods that
    were sampled and its fleet is whole; so the fleet is thinned until pods contend. Who runs when
    the time begins arrives then, with what is left of his run time. The trace names no owners:
    users are drawn as for generated traces.
    """
    begins_ns = from_day * DAY_NS
    nodes = thinned(trace.nodes, one_in)
    arrivals = _with_owners(_since(trace.workloads, begins_ns), TEAMS[:4], seed)
    return contest(
        "openb", Trace(trace.name, nodes, arrivals), days * DAY_NS, seed=seed, teams=TEAMS[:4]
    )


def thinned(nodes: Sequence[Node], one_in: int) -> tuple[Node, ...]:
    """Return every so many of the nodes of each kind, the first of them from the middle."""
    kinds: dict[tuple[str, int], list[Node]] = {}
    for node in nodes:
        kinds.setdefault((node.pool, len(node.devices)), []).append(node)
    return tuple(node for kind in kinds.values() for node in kind[one_in // 2 :: one_in])


def contest(
    name: str, trace: Trace, until_ns: int, *, seed: int, teams: Sequence[str] = TEAMS
) -> Contest:
    """Return `trace` as one that teams contend in."""
    translated = in_whole_gpus(trace, until_ns)

    return Contest(
        name=name,
        seed=seed,
        fleet=SharedFleet(
            nodes=translated.nodes,
            cluster_queues=teams_queues(translated.nodes, dict.fromkeys(teams, 1)),
            local_queues=doors(teams),
            flavors=flavors_of(translated.nodes),
            cohorts=cohorts(),
            topologies=(HOSTS,),
            arrivals=translated.workloads,
            mix=mix_of(translated.workloads),
            until_ns=until_ns,
            probe=PROBE,
            world=WORLD,
        ),
        gpus=sum(len(node.devices) for node in translated.nodes),
        requested_gpu_h=gpu_hours(translated.workloads, until_ns),
        left_out=translated.left_out,
        left_out_gpu_h=translated.left_out_gpu_h,
    )


def _since(workloads: Sequence[TimedWorkload], begins_ns: int) -> tuple[TimedWorkload, ...]:
    """Return who is there from `begins_ns` on, with that as the beginning of time."""
    kept = []
    for timed in workloads:
        created_ns, runtime_ns = timed.workload.created_ns - begins_ns, timed.runtime_ns
        if runtime_ns is not None:
            runtime_ns += min(0, created_ns)
            if runtime_ns <= 0:
                continue
        workload = msgspec.structs.replace(timed.workload, created_ns=max(0, created_ns))
        kept.append(TimedWorkload(workload, runtime_ns))
    return tuple(kept)


def _with_owners(
    workloads: Sequence[TimedWorkload], teams: Sequence[str], seed: int
) -> tuple[TimedWorkload, ...]:
    """Return the workloads with users, teams and the priority of their class."""
    rng = np.random.Generator(np.random.PCG64([seed]))
    weights = (1 / np.arange(1, habits.USERS + 1)).cumsum()
    drawn = np.searchsorted(weights, rng.random(len(workloads)) * weights[-1], side="right")
    return tuple(
        TimedWorkload(
            msgspec.structs.replace(
                timed.workload,
                user=f"user-{user:02}",
                queue=teams[user % len(teams)],
                priority=habits.PRIORITIES.get(timed.workload.kind, 0),
            ),
            timed.runtime_ns,
        )
        for timed, user in zip(workloads, drawn.tolist(), strict=True)
    )
