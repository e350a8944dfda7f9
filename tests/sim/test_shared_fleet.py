"""Teams that contend for one fleet in virtual time: what has to add up, whoever decides."""

import math

import msgspec
import pytest

from gpuyard.model.workloads import (
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
)
from gpuyard.scheduling.presets import PRESETS
from gpuyard.studies.contested.contest import generated
from gpuyard.studies.contested.teams import cohorts, doors, flavors_of, teams_queues
from gpuyard.studies.contested.whole_gpus import in_whole_gpus
from gpuyard.traces.fleet import parse_fleet
from gpuyard.traces.trace import Trace
from gpuyard.twin import shared_fleet
from gpuyard.twin.record import Head, RecordError, RecordWriter, Verdict, read, recompute
from gpuyard.twin.shared_fleet import Habit
from gpuyard.twin.world import Delay, Fault, World
from verification.contested import BETTER, verdict

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


@pytest.fixture(scope="module")
def contest():
    return generated(1.2, seed=3, days=0.2)


@pytest.fixture(scope="module", params=["kueue", "gpuyard"])
def lived(request, contest):
    return shared_fleet.run(contest.fleet, PRESETS[request.param])


def test_every_device_is_useful_lost_or_idle(contest, lived):
    used_ns = sum(one.useful_device_ns + one.lost_device_ns for one in lived.outcomes)
    assert used_ns > 0
    assert used_ns + lived.idle_device_ns == lived.devices * lived.until_ns
    assert lived.devices == contest.gpus


def test_nobody_is_on_a_fleet_that_is_full(contest, lived):
    changes = sorted(
        (at_ns, sign * stay.devices_milli)
        for stay in lived.stays
        for at_ns, sign in ((stay.from_ns, 1), (stay.until_ns, -1))
    )
    held = 0
    for _, milli in changes:
        held += milli
        assert 0 <= held <= contest.gpus * 1000


def test_who_ended_did_all_his_work(contest, lived):
    runtimes = {one.workload.key: one.runtime_ns for one in contest.fleet.arrivals}
    ended = [one for one in lived.outcomes if one.ended_ns is not None]
    assert ended
    assert all(one.useful_ns == runtimes[one.key] for one in ended)


def test_only_evictions_lose_work(lived):
    told_to_go = {stay.workload for stay in lived.stays if stay.evicted}  # some still hold on
    assert {one.key for one in lived.outcomes if one.lost_milli_ns} <= told_to_go


def test_the_same_contest_ends_the_same(contest):
    one, other = (shared_fleet.run(contest.fleet, PRESETS["gpuyard"]) for _ in range(2))
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


ROUGH = World(
    write=Delay(least_ns=SECOND_NS, mean_extra_ns=SECOND_NS),
    watch=Delay(mean_extra_ns=SECOND_NS),
    start=Delay(least_ns=20 * SECOND_NS, mean_extra_ns=40 * SECOND_NS),
    leave=Delay(least_ns=5 * SECOND_NS),
    slow_share=0.02,
    slow=Delay(least_ns=900 * SECOND_NS),
    request_lost_share=0.01,
    reply_lost_share=0.02,
    silent_share=0.3,
    faults=(
        Fault(reason="UnexpectedAdmissionError", at="admission", share=0.03),
        Fault(reason="CrashLoopBackOff", at="start", share=0.02, of="workload", own_fault=True),
    ),
)


def rough(contest):
    """Return the first half of a contest in a world where starts take time and fail."""
    world = msgspec.structs.replace(contest.fleet.world, starts=ROUGH)
    return msgspec.structs.replace(contest.fleet, world=world, until_ns=contest.fleet.until_ns // 2)


@pytest.mark.parametrize("name", ["kueue", "gpuyard"])
def test_where_starts_fail_everything_still_adds_up(contest, name):
    lived = shared_fleet.run(rough(contest), PRESETS[name])
    used_ns = sum(one.useful_milli_ns + one.lost_milli_ns for one in lived.outcomes) // 1000
    assert used_ns + lived.idle_device_ns == lived.devices * lived.until_ns
    assert sum(one.put_back for one in lived.outcomes) > 10
    assert any(one.given_up_ns is not None for one in lived.outcomes)
    assert lived.writes > sum(1 for _ in lived.stays)
    runtimes = {one.workload.key: one.runtime_ns for one in contest.fleet.arrivals}
    ended = [one for one in lived.outcomes if one.ended_ns is not None]
    assert len(ended) > 50
    assert all(one.useful_ns == runtimes[one.key] for one in ended)


@pytest.mark.parametrize("name", ["kueue", "gpuyard"])
def test_every_plan_of_a_shared_fleet_comes_out_again(contest, name):
    lines = []
    head = Head(policy=PRESETS[name], seed=3, queued=True)
    writer = RecordWriter(lines.append, head)
    lived = shared_fleet.run(rough(contest), PRESETS[name], seed=3, recorder=writer)
    writer.close()
    assert recompute(read(lines, "r")) == Verdict(cycles=lived.passes)
    other = PRESETS["kueue" if name == "gpuyard" else "gpuyard"]
    assert recompute(read(lines, "r"), other).difference is not None
    with pytest.raises(RecordError, match="name a policy that has queues"):
        recompute(read(lines, "r"), PRESETS["fgd"])


def test_whom_nodes_refuse_goes_on_to_the_next_flavors_at_once():
    """The small machines have the quota, and none of them the eight GPUs; nothing else happens."""
    asked = Request(devices=DeviceRequest(count=8))
    job = Workload(
        key="job",
        pod_sets=(PodSet(name="main", count=1, template=PodTemplate(request=asked)),),
        created_ns=0,
        queue="team",
    )
    nodes = parse_fleet("2x4xL4+2x4xA100+1x8xH100")
    made = in_whole_gpus(Trace("small", nodes, (TimedWorkload(job, HOUR_NS),)), 2 * HOUR_NS)
    fleet = shared_fleet.SharedFleet(
        nodes=made.nodes,
        cluster_queues=teams_queues(made.nodes, {"team": 1}),
        local_queues=doors(["team"]),
        flavors=tuple(
            msgspec.structs.replace(flavor, topology="") for flavor in flavors_of(made.nodes)
        ),
        cohorts=cohorts(),
        arrivals=made.workloads,
        until_ns=2 * HOUR_NS,
        probe=asked,
    )
    (outcome,) = shared_fleet.run(fleet, PRESETS["kueue"]).outcomes
    assert (outcome.started_ns, outcome.ended_ns) == (0, HOUR_NS)


def test_half_hours_are_saved():
    habit = Habit(saved_every_ns=HOUR_NS // 2)
    assert habit.saved_ns(HOUR_NS - 1) == HOUR_NS // 2
    assert Habit(saved_every_ns=0).saved_ns(7) == 7
    assert Habit(saved_every_ns=None).saved_ns(HOUR_NS) == 0
    with pytest.raises(ValueError, match="at least 0"):
        Habit(grace_ns=-1)


def test_worse_on_one_does_not_pass():
    assert verdict({"wait": 0.0, "lost": BETTER}) == "met"
    assert verdict({"wait": -0.05, "lost": 0.5}) == "worse by 5% on wait"
    assert verdict({"wait": -math.inf, "lost": 0.5}) == "worse on wait"
    assert verdict({"wait": 0.0, "lost": 0.1}) == "better by 10.0% at most"
