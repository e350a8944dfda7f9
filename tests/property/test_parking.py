"""Parking changes nothing but the work: whoever is left parked could not have started.

Random small weeks run twice, with `Parking` and with a stand-in that wakes everybody at every
instant; every start, end and attempt must be the same. And after every cycle each workload that
waits is tried alone on a snapshot built anew: none may start a single pod.
"""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gpuyard.model.constraints import (
    UNCONSTRAINED,
    Constraints,
    HostPort,
    LabelSelector,
    PodTerm,
    Requirement,
    SpreadConstraint,
)
from gpuyard.model.deltas import MixObserved, NodeObserved, PodBound
from gpuyard.model.nodes import Device, Node
from gpuyard.model.reasons import Silent
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.mix import typical_mix
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.twin import timed

APP_X = LabelSelector((Requirement("app", "In", ("x",)),))
NEAR_X = PodTerm("zone", APP_X, ("default",))

CPUS = [500, 1000, 2000]
ASKED = [
    None,
    DeviceRequest(count=1),
    DeviceRequest(count=1, milli=400),
    DeviceRequest(count=2),
    DeviceRequest(count=2, milli=500),
    DeviceRequest(count=1, models=("B",)),
]
PICKY = [
    Constraints(forbidden_pods=(NEAR_X,)),
    Constraints(required_pods=(NEAR_X,)),
    Constraints(spread=(SpreadConstraint(1, "zone", "DoNotSchedule", APP_X),)),
    Constraints(host_ports=(HostPort(80),)),
    Constraints(node_selector=(("zone", "a"),)),
]


def week(seed, constraints):
    """Return a few nodes and more arrivals than they can hold at once.

    Drawn from a seed and not by hypothesis: contention needs many arrivals of like size.
    """
    rng = np.random.default_rng(seed)

    def one_of(values):
        return values[rng.integers(len(values))]

    nodes = tuple(
        Node(
            name=f"n{index}",
            rank=index,
            allocatable=Resources.of({CPU: one_of([2000, 4000])}),
            devices=tuple(Device(model=one_of("AAB")) for _ in range(rng.integers(4))),
            labels=(("zone", one_of("ab")),),
        )
        for index in range(rng.integers(1, 4))
    )
    templates = [
        PodTemplate(
            request=Request(resources=Resources.of({CPU: one_of(CPUS)}), devices=one_of(ASKED)),
            labels=one_of([(), (("app", "x"),)]),
            constraints=one_of([UNCONSTRAINED, *constraints]),
        )
        for _ in range(rng.integers(2, 5))
    ]
    arrivals = tuple(
        timed.TimedWorkload(
            Workload(
                key=f"w{index}",
                pod_sets=tuple(
                    PodSet(
                        name=f"s{place}",
                        count=int(one_of([1, 1, 2, 3])),
                        template=one_of(templates),
                    )
                    for place in range(one_of([1, 1, 2]))
                ),
                created_ns=int(rng.integers(0, 20)),
                priority=int(rng.integers(0, 2)),
            ),
            one_of([1, 3, 5, 9, None]),
        )
        for index in range(rng.integers(4, 16))
    )
    return nodes, arrivals


class EverybodyWakes:
    """Stands in for `Parking`: all who wait are tried at every instant."""

    def __init__(self, placer):
        self.parked = {}

    def park(self, workload, turn, shapes):
        self.parked[workload] = None

    def leave(self, workload):
        self.parked.pop(workload, None)

    def woken(self):
        return list(self.parked)

    def dependents(self):
        return list(self.parked)

    def may_fit(self, workload):
        return True


def live(fleet, arrivals, policy, *, parking=None, check=None):
    """Run the arrivals with a gang's patience of 4 ns; `check` is called after each cycle."""
    world = timed.World(rendezvous_timeout_ns=4, retry_first_ns=1, retry_longest_ns=3)
    requests = [pod_set.template.request for one in arrivals for pod_set in one.workload.pod_sets]
    decide = timed._Yard.decide

    def decide_and_check(yard, jobs, now_ns):
        decide(yard, jobs, now_ns)
        if check:
            check(yard)

    with (
        patch.object(timed, "Parking", parking or timed.Parking),
        patch.object(timed._Yard, "decide", decide_and_check),
    ):
        setting = timed.Setting(
            nodes=fleet,
            arrivals=arrivals,
            mix=typical_mix(requests),
            until_ns=40,
            world=world,
        )
        return timed.run(setting, Policy(placement=policy))


def nobody_could_start(yard):
    """Try each workload that waits alone, on a snapshot built anew."""
    placer = yard.placer
    for job in yard.waiting.values():
        snapshot = Snapshot()
        for node in placer.snapshot.nodes.values():
            snapshot.apply(NodeObserved(node))
        snapshot.apply(MixObserved(placer.snapshot.mix))
        for booking in placer.snapshot.bookings.values():
            snapshot.apply(PodBound(booking.assignment))
        alone = Placer(snapshot, placer.policy, np.random.default_rng(0))
        plan = cycle.run(alone, [cycle.Pending(job.arrival.workload, job.missing)], Silent())
        assert not plan.starts, f"{job.arrival.workload.key} could start"


def told(run):
    jobs, line = run.jobs, run.timeline
    per_job = zip(jobs.key, jobs.started_ns, jobs.ended_ns, jobs.attempts, strict=True)
    return [tuple(row) for row in per_job], line.allocated_milli.tolist(), line.at_ns.tolist()


@pytest.mark.parametrize("policy", ["fgd", "best-fit", "clustering", "kube"])
@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 2**32))
def test_parking_changes_no_decision(policy, seed):
    fleet, arrivals = week(seed, [])
    parked = live(fleet, arrivals, PLACEMENTS[policy], check=nobody_could_start)
    assert told(parked) == told(live(fleet, arrivals, PLACEMENTS[policy], parking=EverybodyWakes))


@settings(max_examples=settings.default.max_examples)
@given(seed=st.integers(0, 2**32))
def test_nobody_is_forgotten_who_depends_on_others(seed):
    fleet, arrivals = week(seed, PICKY)
    parked = live(fleet, arrivals, PLACEMENTS["fgd"], check=nobody_could_start)
    assert told(parked) == told(live(fleet, arrivals, PLACEMENTS["fgd"], parking=EverybodyWakes))
