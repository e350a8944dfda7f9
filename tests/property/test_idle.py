"""Idle devices in random yards: one reason each, and without its cause somebody comes nearer."""

import msgspec
import numpy as np
from hypothesis import given, settings, strategies as st

from gpuyard.model.deltas import NodeObserved
from gpuyard.model.ledger import Hold, Reservation
from gpuyard.model.resources import CPU, Resources
from gpuyard.scheduling.feasibility.devices import side_by_side
from gpuyard.scheduling.idle import REASONS, Step
from gpuyard.scheduling.ledger import Ledger
from tests.idle_yard import Yard, by_reason, node, pods, queue

FLAVORS = ("a100", "h100")
PLENTY = 10**6
QUEUES = ("main", "other")

shares = st.sampled_from([1000, 1000, 500, 300])
any_pods = st.builds(
    lambda count, gpus, cpu, milli, counts: pods(
        count, gpus, 1000 * cpu, milli=milli, counts=counts and gpus > 0
    ),
    st.sampled_from([1, 1, 2, 3, 6]),
    st.sampled_from([0, 1, 1, 2, 4]),
    st.sampled_from([1, 1, 2, 3, 6]),
    shares,
    st.sampled_from([False, False, True]),
)
any_nodes = st.lists(
    st.fixed_dictionaries(
        {
            "gpus": st.sampled_from([4, 3, 2, 1, 0]),
            "cpu": st.sampled_from([3000, 6000, 60_000]),
            "counts": st.sampled_from([False, False, True]),
            "flavor": st.sampled_from(FLAVORS),
            "ready": st.sampled_from([*[True] * 7, False]),
            "unschedulable": st.sampled_from([*[False] * 7, True]),
            "pool": st.sampled_from(["p", "q"]),
        }
    ),
    min_size=1,
    max_size=4,
)
queue_facts = st.fixed_dictionaries(
    {
        "flavors": st.sampled_from([FLAVORS, FLAVORS[:1], FLAVORS[1:]]),
        "cpu": st.sampled_from([PLENTY, PLENTY, PLENTY, 3000, 0]),
        "gpus": st.sampled_from([PLENTY, PLENTY, PLENTY, 3, 0]),
        "queueing_strategy": st.sampled_from(["StrictFIFO", "BestEffortFIFO"]),
    }
)
gangs = st.lists(any_pods, min_size=1, max_size=2).map(
    lambda sets: tuple(
        msgspec.structs.replace(each, name=f"s{index}") for index, each in enumerate(sets)
    )
)
hungry_pods = st.builds(
    lambda count, gpus, cpu, milli: pods(count, gpus, 1000 * cpu, milli=milli),
    st.integers(1, 3),
    st.sampled_from([0, 0, 1]),
    st.integers(1, 6),
    shares,
)
asks = st.tuples(gangs, st.sampled_from(QUEUES), st.integers(0, 3))
promises = st.tuples(
    any_pods, st.sampled_from([Hold, Reservation]), st.sampled_from(["", "n0", "n1", "w0"])
)


@st.composite
def worlds(draw):
    """Return everything that makes a yard, as plain values."""
    return {
        "nodes": draw(any_nodes),
        "queues": [draw(queue_facts) for _ in QUEUES],
        "running": draw(st.lists(st.tuples(any_pods | hungry_pods, st.integers(0, 3)), max_size=3)),
        "asks": draw(st.lists(asks, min_size=1, max_size=6)),
        "promises": draw(st.lists(promises, max_size=2)),
    }


def nodes_of(world, **changed):
    return [
        node(f"n{index}", rank=index, **{**facts, **changed})
        for index, facts in enumerate(world["nodes"])
    ]


def queues_of(world, **changed):
    return [
        queue(name, **{**facts, **changed})
        for name, facts in zip(QUEUES, world["queues"], strict=True)
    ]


