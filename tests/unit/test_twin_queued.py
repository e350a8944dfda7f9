"""Queues in virtual time: when decisions become facts, who wakes whom, and what is written."""

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from gpuyard.model.queues import (
    ClusterQueue,
    FlavorQuotas,
    LocalQueue,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodSet, PodTemplate, Request, TimedWorkload, Workload
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.queues import Queues
from gpuyard.twin.queued import GPUYARD, KUEUE, Manner, QueuedWorld, run
from gpuyard.twin.writes import WriteLimit

GPU = "nvidia.com/gpu"
LATENCY_NS = 10
PLAIN = Manner(idle_ns=1)


def queues_of(*quotas, preemption=None, cohort="yard"):
    """Return queues q0, q1, … of one cohort with so many GPUs."""
    specs = [
        ClusterQueue(
            name=f"q{index}",
            cohort=cohort,
            resource_groups=(
                ResourceGroup(
                    (GPU,),
                    (FlavorQuotas("any", (ResourceQuota(resource=GPU, nominal=nominal),)),),
                ),
            ),
            preemption=preemption or QueuePreemption(),
        )
        for index, nominal in enumerate(quotas)
    ]
    return Queues(
        specs,
        flavors=[ResourceFlavor(name="any")],
        local_queues=[
            LocalQueue(namespace="team", name=spec.name, cluster_queue=spec.name) for spec in specs
        ],
    )


def job(key, gpus, runtime_ns, *, at_ns=0, queue="q0", priority=0):
    template = PodTemplate(request=Request(resources=Resources.of({GPU: gpus})))
    workload = Workload(
        key=key,
        pod_sets=(PodSet(name="main", count=1, template=template),),
        created_ns=at_ns,
        queue=f"team/{queue}",
        priority=priority,
    )
    return TimedWorkload(workload, runtime_ns)


def lived(queues, *jobs, manner=PLAIN, latency_ns=LATENCY_NS, per_second=None, **costs):
    limit = WriteLimit(latency_ns=latency_ns, per_second=per_second)
    return run(queues, jobs, manner, QueuedWorld(writes=limit, **costs))


def spans(measured):
    """Return admission and end by key."""
    return {each.key: (each.admitted_ns, each.finished_ns) for each in measured.outcomes}


# -- how a workload lives


def test_a_workload_runs_once_its_admission_is_written():
    measured = lived(queues_of(4), job("a", 4, 100, at_ns=5), end_ns=3)
    assert spans(measured) == {"a": (15, 118)}
    assert (measured.end_ns, measured.writes, measured.rounds, measured.tries) == (118, 1, 1, 1)
    assert measured.outcomes[0].held_ns == 113


def test_a_round_takes_its_time_and_each_try_too():
    measured = lived(
        queues_of(2, 2), job("a", 1, 9), job("b", 1, 9, queue="q1"), round_ns=100, head_ns=7
    )
    assert {admitted for admitted, _ in spans(measured).values()} == {114 + LATENCY_NS}


def test_nobody_waits_for_the_write_of_an_admission():
    one = lived(queues_of(4), job("a", 1, 9), job("b", 1, 9), latency_ns=1000)
    assert spans(one) == {"a": (1000, 1009), "b": (1000, 1009)}


def test_each_queue_offers_one_workload_in_a_round():
    jobs = [job(f"{queue}-{n}", 1, 50, queue=queue) for queue in ("q0", "q1") for n in range(3)]
    measured = lived(queues_of(3, 3), *jobs, round_ns=100)
    starts = sorted(admitted - LATENCY_NS for admitted, _ in spans(measured).values())
    assert starts == [100, 100, 200, 200, 300, 300]


def test_what_was_freed_is_seen_when_the_batch_is_over():
    manner = msgspec.structs.replace(PLAIN, wake_every_ns=1000)
    jobs = [job("a", 2, 100), job("b", 2, 300), job("late", 3, 10, at_ns=1)]
    measured = lived(queues_of(4), *jobs, manner=manner)
    first_end_ns = 100 + LATENCY_NS
    assert spans(measured)["late"][0] == first_end_ns + 1000 + LATENCY_NS


def test_what_one_queue_gives_back_another_may_borrow():
    measured = lived(queues_of(2, 2), job("a", 4, 100), job("b", 3, 10, at_ns=1, queue="q1"))
    assert spans(measured)["b"][0] == 100 + 2 * LATENCY_NS


def test_a_workload_without_end_holds_its_quota_to_the_last():
    measured = lived(queues_of(2), job("server", 2, None), job("b", 1, 5, at_ns=1))
    assert spans(measured) == {"server": (LATENCY_NS, None), "b": (None, None)}
    assert measured.end_ns == 0


def test_a_client_that_may_write_little_delays_who_was_admitted():
    jobs = [job(str(index), 1, 5) for index in range(4)]
    measured = lived(queues_of(4), *jobs, latency_ns=0, per_second=10)
    assert sorted(admitted for admitted, _ in spans(measured).values()) == [
        0,
        100_000_000,
        200_000_000,
        300_000_000,
    ]


# -- rounds of one cycle


def test_who_may_run_several_rounds_looks_up_when_nobody_is_admitted():
    jobs = [job(str(index), 1, 500) for index in range(4)] + [job("more", 1, 5, at_ns=50)]
    once = lived(queues_of(5), *jobs, round_ns=100)
    often = lived(
        queues_of(5), *jobs, round_ns=100, manner=msgspec.structs.replace(PLAIN, rounds_per_cycle=3)
    )
    assert spans(once)["more"][0] == 500 + LATENCY_NS
    assert once.rounds == often.rounds == 5
    assert spans(often)["2"][0] == 300 + LATENCY_NS


# -- evictions

LOWER = QueuePreemption(within_cluster_queue="LowerPriority")


def test_a_victim_goes_when_it_was_told_and_waits_again():
    measured = lived(
        queues_of(4, preemption=LOWER),
        job("low", 4, 1000),
        job("high", 4, 100, at_ns=50, priority=1),
        leave_ns=30,
    )
    low, high = measured.outcomes
    assert (low.evictions, high.evictions) == (1, 0)
    told_ns = 50 + LATENCY_NS
    gone_ns = told_ns + 30
    assert high.admitted_ns == gone_ns + LATENCY_NS
    assert high.finished_ns == high.admitted_ns + 100
    assert low.admitted_ns == high.finished_ns + LATENCY_NS
    assert low.finished_ns == low.admitted_ns + 1000
    assert low.held_ns == gone_ns + (low.finished_ns - high.finished_ns)


def test_a_victim_that_was_told_does_not_end_by_itself():
    measured = lived(
        queues_of(4, preemption=LOWER),
        job("low", 4, 60),
        job("high", 4, 100, at_ns=50, priority=1),
        leave_ns=500,
    )
    low, high = measured.outcomes
    assert low.evictions == 1
    assert high.admitted_ns == 50 + LATENCY_NS + 500 + LATENCY_NS
    assert low.finished_ns > high.finished_ns


def test_a_victim_whose_admission_is_still_being_written_never_runs():
    measured = lived(
        queues_of(4, preemption=LOWER),
        job("low", 4, 10_000),
        job("high", 4, 100, at_ns=1, priority=1),
        latency_ns=100,
    )
    low, high = measured.outcomes
    assert low.evictions == 1
    assert high.finished_ns < low.admitted_ns


def test_a_victim_is_told_once_however_often_it_is_chosen():
    manner = msgspec.structs.replace(PLAIN, idle_ns=5)
    measured = lived(
        queues_of(4, preemption=LOWER),
        job("low", 4, 1000),
        job("high", 4, 100, at_ns=50, priority=1),
        manner=manner,
        leave_ns=200,
    )
    admissions = 3
    told, reason_high, reason_low = 1, 1, 1
    assert measured.rounds > 10
    assert measured.writes == admissions + told + reason_high + reason_low


def test_who_has_not_waited_long_enough_waits_for_the_end_of_others():
    manner = msgspec.structs.replace(PLAIN, rules=AdmissionRules(preempt_after_ns=500))
    high = job("high", 4, 100, at_ns=50, priority=1)
    ends_soon = lived(queues_of(4, preemption=LOWER), job("low", 4, 300), high, manner=manner)
    assert [each.evictions for each in ends_soon.outcomes] == [0, 0]
    assert spans(ends_soon)["high"][0] == 300 + 2 * LATENCY_NS


# -- what is written of who waits


def waits(manner, *, ends_ns=(100, 200, 300), created_ns=1):
    """Return what is lived where one waits for quota that comes back bit by bit."""
    holders = [job(f"h{index}", 1, end_ns) for index, end_ns in enumerate(ends_ns)]
    waiter = job("waiter", len(ends_ns), 5, at_ns=created_ns)
    return lived(queues_of(len(ends_ns)), *holders, waiter, manner=manner)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        pytest.param({}, 3, id="each new number is written"),
        pytest.param({"same_reason_every_ns": 150}, 2, id="new numbers only so often"),
        pytest.param({"same_reason_every_ns": 10**6}, 1, id="the first reason is written at once"),
        pytest.param({"reason_after_ns": 150}, 1, id="not before it waited so long"),
        pytest.param({"reason_after_ns": 10**6}, 0, id="who starts before that is told nothing"),
    ],
)
def test_reasons_are_written_when_they_are_news(changes, reasons):
    measured = waits(msgspec.structs.replace(PLAIN, **changes))
    assert measured.writes == len(measured.outcomes) + reasons
    assert measured.outcomes[-1].finished_ns is not None


