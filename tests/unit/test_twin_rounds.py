"""The rounds protocol: instants of deciding, restarts, preemption, and what is measured."""

import msgspec
import pytest

from gpuyard.model.nodes import Device, Node
from gpuyard.model.rounds import LeastAttained
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.rounds import TIRESIAS
from gpuyard.twin import rounds
from gpuyard.twin.progress import End
from gpuyard.twin.rounds import Arrival, RoundWorld, run, spread
from tests.constant_pace import ONE_DEVICE, SECOND_NS, ConstantPace, fleet, job

FREE_RESTARTS = RoundWorld(restart_ns=0)


def after(device_s):
    """Return Tiresias with one threshold, in device-seconds."""
    order = LeastAttained(thresholds_device_ns=(device_s * SECOND_NS,))
    return msgspec.structs.replace(TIRESIAS, queueing=order)


def seconds(outcome, name):
    value = getattr(outcome, name)
    return None if value is None else value / SECOND_NS


def lived(arrivals, policy=TIRESIAS, **options):
    """Return by job when it started and completed, in seconds."""
    finished = run(fleet(), arrivals, policy, **options)
    return {
        one.workload: (seconds(one, "started_ns"), seconds(one, "completed_ns"))
        for one in finished.outcomes
    }


@pytest.mark.parametrize(
    ("created_s", "started_s"),
    [
        pytest.param(0, 60, id="the first decision falls one round after the beginning"),
        pytest.param(1, 60, id="within a round: at its end"),
        pytest.param(60, 60, id="with a round: in it"),
        pytest.param(61, 120, id="after it: in the next"),
        pytest.param(6_000_000, 6_000_000, id="late, with nothing before"),
    ],
)
def test_when_a_job_starts_and_completes(created_s, started_s):
    found = lived([job("a", 2, created_s, work_s=100)])
    assert found == {"a": (started_s, started_s + 30 + 100)}


@pytest.mark.parametrize(
    ("work_s", "next_s"),
    [
        pytest.param(30, 120, id="ended with the round: its devices are free in it"),
        pytest.param(31, 180, id="ended within a round: its devices are free after it"),
        pytest.param(10, 120, id="ended before: free at the next round"),
    ],
)
def test_devices_are_kept_until_the_round_is_over(work_s, next_s):
    found = lived([job("a", 8, 0, work_s), job("b", 8, 1, 5)])
    assert found["a"] == (60, 90 + work_s)
    assert found["b"] == (next_s, next_s + 35)


class Rounding(ConstantPace):
    """Says that it ended at the whole second next to its end."""

    def end(self, done, spread):
        exact = super().end(done, spread)
        return End(round(exact.at_ns / SECOND_NS) * SECOND_NS, exact.seen_ns)


@pytest.mark.parametrize(
    ("work_s", "says_s", "next_s"),
    [
        pytest.param(30.3, 120, 180, id="rounded down onto a round: seen in the next"),
        pytest.param(29.7, 120, 120, id="rounded up onto a round: seen in it"),
    ],
)
@pytest.mark.parametrize("every_round", [True, False])
def test_what_counts_is_when_an_end_can_be_seen(work_s, says_s, next_s, every_round):
    first = Arrival(job("a", 8, 0, 0).workload, Rounding(work_s))
    found = lived([first, job("b", 8, 1, 5)], every_round=every_round)
    assert found["a"] == (60, says_s)
    assert found["b"][0] == next_s


def test_a_long_job_gives_way_to_a_new_one_and_goes_on_afterwards():
    arrivals = [job("long", 8, 0, work_s=600), job("new", 8, 100, work_s=100)]
    found = run(fleet(), arrivals, after(8 * 120)).outcomes
    long, new = found
    # long: starts 60, works from 90, attains 120 s x 8 at 180 and gives way after 90 s of work
    # new: starts 180, attains its own threshold at 300 and stands behind long
    assert seconds(new, "started_ns") == 180
    assert (long.restarts, new.restarts) == (1, 1)
    assert seconds(long, "completed_ns") == 300 + 30 + (600 - 90)
    assert seconds(new, "completed_ns") == 840 + 30 + (100 - 90)


def test_moving_to_another_queue_disturbs_nobody_who_has_room():
    (only,) = run(fleet(), [job("a", 4, 0, work_s=600)], after(4 * 120)).outcomes
    assert only.restarts == 0
    assert seconds(only, "completed_ns") == 60 + 30 + 600


