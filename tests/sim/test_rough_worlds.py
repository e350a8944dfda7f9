"""Whole weeks of a small yard in which writes are slow, refused and lost, and members fail.

Random worlds, random jobs, both manners of starting a gang. After every instant: no gang works
partial, what the snapshot counts is what jobs hold, nobody holds anything who should not. At the
end every job that can end has ended or was given up, and nothing is left behind. And every such run
leaves a record from which each plan comes out again.
"""

from unittest.mock import patch

import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from gpuyard.model.commitments import CommitmentRules
from gpuyard.model.ledger import BackOff, Hold
from gpuyard.model.reasons import Silent
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.twin import record, timed
from gpuyard.twin.world import Delay, Fault, World
from tests.small_fleet import arrival, node, template

RULES = CommitmentRules(
    ready_within_ns=200,
    back_off_base_ns=5,
    back_off_max_ns=40,
    faults_max=3,
    reply_within_ns=20,
    put_back_within_ns=15,
)
BEST_FIT = PLACEMENTS["best-fit"]
POLICIES = {
    "whole": BEST_FIT,
    "one by one": msgspec.structs.replace(BEST_FIT, gangs="pod-by-pod"),
    "by chance": msgspec.structs.replace(BEST_FIT, tie_break="random"),
}
FLEET = (node("n", gpus="AAA"), node("m", gpus="AA"), node("o", 2000))

delays = st.builds(Delay, least_ns=st.integers(0, 6), mean_extra_ns=st.sampled_from([0, 0, 4, 30]))
shares = st.sampled_from([0.0, 0.0, 0.1, 0.4])
faults = st.builds(
    Fault,
    reason=st.sampled_from(["Conflict", "OutOfcpu", "UnexpectedAdmissionError", "Error"]),
    at=st.sampled_from(["write", "admission", "start"]),
    share=st.sampled_from([0.1, 0.3, 1.0]),
    of=st.sampled_from(["try", "workload"]),
    own_fault=st.booleans(),
    nodes=st.sampled_from([(), ("n",), ("m", "o")]),
    from_ns=st.sampled_from([0, 30]),
    until_ns=st.sampled_from([50, 90]),
)
worlds = st.builds(
    World,
    rendezvous_timeout_ns=st.sampled_from([10, 60]),
    retry_first_ns=st.just(5),
    retry_longest_ns=st.just(20),
    seed=st.integers(0, 99),
    write=delays,
    watch=delays,
    start=delays,
    leave=delays,
    slow_share=shares,
    slow=delays,
    request_lost_share=shares,
    reply_lost_share=shares,
    silent_share=shares,
    faults=st.lists(faults, max_size=3).map(tuple),
)
jobs = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(0, 60), st.integers(0, 30)),
    min_size=1,
    max_size=8,
)


class CheckedYard(timed._Yard):
    """A yard that asserts after each instant what must always hold."""

    last = None

    def decide(self, jobs, now_ns):
        super().decide(jobs, now_ns)
        CheckedYard.last = self
        self.starts.commitments.validate()
        self.what_is_counted_is_what_jobs_hold()
        for job in self.jobs.values():
            self.each_pod_is_in_one_place(job)
        self.only_whole_jobs_work()
        self.nothing_is_held_for_nobody()

    def what_is_counted_is_what_jobs_hold(self):
        bookings = self.placer.snapshot.bookings
        assert set(bookings) == set(self.by_pod)
        for pod, job in self.by_pod.items():
            assert bookings[pod].assignment == job.bound[pod]
        assert (self.placer.snapshot.fleet.free >= 0).all(), "more was given than there is"
        assert (self.placer.snapshot.fleet.device_free >= 0).all()

    def each_pod_is_in_one_place(self, job):
        on_the_way = {pod for start in job.starts.values() for pod in start}
        gone = on_the_way - set(job.bound)  # it has left, others of its start are about to
        pods = [*job.bound, *job.away, *gone, *(pod for pod, _ in job.missing)]
        assert sorted(pods) == sorted(pod for pod, _ in timed.cycle.members(job.arrival.workload))
        assert job.ready <= set(job.bound)
        assert job.landed + len(on_the_way) == len(job.bound) + len(gone)
        assert (job.index in self.waiting) == bool(job.missing)
        commitment = self.starts.commitments.get(job.key)
        if self.placer.policy.gangs == "all-or-nothing" and 0 < len(job.bound) < job.pods:
            assert commitment.state in {"putting-back", "giving-up"}, "a gang is there in part"

    def only_whole_jobs_work(self):
        for index in np.flatnonzero(self.meter._started >= 0):
            if self.meter._ended[index] < 0:
                job = self.jobs[int(index)]
                assert job.is_complete
                assert len(job.bound) == len(job.ready) == job.pods
                assert all(self.starts.api.exists(pod) for pod in job.bound)

    def nothing_is_held_for_nobody(self):
        commitments = self.starts.commitments
        assert {each.workload for each in commitments.all()} == set(self.by_start)
        assert set(self.starts._workloads) == set(self.by_start)
        assert self.starts.ledger.of(Hold) == {}
        faults = [entry.faults for entry in self.starts.ledger.of(BackOff).values()]
        assert max(faults, default=0) <= RULES.faults_max, "a poison job is capped"


