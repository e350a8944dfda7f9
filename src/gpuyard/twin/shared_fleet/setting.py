"""Everything but the policy: nodes, queues, what arrives, and what no scheduler decides.

What an eviction costs is part of the world, not of the policy (`Habit`): how much work it throws
away, how long a victim takes to go, how long it takes to be back where it was. How long a start
takes and what goes wrong with it is the rest of the world (`gpuyard.twin.world`).
"""

from collections.abc import Mapping

import msgspec

from gpuyard.model.deltas import MixEntry, QueuesObserved
from gpuyard.model.nodes import Node, Pool
from gpuyard.model.queues import ClusterQueue, Cohort, LocalQueue, ResourceFlavor
from gpuyard.model.topology import Topology
from gpuyard.model.workloads import Request, TimedWorkload, Workload
from gpuyard.twin.world import World

SECOND_NS = 10**9


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How a workload bears being stopped.

    Its work is saved whenever it has worked for another `saved_every_ns`; 0: always (a service has
    nothing to save), `None`: only when it is done. `restart_ns` is what it takes to work again on
    its return, `grace_ns` what it takes to go.
    """

    saved_every_ns: int | None = None
    restart_ns: int = 0
    grace_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse durations of less than nothing."""
        if min(self.saved_every_ns or 0, self.restart_ns, self.grace_ns) < 0:
            raise ValueError("nothing takes less than no time: give durations of at least 0")

    def saved_ns(self, worked_ns: int) -> int:
        """Return how much of an uninterrupted stretch of work is saved at its end."""
        if self.saved_every_ns is None:
            return 0
        return worked_ns - worked_ns % self.saved_every_ns if self.saved_every_ns else worked_ns


class FleetWorld(msgspec.Struct, frozen=True, kw_only=True):
    """What no scheduler decides. `habits` by class of workload; other classes have `habit`.

    Whoever feeds the queues tells them at most every `wake_every_ns` what became free. `starts` is
    the way from a plan to pods that run; by default it takes no time and nothing goes wrong.
    """

    habit: Habit = Habit()
    habits: Mapping[str, Habit] = msgspec.field(default_factory=dict)
    wake_every_ns: int = SECOND_NS
    starts: World = World()

    def of(self, workload: Workload) -> Habit:
        """Return the habit of `workload`."""
        return self.habits.get(workload.kind, self.habit)


class SharedFleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the policy.

    `topologies` are those that `flavors` name. `mix` is what fragmentation is measured against;
    `probe` what each pod of a gang asks for whose largest startable size is measured. A workload's
    `queue` is the key of one of `local_queues`. A node whose pool is not among `pools` has our
    device choice.
    """

    nodes: tuple[Node, ...]
    cluster_queues: tuple[ClusterQueue, ...]
    local_queues: tuple[LocalQueue, ...]
    flavors: tuple[ResourceFlavor, ...]
    arrivals: tuple[TimedWorkload, ...]
    until_ns: int
    probe: Request
    cohorts: tuple[Cohort, ...] = ()
    topologies: tuple[Topology, ...] = ()
    mix: tuple[MixEntry, ...] = ()
    pools: Mapping[str, Pool] = msgspec.field(default_factory=dict)
    world: FleetWorld = FleetWorld()

    def queues(self) -> QueuesObserved:
        """Return the queues as a fact."""
        return QueuesObserved(
            cluster_queues=self.cluster_queues,
            local_queues=self.local_queues,
            flavors=self.flavors,
            cohorts=self.cohorts,
            topologies=self.topologies,
        )