def test_a_sentence_that_is_the_same_is_not_written_again():
    jobs = [job("holder", 1, 300), job("large", 2, 5, at_ns=1)]
    others = [job(f"o{index}", 1, 20, at_ns=2 + 50 * index, queue="q1") for index in range(4)]
    measured = lived(queues_of(2, 1, cohort=""), *jobs, *others)
    assert measured.rounds > 4
    assert measured.writes == 6 + 1


@pytest.mark.parametrize(
    ("waits_for_reasons", "start_ns"),
    [
        pytest.param(True, 1 + LATENCY_NS, id="the next round begins when they are written"),
        pytest.param(False, 2, id="the next round begins at once"),
    ],
)
def test_whoever_decides_may_wait_for_the_write_of_a_reason(waits_for_reasons, start_ns):
    manner = msgspec.structs.replace(PLAIN, idle_ns=0, waits_for_reasons=waits_for_reasons)
    jobs = [job("holder", 2, 300), job("large", 2, 5, at_ns=1), job("b", 1, 5, at_ns=2, queue="q1")]
    measured = lived(queues_of(2, 1, cohort=""), *jobs, manner=manner)
    assert spans(measured)["b"][0] == start_ns + LATENCY_NS


def test_reasons_are_written_one_after_the_other():
    jobs = [job("h0", 1, 300), job("h1", 1, 300, queue="q1")]
    jobs += [job("w0", 1, 5, at_ns=1), job("w1", 1, 5, at_ns=1, queue="q1")]
    late = job("late", 1, 5, at_ns=2, queue="q2")
    measured = lived(
        queues_of(1, 1, 1, cohort=""), *jobs, late, manner=msgspec.structs.replace(PLAIN, idle_ns=0)
    )
    assert spans(measured)["late"][0] == 1 + 2 * LATENCY_NS + LATENCY_NS