def test_pace_depends_on_where_the_pods_are():
    together = lived([job("a", 4, 0, work_s=100, slowdown=1)])
    apart = lived([job("b", 2, 0, work_s=1000), job("c", 2, 0, 1000), job("a", 4, 0, 100, 1)])
    assert together["a"] == (60, 190)
    assert apart["a"] == (60, 290)


def test_progress_is_kept_across_places():
    """90 s of work alone on a node, the rest over two nodes at half the pace."""
    arrivals = [
        job("a", 4, 0, work_s=120, slowdown=1),
        job("wide", 8, 61, work_s=60),
        job("b", 2, 130, work_s=1000),
        job("c", 2, 130, work_s=1000),
    ]
    found = {one.workload: one for one in run(fleet(), arrivals, after(4 * 120)).outcomes}
    assert seconds(found["wide"], "started_ns") == 180
    assert found["a"].restarts == 1
    # wide attains its threshold at 240; b and c take half of each node, a the other halves
    assert seconds(found["a"], "completed_ns") == 240 + 30 + 2 * (120 - 90)


def test_service_counts_restarts_and_not_waiting():
    arrivals = [job("a", 8, 0, work_s=60), job("b", 4, 0, work_s=60)]
    found = {one.workload: one for one in run(fleet(), arrivals, TIRESIAS).outcomes}
    # a ends at 150 and is seen at 180; b waits until then
    assert found["a"].attained_device_ns == 120 * 8 * SECOND_NS
    assert found["b"].attained_device_ns == 120 * 4 * SECOND_NS


def test_who_never_fits_never_completes():
    found = lived([job("huge", 9, 0, 10), job("a", 8, 0, 10)])
    assert found == {"huge": (None, None), "a": (60, 100)}


def test_nobody_comes():
    finished = run(fleet(), [], TIRESIAS)
    assert (finished.outcomes, finished.decisions) == ((), 0)


def test_rounds_in_which_nothing_can_change_are_skipped():
    arrivals = [job("a", 8, 0, work_s=100_000), job("b", 8, 0, work_s=100_000)]
    few = run(fleet(), arrivals, TIRESIAS)
    all_of_them = run(fleet(), arrivals, TIRESIAS, every_round=True)
    assert few.outcomes == all_of_them.outcomes
    assert few.decisions < 10
    assert all_of_them.decisions > 3_000


def test_a_restart_longer_than_a_round_brings_no_progress_before_it_is_over():
    world = RoundWorld(restart_ns=90 * SECOND_NS)
    arrivals = [job("a", 8, 0, work_s=100), job("b", 8, 61, work_s=20)]
    found = run(fleet(), arrivals, after(8 * 60), world).outcomes
    # a is stopped after 60 s, all of it restart; then each keeps the devices until it ended
    assert found[0].restarts >= 1
    assert seconds(found[1], "started_ns") == 120
    assert seconds(found[0], "completed_ns") - 100 - 90 == 180


def test_without_restart_cost_work_is_all_there_is():
    assert lived([job("a", 8, 0, 100)], world=FREE_RESTARTS) == {"a": (60, 160)}


def test_a_trace_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(rounds, "ROUNDS_MAX", 3)
    with pytest.raises(ValueError, match="more than 3 rounds"):
        run(fleet(), [job("a", 1, 0, 10), job("b", 1, 100, 10), job("c", 1, 200, 10)], TIRESIAS)


def test_outcomes_come_in_the_order_of_arrival():
    arrivals = [job("late", 1, 100, 10), job("early", 1, 0, 10), job("also early", 1, 0, 10)]
    found = run(fleet(), arrivals, TIRESIAS).outcomes
    assert [one.workload for one in found] == ["early", "also early", "late"]


def test_a_node_without_healthy_devices_starts_nobody():
    broken = Node(name="n0", devices=(Device(model="T4", healthy=False),) * 4)
    (only,) = run([broken], [job("a", 1, 0, 10)], TIRESIAS).outcomes
    assert only.started_ns is None


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param("aaab", (3, 1), id="in the order in which they were placed"),
        pytest.param("baaa", (1, 3), id="whatever the nodes are called"),
        pytest.param("aba", (2, 1), id="a node counts once"),
        pytest.param("", (), id="nowhere"),
    ],
)
def test_spread(nodes, expected):
    bound = tuple(
        Assignment(pod=str(index), template=ONE_DEVICE, node=node)
        for index, node in enumerate(nodes)
    )
    assert spread(bound) == expected
