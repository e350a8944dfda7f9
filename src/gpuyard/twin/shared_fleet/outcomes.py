"""What is measured on a shared fleet: who held what from when to when, and what came of it.

A device is always in one of three states. *Useful*: it does work that need not be done again.
*Lost*: it does work that will be thrown away, waits for the rest of its gang to start, or gets a
returning workload to where it was. *Idle*: nobody holds it. The three add up to what the fleet has;
idle time is measured on the nodes, the other two by workload, so that the sum says whether both
agree.
"""

import msgspec

from gpuyard.model.workloads import WHOLE_DEVICE_MILLI


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that holds devices from one instant to another; `evicted`: it was told to go.

    `works_from_ns`: when it began to work there, all of its pods ready and where it was before;
    `None`: it never came to that.
    """

    workload: str
    devices_milli: int
    from_ns: int
    works_from_ns: int | None
    until_ns: int
    evicted: bool
    nodes: tuple[str, ...]  # of its pods


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one workload; `None` where it never came to that.

    `waited_ns` is all the time in which it wanted to run and held nothing. `useful_ns` is work
    that stands; it and what was lost, in thousandths of devices times how long, are all it held.
    `put_back`: tries to start after which the whole of it was put back. `given_up_ns`: it failed
    too often to be tried again.
    """

    key: str
    kind: str
    queue: str
    devices_milli: int
    created_ns: int
    started_ns: int | None
    ended_ns: int | None
    given_up_ns: int | None
    waited_ns: int
    evictions: int
    put_back: int
    useful_ns: int
    useful_milli_ns: int
    lost_milli_ns: int

    @property
    def useful_device_ns(self) -> int:
        """Return the device time of work that stands."""
        return self.useful_milli_ns // WHOLE_DEVICE_MILLI

    @property
    def lost_device_ns(self) -> int:
        """Return the device time that starts and evictions cost."""
        return self.lost_milli_ns // WHOLE_DEVICE_MILLI


class SharedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured until `until_ns`; outcomes in the order of arrival.

    `mean_startable_pods` is the mean over time of how many pods of the probe could have started at
    once. `passes` over the queues had `rounds`; `writes` are pods sent to a node, each time that it
    was tried.
    """

    until_ns: int
    devices: int
    idle_device_ns: int
    mean_startable_pods: float
    outcomes: tuple[Outcome, ...]
    stays: tuple[Stay, ...]
    passes: int
    rounds: int
    writes: int