def made(world, *, backwards=False):
    """Return the yard of `world`; `backwards`: built in another order."""
    turn = reversed if backwards else list
    yard = Yard(list(turn(nodes_of(world))), list(turn(queues_of(world))))
    for index, (asked, where) in enumerate(world["running"]):
        run_where_it_fits(yard, asked, f"n{where % len(world['nodes'])}", f"r{index}")
    for index, (sets, to, at_ns) in turn(list(enumerate(world["asks"]))):
        yard.submit(f"t/w{index}", *sets, to=to, created_ns=at_ns)
    for index, (asked, kind, where) in enumerate(world["promises"]):
        place = {"node": where} if where.startswith("n") else {}
        workload = f"t/{where}" if where.startswith("w") else f"t/kept{index}"
        yard.keep(asked, kind=kind, workload=workload, **place)
    return yard


def run_where_it_fits(yard, asked, where, key):
    """Let as many pods run on a node as it holds."""
    slot = yard.snapshot.slot_of[where]
    room = int(yard.placer.room(yard.snapshot.shape(asked.template))[slot])
    if room > 0:
        yard.run_on(where, msgspec.structs.replace(asked, count=min(room, asked.count)), key)


def steps(found):
    """Return the step of each lot, of several parts the last in precedence, -1: not idle.

    [slot, lot]: four devices and one count, however many columns the fleet has.
    """
    size, devices = len(found.lots.milli), found.lots.devices
    near = np.full((size, 5), -1)
    for part in found.parts:
        said = np.where(part.milli > 0, int(part.said.step), -1)
        wide = np.full((len(said), 5), -1)
        wide[:, :devices] = said[:, :devices]
        wide[:, 4:] = said[:, devices:].max(axis=1, initial=-1)[:, None]
        near[part.slots] = np.maximum(near[part.slots], wide)
    return near


def settle(yard):
    """Run cycles until nobody starts any more; tell whether anybody did.

    A head that has flavors left to try ends a cycle, and is tried with them in the next one.
    """
    quiet, has_started = 0, False
    while quiet <= len(FLAVORS) * len(QUEUES):
        starts = bool(yard.cycle())
        quiet, has_started = 0 if starts else quiet + 1, has_started or starts
    return has_started


def at(found, step):
    return steps(found) == step


# -- one reason each


@given(worlds())
def test_the_reasons_add_up_to_what_is_idle(world):
    yard = made(world)
    found = yard.idle()
    total = np.zeros_like(found.lots.milli)
    for part in found.parts:
        assert (part.milli >= 0).all()
        assert len(set(part.slots.tolist())) == len(part.slots)
        total[part.slots] += part.milli
    assert np.array_equal(total, found.lots.milli)
    assert sum(row.milli for row in found.rows) == found.lots.milli.sum()
    keys = [(row.pool, row.flavor, row.reason) for row in found.rows]
    assert len(set(keys)) == len(keys)


@given(worlds())
def test_what_is_idle_is_what_pods_could_be_given(world):
    yard = made(world)
    found = yard.idle()
    fleet = yard.snapshot.fleet
    by_count = found.lots.is_counted
    held = np.where(fleet.device_model >= 0, fleet.device_free, 0)
    assert np.array_equal(found.lots.milli[~by_count].sum(axis=1), held[~by_count].sum(axis=1))
    one = pods(1).template.request.devices
    whole = side_by_side(found.lots.milli[:, : found.lots.devices], one)
    assert (whole[~by_count] <= 4).all()


@given(worlds())
def test_each_idle_fit_has_a_reason_that_says_who(world):
    for row in made(world).idle().rows:
        assert row.sentence
        nobody = row.reason in {"NoDemand", "Cordoned", "BlindSource"}
        assert nobody == (row.workload == "")


@given(worlds())
def test_the_order_in_which_everything_came_does_not_matter(world):
    world = {**world, "running": [], "promises": []}
    assert made(world).idle().rows == made(world, backwards=True).idle().rows


@given(worlds())
def test_asking_changes_nothing(world):
    yard = made(world)
    first = yard.idle().rows
    free = yard.snapshot.fleet.device_free.copy(), yard.snapshot.fleet.free.copy()
    assert yard.idle().rows == first
    assert np.array_equal(yard.snapshot.fleet.device_free, free[0])
    assert np.array_equal(yard.snapshot.fleet.free[:, : free[1].shape[1]], free[1])


