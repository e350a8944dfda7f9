"""The timed protocol in worlds where one thing is rough, counted by hand."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.commitments import CommitmentRules
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.twin import timed
from gpuyard.twin.world import Delay, Fault, World
from tests.small_fleet import arrival, node, template

GPU = template(100, 1)
WHOLE = PLACEMENTS["best-fit"]
ONE_BY_ONE = msgspec.structs.replace(WHOLE, gangs="pod-by-pod")
RULES = CommitmentRules(
    ready_within_ns=100,
    back_off_base_ns=8,
    back_off_max_ns=32,
    faults_max=3,
    reply_within_ns=20,
    put_back_within_ns=15,
    put_back_repeats_max=2,
)


def live(*arrivals, nodes=("AA",), policy=WHOLE, rules=RULES, until_ns=1000, **world):
    setting = timed.Setting(
        nodes=tuple(node(f"n{index}", gpus=gpus) for index, gpus in enumerate(nodes)),
        arrivals=arrivals,
        mix=(),
        until_ns=until_ns,
        world=World(**{"retry_first_ns": 10, "retry_longest_ns": 10, **world}),
    )
    return timed.run(setting, Policy(placement=policy, commitments=rules))


def outcome(run, index=0):
    """Return start, end, when it was given up, and how many tries were put back."""
    jobs = run.jobs
    columns = (jobs.started_ns, jobs.ended_ns, jobs.given_up_ns, jobs.attempts)
    return tuple(int(column[index]) for column in columns)


def allocated(run):
    rows = zip(run.timeline.at_ns.tolist(), run.timeline.allocated_milli.tolist(), strict=True)
    kept = []
    for at_ns, milli in rows:
        if not kept or kept[-1][1] != milli:
            kept.append((at_ns, milli))
    return kept


GANG = arrival("gang", (2, GPU), at=1, runs=50)


@pytest.mark.parametrize("policy", [WHOLE, ONE_BY_ONE], ids=["whole", "one by one"])
def test_a_job_works_when_its_pods_are_ready_and_holds_devices_from_the_decision_on(policy):
    times = {"write": Delay(least_ns=5), "watch": Delay(least_ns=2), "start": Delay(least_ns=30)}
    run = live(GANG, policy=policy, **times)
    assert outcome(run) == (38, 88, -1, 0)
    assert run.jobs.waited_ns.tolist() == [37]
    assert allocated(run) == [(1, 2000), (88, 0)]
    useful = dict(zip(run.timeline.at_ns.tolist(), run.timeline.useful_milli.tolist(), strict=True))
    assert (useful[6], useful[38], useful[88]) == (0, 2000, 0)
    assert run.writes == 2


def fault(at, until_ns, **more):
    return Fault(reason="r", at=at, share=1.0, until_ns=until_ns, **more)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # Tries at 1, 9 and 25: the delays are 8, then 16.
        pytest.param([fault("write", 20)], (25, 75, -1, 2), id="refused by the API server"),
        pytest.param([fault("admission", 20)], (25, 75, -1, 2), id="refused by the kubelet"),
        pytest.param([fault("start", 20)], (25, 75, -1, 2), id="failed on its node"),
        # Of one member alone: the other one leaves as well.
        pytest.param([fault("start", 20, nodes=("n1",))], (25, 75, -1, 2), id="only one failed"),
        pytest.param(
            [fault("start", 10**6, own_fault=True)], (-1, -1, 25, 2), id="a poison job is capped"
        ),
        pytest.param(
            [fault("start", 10**6)], (-1, -1, -1, 33), id="what is not its fault goes on for ever"
        ),
    ],
)
def test_a_gang_is_put_back_whole_and_comes_again_later(rules, expected):
    run = live(GANG, nodes=("A", "A"), faults=tuple(rules))
    assert outcome(run) == expected


def test_who_was_given_up_waited_until_then_and_waits_no_more():
    poison = fault("start", 10**6, own_fault=True, of="workload")
    run = live(GANG, arrival("late", (1, GPU), at=400, runs=1), faults=(poison,))
    assert run.jobs.waited_ns[0] == 24
    asked = dict(zip(run.timeline.at_ns.tolist(), run.timeline.waiting_milli.tolist(), strict=True))
    assert (asked[1], asked[25]) == (2000, 0)
    assert (run.timeline.waiting_milli >= 0).all()


def test_what_leaves_slowly_is_held_until_it_is_gone():
    # Refused at 1, gone at 31; the delay ended at 9, so it comes back when the last pod has left.
    run = live(GANG, faults=(fault("start", 20),), leave=Delay(least_ns=30))
    assert outcome(run) == (31, 81, -1, 1)
    assert allocated(run) == [(1, 2000), (81, 0)]


def test_devices_of_a_pod_that_never_leaves_are_not_given_out():
    poison = fault("start", 10**6, own_fault=True, nodes=("n0",))
    one = arrival("one", (1, GPU), at=0, runs=5)
    other = arrival("other", (1, GPU), at=1, runs=5)
    rules = msgspec.structs.replace(RULES, faults_max=1)
    run = live(one, other, nodes=("A",), rules=rules, faults=(poison,), leave=Delay(least_ns=900))
    # Asked to leave at 0, 15 and 30, given up at 45, gone at 900; until then it holds the device.
    assert outcome(run, 0) == (-1, -1, 45, 0)
    assert allocated(run)[0] == (0, 1000)
    assert all(milli == 1000 for at_ns, milli in allocated(run) if at_ns < 900)
    waiting = dict(
        zip(run.timeline.at_ns.tolist(), run.timeline.waiting_milli.tolist(), strict=True)
    )
    assert waiting[45] == 1000, "only the other one still waits"


def test_a_lost_request_is_noticed_looked_at_and_sent_again():
    lost = {"request_lost_share": 0.5, "write": Delay(least_ns=5)}
    jobs = [arrival(f"w{at}", (1, GPU), at=1, runs=50) for at in range(200)]
    rules = msgspec.structs.replace(RULES, put_back_repeats_max=10)
    run = live(*jobs, nodes=("A" * 8,) * 25, rules=rules, **lost)
    waited = run.jobs.waited_ns.tolist()
    # At once: 5. Lost: an error at 5, the look answers at 10, the second write arrives at 15.
    # Where the look was lost as well, the next one is due at 41: 50.
    assert waited.count(5) == pytest.approx(100, abs=25)
    assert waited.count(15) == pytest.approx(25, abs=15)
    assert waited.count(50) == pytest.approx(12, abs=12)
    assert set(waited) & set(range(43)) <= {5, 15, 25}
    assert min(run.jobs.ended_ns) > 0


def test_a_lost_reply_does_not_start_anything_twice():
    lost = {"reply_lost_share": 1.0, "watch": Delay(least_ns=40), "write": Delay(least_ns=5)}
    run = live(GANG, **lost)
    # Carried out at 6; the look answers at 11 that it is there; ready is seen at 46.
    assert outcome(run) == (46, 96, -1, 0)
    assert run.writes == 2


def test_ready_members_lose_patience_with_a_slow_one():
    times = {"start": Delay(least_ns=1, mean_extra_ns=40), "rendezvous_timeout_ns": 20}
    gangs = [arrival(f"g{index}", (2, GPU), at=1, runs=50) for index in range(20)]
    run = live(*gangs, nodes=("AA",) * 20, until_ns=10_000, **times)
    assert 5 < (run.jobs.attempts > 0).sum() < 20
    assert (run.jobs.ended_ns - run.jobs.started_ns == 50).all()


def test_a_gang_that_is_not_ready_in_time_is_put_back():
    world = {"slow_share": 1.0, "slow": Delay(least_ns=150), "rendezvous_timeout_ns": 500}
    run = live(GANG, **world)
    # Tries at 1, 109 and 225; a pod that is not ready in time is at fault itself: 3 are enough.
    assert outcome(run) == (-1, -1, 325, 2)
    assert allocated(run)[-1] == (325, 0)


def test_one_by_one_only_the_pod_that_failed_comes_again():
    run = live(
        GANG, policy=ONE_BY_ONE, nodes=("A", "A"), faults=(fault("start", 20, nodes=("n1",)),)
    )
    # The first is ready at 1 and waits; the second is tried at 1, 9 and 25.
    assert outcome(run) == (25, 75, -1, 0)


def test_one_by_one_a_job_fails_with_its_poisoned_pod_and_the_others_leave():
    poison = fault("start", 10**6, own_fault=True, nodes=("n1",))
    run = live(GANG, policy=ONE_BY_ONE, nodes=("A", "A"), faults=(poison,))
    assert outcome(run) == (-1, -1, 25, 0)
    assert allocated(run)[-1][1] == 0


def test_a_job_whose_last_chance_is_gone_in_the_cycle_that_took_it_is_forgotten():
    """One member has no place, the other is refused for good at the same instant."""
    rules = msgspec.structs.replace(RULES, faults_max=1)
    poison = fault("start", 10**6, own_fault=True)
    run = live(GANG, policy=ONE_BY_ONE, nodes=("A",), rules=rules, faults=(poison,))
    assert outcome(run) == (-1, -1, 1, 0)


def test_too_many_on_their_way_are_put_back_before_anything_is_written():
    rules = msgspec.structs.replace(RULES, commitments_max=1)
    jobs = [arrival(f"w{index}", (1, GPU), at=1, runs=50) for index in range(2)]
    run = live(*jobs, rules=rules, write=Delay(least_ns=5))
    assert sorted(run.jobs.started_ns.tolist()) == [6, 14]
    assert run.writes == 2
    assert allocated(run) == [(1, 1000), (9, 2000), (56, 1000), (64, 0)]


def test_two_policies_meet_the_same_world():
    """With room for everybody, each start lasts as long under the one as under the other."""
    jobs = [arrival(f"w{index}", (2, GPU), at=index, runs=5) for index in range(40)]
    world = {
        "write": Delay(mean_extra_ns=9),
        "start": Delay(mean_extra_ns=50),
        "slow_share": 0.2,
        "slow": Delay(least_ns=9),
        "faults": (Fault(reason="Error", at="start", share=0.2),),
        "rendezvous_timeout_ns": 10_000,
    }
    runs = [
        live(*jobs, nodes=("AA",) * 50, policy=policy, until_ns=20_000, rules=PATIENT, **world)
        for policy in (PLACEMENTS["best-fit"], PLACEMENTS["random"], PLACEMENTS["gpuyard"])
    ]
    first = runs[0].jobs.waited_ns.tolist()
    assert len(set(first)) > 20
    assert sum(runs[0].jobs.attempts) > 0
    assert all(run.jobs.waited_ns.tolist() == first for run in runs)
    other = live(*jobs, nodes=("AA",) * 50, until_ns=20_000, rules=PATIENT, **world, seed=1)
    assert other.jobs.waited_ns.tolist() != first


PATIENT = msgspec.structs.replace(RULES, ready_within_ns=10_000)


def test_the_run_goes_on_until_those_on_their_way_are_there():
    run = live(GANG, until_ns=None, start=Delay(least_ns=50))
    assert outcome(run) == (51, 101, -1, 0)
    assert run.until_ns == 101
    assert np.all(np.diff(run.timeline.at_ns) >= 0)