def live(asked, world, policy, **more):
    arrivals = tuple(
        arrival(f"w{index}", (pods, template(500, gpus)), at=at, runs=runs)
        for index, (pods, gpus, at, runs) in enumerate(asked)
    )
    setting = timed.Setting(nodes=FLEET, arrivals=arrivals, mix=(), world=world)
    with patch.object(timed, "_Yard", CheckedYard), patch.object(timed, "STILL_NS", 500):
        return timed.run(
            setting, Policy(placement=policy, commitments=RULES), seed=3, **more
        ), CheckedYard.last


def nobody_is_forgotten(yard):
    """Whoever is still there waits for an instant that comes, or could not start now."""
    returns = {(index, at) for at, what, index, _ in yard.events if what is timed.What.RETURN}
    for job in yard.jobs.values():
        assert {(job.index, at) for at in job.away.values()} <= returns
        assert not job.starts or yard.starts.next_ns() is not None
        if job.missing:
            pending = [timed.cycle.Pending(job.arrival.workload, job.missing)]
            with yard.placer.snapshot.trial():
                plan = timed.cycle.run(yard.placer, pending, Silent())
            assert not plan.starts, "it could start and was not asked"


def is_rough_for_ever(world):
    """Tell whether a try may fail by chance at any time; faults end at 90."""
    varies = [each.mean_extra_ns for each in (world.start, world.watch, world.write)]
    return any((*varies, world.slow_share, world.request_lost_share, world.reply_lost_share))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@settings(max_examples=60, deadline=None)
@given(asked=jobs, world=worlds)
def test_whatever_goes_wrong_a_gang_runs_whole_or_not_at_all(policy, asked, world):
    lines = []
    head = record.Head(policy=Policy(placement=policy), seed=3)
    writer = record.RecordWriter(lines.append, head)
    run, yard = live(asked, world, policy, recorder=writer)
    writer.close()

    nobody_is_forgotten(yard)
    whole = policy.gangs == "all-or-nothing"
    fits = np.array([pods * gpus <= 5 and not (gpus == 2 and pods > 2) for pods, gpus, *_ in asked])
    is_over = (run.jobs.ended_ns >= 0) | (run.jobs.given_up_ns >= 0)
    if whole and not is_rough_for_ever(world):
        assert is_over[fits].all(), "the world is calm, and yet somebody did not end"
    assert not ((run.jobs.started_ns >= 0) & (run.jobs.given_up_ns >= 0)).any()
    assert run.timeline.useful_milli.max(initial=0) <= 5000
    assert (run.timeline.allocated_milli >= run.timeline.useful_milli).all()
    assert (run.timeline.waiting_milli >= 0).all()

    verdict = record.recompute(record.read(lines, "record"))
    assert verdict == record.Verdict(cycles=run.cycles)