# -- without the cause


@settings(max_examples=300)
@given(worlds())
def test_who_is_not_tried_yet_starts_when_cycles_go_on(world):
    yard = made(world)
    is_expected = "PendingEvaluation" in by_reason(yard.idle())
    assert settle(yard) or not is_expected
    assert "PendingEvaluation" not in by_reason(yard.idle())


@settings(max_examples=300)
@given(worlds())
def test_without_the_head_the_next_of_its_queue_starts(world):
    yard = made(world)
    settle(yard)
    if "StrictFIFOHead" in by_reason(yard.idle()):
        yard.use_queues(queues_of(world, queueing_strategy="BestEffortFIFO"))
        assert "PendingEvaluation" in by_reason(yard.idle())
        assert settle(yard)


@settings(max_examples=300)
@given(worlds())
def test_with_more_quota_somebody_comes_nearer(world):
    yard = made(world)
    settle(yard)
    before = yard.idle()
    lacking = {row.flavor for row in before.rows if row.reason == "Quota"}
    for name in sorted(lacking - {""}):
        of_flavor = [
            slot for slot, one in yard.snapshot.nodes.items() if ("flavor", name) in one.labels
        ]
        yard.use_queues([queue(one, flavors=(name,)) for one in QUEUES])
        after = yard.idle()
        mine = at(before, Step.NO_QUOTA)[of_flavor]
        assert (steps(after)[of_flavor][mine] > Step.NO_QUOTA).all()
        yard.use_queues(queues_of(world))


@given(worlds())
def test_with_more_cpu_somebody_comes_nearer(world):
    yard = made(world)
    lacking = at(yard.idle(), Step.LACKS_OTHERS)
    for one in list(yard.snapshot.nodes.values()):
        amounts = {**one.allocatable.as_dict(), CPU: PLENTY}
        more = msgspec.structs.replace(one, allocatable=Resources.of(amounts))
        yard.snapshot.apply(NodeObserved(more))
    assert (steps(yard.idle())[lacking] > Step.LACKS_OTHERS).all()


@given(worlds())
def test_with_more_nodes_a_gang_comes_nearer(world):
    yard = made(world)
    lacking = at(yard.idle(), Step.NOT_TOGETHER)
    for name in FLAVORS:
        for counts in (False, True):
            for index in range(16):
                more = node(f"{name}-{counts}-{index}", 4, PLENTY, counts=counts, flavor=name)
                yard.snapshot.apply(NodeObserved(more))
    after = steps(yard.idle())[: len(lacking)]
    assert (after[lacking] > Step.NOT_TOGETHER).all()


@given(worlds())
def test_without_promises_what_they_kept_has_the_next_reason(world):
    yard = made(world)
    before = steps(yard.idle())
    yard.ledger = Ledger()
    after = steps(yard.idle())
    kept = (before == Step.HELD) | (before == Step.RESERVED)
    assert (after[kept] <= Step.NOT_TRIED).all()
    # Nobody has less room than before.
    free = (before >= 0) & (before <= Step.NOT_TRIED)
    assert (after[free] >= before[free]).all()


@given(worlds())
def test_when_nodes_are_ready_and_open_only_the_others_reasons_are_left(world):
    yard = made(world)
    for one in nodes_of(world, ready=True, unschedulable=False):
        yard.snapshot.apply(NodeObserved(one))
    assert not {"BlindSource", "Cordoned"} & set(by_reason(yard.idle()))


def test_worlds_have_every_reason():
    """The properties above would hold of worlds in which nothing is idle."""
    seen = set()

    @settings(max_examples=400, derandomize=True, database=None)
    @given(worlds())
    def collect(world):
        yard = made(world)
        seen.update(by_reason(yard.idle()))
        settle(yard)
        seen.update(by_reason(yard.idle()))

    collect()
    assert seen == set(REASONS.values())