# -- what is refused


def test_two_of_one_key_are_refused():
    with pytest.raises(ValueError, match="a arrives twice"):
        lived(queues_of(1), job("a", 1, 1), job("a", 1, 1))


def test_a_queue_that_leads_nowhere_is_refused():
    with pytest.raises(ValueError, match="'team/none', which leads to no ClusterQueue"):
        lived(queues_of(1), job("a", 1, 1, queue="none"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rounds_per_cycle": 0}, id="no round"),
        pytest.param({"wake_every_ns": -1}, id="wakes before"),
        pytest.param({"idle_ns": -1}, id="rests backwards"),
        pytest.param({"reason_after_ns": -1}, id="tells before"),
        pytest.param({"same_reason_every_ns": -1}, id="repeats before"),
    ],
)
def test_manners_that_nobody_has_are_refused(changes):
    with pytest.raises(ValueError, match="give"):
        Manner(**changes)


@pytest.mark.parametrize("cost", ["round_ns", "head_ns", "end_ns", "leave_ns"])
def test_costs_below_nothing_are_refused(cost):
    with pytest.raises(ValueError, match="no time"):
        QueuedWorld(**{cost: -1})


def test_progress_counts_what_finished():
    heard = []
    run(
        queues_of(1),
        [job("a", 1, 1), job("b", 1, 1)],
        PLAIN,
        QueuedWorld(),
        progress=lambda *seen: heard.append(seen),
    )
    assert heard == [(1, 2), (2, 2)]


# -- any world

JOBS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 50), st.integers(0, 80), st.integers(0, 2)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(
    JOBS,
    st.sampled_from([KUEUE, GPUYARD, PLAIN]),
    st.integers(0, 20),
    st.sampled_from([None, 50]),
    st.sampled_from([QueuePreemption(), LOWER]),
)
def test_everybody_who_could_ever_fit_finishes(asked, manner, latency_ns, per_second, preemption):
    jobs = [
        job(str(index), gpus, runtime_ns, at_ns=at_ns, queue=f"q{index % 2}", priority=priority)
        for index, (gpus, runtime_ns, at_ns, priority) in enumerate(asked)
    ]
    queues = queues_of(2, 2, preemption=preemption)
    measured = lived(queues, *jobs, manner=manner, latency_ns=latency_ns, per_second=per_second)
    assert queues.admitted == {}
    assert all(not node.usage for node in queues.tree.cluster_queues.values())
    for each, timed in zip(measured.outcomes, jobs, strict=True):
        assert each.admitted_ns >= each.created_ns + latency_ns
        assert each.finished_ns == each.admitted_ns + timed.runtime_ns
        assert each.held_ns >= timed.runtime_ns + latency_ns
    held = sum(
        each.held_ns * timed.workload.pod_sets[0].template.request.resources.get(GPU)
        for each, timed in zip(measured.outcomes, jobs, strict=True)
    )
    assert held <= 4 * measured.end_ns
    evictions = sum(each.evictions for each in measured.outcomes)
    assert measured.writes >= len(jobs) + 2 * evictions
    assert measured.tries >= len(jobs)
    if preemption is not LOWER:
        assert evictions == 0


@settings(max_examples=20, deadline=None)
@given(JOBS)
def test_the_same_trace_lives_the_same_way(asked):
    jobs = [
        job(str(index), gpus, runtime_ns, at_ns=at_ns, priority=priority)
        for index, (gpus, runtime_ns, at_ns, priority) in enumerate(asked)
    ]
    assert lived(queues_of(4), *jobs) == lived(queues_of(4), *jobs)
