"""Who may be evicted, what it costs, and which set is the cheapest."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.constraints import Constraints, HostPort, LabelSelector, PodTerm, Requirement
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.running import Running
from gpuyard.scheduling.preemption.cheapest import cost
from gpuyard.scheduling.preemption.cheapest.cost import Gang, Limits, VictimRules
from gpuyard.scheduling.preemption.cheapest.cover import cover
from gpuyard.scheduling.preemption.cheapest.freed import Freed
from gpuyard.scheduling.preemption.cheapest.victims import NoVictims, Victims, cheapest, depart
from tests.small_fleet import bound, node, placer_of, snapshot_of, template, where

S = 10**9
NOW_NS = 1000 * S
FREE_OF_CHARGE = VictimRules(eviction_price_device_ms=0)
NO_SEARCH = msgspec.structs.replace(FREE_OF_CHARGE, exhaustive_max=0)


def runs(snapshot, key, lost_s, *places, of=None, devices=None, **facts):
    """Start a workload whose pods ask for a GPU each (or for `of`) on the nodes `places`.

    Its eviction throws `lost_s` seconds of each device away.
    """
    pods = []
    for index, place in enumerate(places):
        pods.append(f"{key}-{index}")
        snapshot.apply(bound(pods[-1], place, of or template(100, 1), devices))
    return Running(key=key, pods=tuple(pods), started_ns=NOW_NS - lost_s * S, **facts)


def gang_of(count, of, **facts):
    pods = tuple((f"g{index}", of) for index in range(count))
    return Gang(key="gang", pods=pods, **{"priority": 1, **facts})


def ask(snapshot, gang, running, rules=FREE_OF_CHARGE, limits=None, policy="best-fit"):
    """Return the answer, after a look that the question left no trace."""
    free, left = snapshot.fleet.free.copy(), snapshot.fleet.device_free.copy()
    answer = cheapest(
        placer_of(snapshot, policy),
        gang,
        running,
        rules=rules,
        limits=limits or Limits(),
        now_ns=NOW_NS,
    )
    assert np.array_equal(snapshot.fleet.free, free)
    assert np.array_equal(snapshot.fleet.device_free, left)
    return answer


# --- Cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "lost_s"),
    [
        pytest.param({}, 400, id="no checkpoint known: everything since the start"),
        pytest.param({"checkpoint_ns": 900 * S}, 100, id="since the checkpoint"),
        pytest.param({"checkpoint_ns": 100 * S}, 400, id="a checkpoint it started from"),
        pytest.param({"restart_ns": 60 * S}, 460, id="and the time of a restart"),
        pytest.param({"checkpoint_ns": 1200 * S}, 0, id="clocks that disagree"),
        pytest.param({"checkpoint_ns": 1200 * S, "restart_ns": 5 * S}, 5, id="but a restart"),
    ],
)
def test_lost(facts, lost_s):
    one = Running(key="w", pods=(), started_ns=600 * S, **facts)
    assert one.lost_ns(NOW_NS) == lost_s * S


@pytest.mark.parametrize(
    ("of", "price", "expected"),
    [
        pytest.param(template(0, 1), 0, 2 * 1000 * 10, id="two devices, ten seconds"),
        pytest.param(template(0, 2), 7, 2 * 2000 * 10 + 7, id="and a price for the disturbance"),
        pytest.param(template(0, 1, milli=250), 0, 2 * 250 * 10, id="shares of a device"),
        pytest.param(template(100), 3, 3, id="no device, no device time"),
    ],
)
def test_cost(of, price, expected):
    snapshot = snapshot_of(node("a", gpus="AAAAAA"))
    one = runs(snapshot, "w", 10, "a", "a", of=of)
    rules = VictimRules(eviction_price_device_ms=price)
    assert cost.candidate(snapshot, one, rules, Limits(), NOW_NS).cost_device_ms == expected


def test_a_part_of_a_unit_counts_as_one():
    snapshot = snapshot_of(node("a", gpus="A"))
    one = runs(snapshot, "w", 0, "a", restart_ns=1)
    known = cost.candidate(snapshot, one, FREE_OF_CHARGE, Limits(), NOW_NS)
    assert known.cost_device_ms == 1


def test_pods_that_hold_no_node_cost_nothing():
    snapshot = snapshot_of(node("a", gpus="AA"))
    one = runs(snapshot, "w", 10, "a")
    more = msgspec.structs.replace(one, pods=(*one.pods, "not yet bound"))
    known = cost.candidate(snapshot, more, FREE_OF_CHARGE, Limits(), NOW_NS)
    assert (known.cost_device_ms, known.device_milli) == (10_000, 1000)


# --- Legality -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "rules", "limits", "expected"),
    [
        pytest.param({}, {}, {}, None, id="lower priority"),
        pytest.param({"priority": 5}, {}, {}, "NotLower", id="equal priority"),
        pytest.param({"priority": 6}, {}, {}, "NotLower", id="higher priority"),
        pytest.param(
            {"priority": 5, "queued_ns": 21},
            {"whom": "lower-or-newer-equal"},
            {},
            None,
            id="equal and newer, where the rules say so",
        ),
        pytest.param(
            {"priority": 5, "queued_ns": 20},
            {"whom": "lower-or-newer-equal"},
            {},
            "NotLower",
            id="equal and of the same age: neither evicts the other",
        ),
        pytest.param(
            {"priority": 6, "queued_ns": 99},
            {"whom": "lower-or-newer-equal"},
            {},
            "NotLower",
            id="newer, but higher",
        ),
        pytest.param({"priority": 9}, {"whom": "offered"}, {}, None, id="whoever is offered"),
        pytest.param({"preemptible": False}, {}, {}, "NotPreemptible", id="its owner's word"),
        pytest.param(
            {}, {}, {"recently_evicted": frozenset("w")}, "EvictedRecently", id="once per window"
        ),
        pytest.param({"grace_ns": 30}, {"grace_ns_max": 30}, {}, None, id="grace in time"),
        pytest.param(
            {"grace_ns": 31}, {"grace_ns_max": 30}, {}, "GraceTooLong", id="grace is never cut"
        ),
        pytest.param({}, {}, {"device_milli_left": 2000}, None, id="just what the brake leaves"),
        pytest.param({}, {}, {"device_milli_left": 1999}, "BrakeOn", id="more than it leaves"),
        pytest.param({}, {}, {"lost_device_ms_left": 19_999}, "BrakeOn", id="too much lost time"),
    ],
)
def test_legal(facts, rules, limits, expected):
    snapshot = snapshot_of(node("a", gpus="AA"))
    one = runs(snapshot, "w", 10, "a", "a", **facts)
    rules, limits = VictimRules(**rules), Limits(**limits)
    known = cost.candidate(snapshot, one, rules, limits, NOW_NS)
    gang = gang_of(1, template(), priority=5, queued_ns=20)
    assert cost.spared(gang, known, rules, limits) == expected


def budget(app, allowed):
    selector = LabelSelector((Requirement("app", "In", (app,)),))
    return DisruptionBudget(namespace="default", name=app, selector=selector, allowed=allowed)


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        pytest.param([budget("x", 2)], None, id="as many as it has pods"),
        pytest.param([budget("x", 1)], "BudgetExhausted", id="not all of its pods: none of them"),
        pytest.param([budget("y", 0)], None, id="somebody else's"),
        pytest.param([budget("y", 0), budget("x", 1)], "BudgetExhausted", id="any one of them"),
    ],
)
def test_disruption_budgets_bind(budgets, expected):
    snapshot = snapshot_of(node("a", gpus="AA"))
    one = runs(snapshot, "w", 10, "a", "a", of=template(1, 1, labels=(("app", "x"),)))
    limits = Limits(budgets=tuple(budgets), device_milli_left=10_000)
    known = cost.candidate(snapshot, one, FREE_OF_CHARGE, limits, NOW_NS)
    assert cost.spared(gang_of(1, template()), known, FREE_OF_CHARGE, limits) == expected


def test_a_set_shares_its_limits():
    snapshot = snapshot_of(node("a", gpus="AAAA"))
    of = template(1, 1, labels=(("app", "x"),))
    every = [runs(snapshot, f"w{index}", 10, "a", of=of) for index in range(4)]
    limits = Limits(budgets=(budget("x", 3),), device_milli_left=2000)
    known = [cost.candidate(snapshot, one, FREE_OF_CHARGE, limits, NOW_NS) for one in every]
    assert cost.stays_within([], limits)
    assert cost.stays_within(known[:2], limits)
    assert not cost.stays_within(known[:3], limits)
    free = [cost.candidate(snapshot, one, FREE_OF_CHARGE, Limits(), NOW_NS) for one in every]
    assert cost.stays_within(free, Limits())


# --- The cheapest set ---------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [FREE_OF_CHARGE, NO_SEARCH], ids=["searched", "greedy"])
@pytest.mark.parametrize(
    ("nodes", "running", "gang", "expected"),
    [
        pytest.param(["AA"], {"w": (5, "a")}, (1, template(0, 1)), [], id="who fits evicts nobody"),
        pytest.param(
            ["A", "A"],
            {"dear": (9, "a"), "cheap": (5, "b")},
            (1, template(0, 1)),
            ["cheap"],
            id="the cheaper of two",
        ),
        pytest.param(
            ["AA", "AA"],
            {"p": (4, "a"), "q": (4, "a"), "r": (7, "b"), "s": (2, "b")},
            (1, template(0, 2)),
            ["p", "q"],
            id="what leaves one node together: 8 against 9",
        ),
        pytest.param(
            ["AA", "AA"],
            {"whole": (5, "a", "b"), "l": (1, "a"), "r": (1, "b")},
            (2, template(0, 2)),
            ["l", "r", "whole"],
            id="a gang that spans nodes is paid for once",
        ),
        pytest.param(
            ["A", "A", "A", "A"],
            {"gang": (6, "a", "b"), "l": (7, "c"), "r": (8, "d")},
            (2, template(0, 1)),
            ["gang"],
            id="one gang of two against two of one: 12 against 15",
        ),
        pytest.param(
            ["A", "A", "A"],
            {"gang": (6, "a", "b"), "alone": (7, "c")},
            (1, template(0, 1)),
            ["alone"],
            id="a whole gang for one place is too much",
        ),
        pytest.param(
            ["A", "A", "A"],
            {"one": (3, "a"), "both": (4, "b", "c")},
            (2, template(0, 1)),
            ["both"],
            id="the cheapest first is not needed in the end",
        ),
    ],
)
def test_cheapest(rules, nodes, running, gang, expected):
    snapshot = snapshot_of(*(node(name, gpus=of) for name, of in zip("abcd", nodes, strict=False)))
    known = [runs(snapshot, key, *facts) for key, facts in running.items()]
    answer = ask(snapshot, gang_of(*gang), known, rules)
    assert isinstance(answer, Victims)
    assert list(answer.keys) == expected
    assert len(answer.landing) == gang[0]
    assert answer.is_cheapest is (rules is FREE_OF_CHARGE or not expected)


def test_only_who_holds_the_right_model_helps():
    snapshot = snapshot_of(node("a", gpus="AB"), node("b", gpus="BA"))
    holds = {"w": ("a", 0, 1), "x": ("a", 1, 9), "y": ("b", 0, 8), "z": ("b", 1, 2)}
    known = [
        runs(snapshot, key, lost_s, place, devices=(device,))
        for key, (place, device, lost_s) in holds.items()
    ]
    assert ask(snapshot, gang_of(1, template(0, 1, models="B")), known).keys == ("y",)
    assert ask(snapshot, gang_of(2, template(0, 1, models="B")), known).keys == ("x", "y")
    assert ask(snapshot, gang_of(3, template(0, 1, models="B")), known).code == "NotEvenWithoutThem"


def test_shares_of_one_device_leave_together():
    snapshot = snapshot_of(node("a", gpus="AA"))
    half = template(0, 1, milli=500)
    known = [
        runs(snapshot, key, lost_s, "a", of=half, devices=(device,))
        for key, device, lost_s in (("p", 0, 4), ("q", 0, 5), ("r", 1, 6), ("s", 1, 1))
    ]
    assert ask(snapshot, gang_of(1, template(0, 1)), known).keys == ("r", "s")
    assert ask(snapshot, gang_of(3, template(0, 1, milli=500)), known).keys == ("p", "q", "s")


def test_the_room_for_a_gang_is_where_it_lands():
    snapshot = snapshot_of(node("a", gpus="AA"), node("b", gpus="AA"), node("c", gpus="A"))
    known = [
        runs(snapshot, "p", 5, "a", "a", grace_ns=30 * S),
        runs(snapshot, "q", 6, "b", "b", grace_ns=90 * S),
        runs(snapshot, "r", 1, "c"),
    ]
    answer = ask(snapshot, gang_of(2, template(100, 2)), known)
    assert answer.keys == ("p", "q")
    assert where(answer.landing) == {"a": 1, "b": 1}
    assert (answer.cost_device_ms, answer.device_milli) == (22_000, 4000)
    assert answer.grace_ns == 90 * S


def test_the_price_of_a_disturbance_decides_between_few_and_many():
    def keys(price):
        snapshot = snapshot_of(node("a", gpus="AA"), node("b", gpus="AA"))
        known = [
            runs(snapshot, "one", 6, "a", "a"),
            runs(snapshot, "p", 5, "b"),
            runs(snapshot, "q", 5, "b"),
        ]
        rules = VictimRules(eviction_price_device_ms=price)
        return ask(snapshot, gang_of(1, template(0, 2)), known, rules).keys

    assert keys(0) == ("p", "q")
    assert keys(5000) == ("one",)


def test_of_equal_cost_the_fewer():
    snapshot = snapshot_of(node("a", gpus="AA"), node("b", gpus="AA"))
    known = [
        runs(snapshot, "p", 5, "b"),
        runs(snapshot, "q", 5, "b"),
        runs(snapshot, "whole", 5, "a", "a"),
    ]
    assert ask(snapshot, gang_of(1, template(0, 2)), known).keys == ("whole",)


# --- Limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({}, ("b0", "b1", "b2"), id="none: the cheapest"),
        pytest.param({"device_milli_left": 2000}, ("a0",), id="the brake: fewer devices"),
        pytest.param({"device_milli_left": 1000}, "LimitsBind", id="the brake: nobody"),
        pytest.param({"lost_device_ms_left": 9999}, ("b0", "b1", "b2"), id="lost time"),
        pytest.param({"budgets": (budget("x", 2),)}, ("a0",), id="a budget: two of three"),
        pytest.param({"recently_evicted": frozenset(["b1"])}, ("a0",), id="one was evicted before"),
    ],
)
@pytest.mark.parametrize("rules", [FREE_OF_CHARGE, NO_SEARCH], ids=["searched", "greedy"])
def test_limits_choose(rules, limits, expected):
    """Three cheap victims on one node, or a dear one on the other that holds fewer devices."""
    snapshot = snapshot_of(node("a", gpus="AAA"), node("b", gpus="AAA"))
    of = template(0, 1, labels=(("app", "x"),))
    known = [
        runs(snapshot, "a0", 9, "a", of=template(0, 2)),
        *(runs(snapshot, f"b{index}", 1, "b", of=of) for index in range(3)),
    ]
    answer = ask(snapshot, gang_of(1, template(0, 3)), known, rules, Limits(**limits))
    if isinstance(expected, str):
        assert answer.code == expected
    else:
        assert answer.keys == expected


@pytest.mark.parametrize(
    ("facts", "code", "spared"),
    [
        pytest.param(
            {"p": {"priority": 1}, "q": {"preemptible": False}, "r": {"priority": 1}},
            "NobodyLegal",
            (("NotLower", 2), ("NotPreemptible", 1)),
            id="nobody may be evicted",
        ),
        pytest.param(
            {"p": {}, "q": {"priority": 1}, "r": {}},
            "NotEvenWithoutThem",
            (("NotLower", 1),),
            id="too few may",
        ),
        pytest.param({}, "NobodyLegal", (), id="nobody runs"),
    ],
)
def test_why_not(facts, code, spared):
    snapshot = snapshot_of(node("a", gpus="AAA"))
    known = [runs(snapshot, key, 5, "a", **some) for key, some in facts.items()]
    for index in range(3 - len(known)):
        snapshot.apply(bound(f"other-{index}", "a", template(0, 1)))
    answer = ask(snapshot, gang_of(1, template(0, 3)), known)
    assert answer == NoVictims(code=code, spared=spared)


# --- What arithmetic does not see ---------------------------------------------------------------


@pytest.mark.parametrize("rules", [FREE_OF_CHARGE, NO_SEARCH], ids=["searched", "greedy"])
def test_a_host_port_is_room_too(rules):
    port = Constraints(host_ports=(HostPort(80),))
    snapshot = snapshot_of(node("a"), node("b"))
    known = [
        runs(snapshot, "idle", 0, "a", of=template(1)),
        runs(snapshot, "web", 0, "a", of=template(1, constraints=port), restart_ns=S),
        runs(snapshot, "web2", 0, "b", of=template(2, constraints=port), restart_ns=2 * S),
    ]
    assert ask(snapshot, gang_of(1, template(3, constraints=port)), known, rules).keys == ("web",)
    both = ask(snapshot, gang_of(2, template(3, constraints=port)), known, rules)
    assert both.keys == ("web", "web2")


@pytest.mark.parametrize("rules", [FREE_OF_CHARGE, NO_SEARCH], ids=["searched", "greedy"])
def test_who_repels_the_gang_has_to_go(rules):
    """Its node has room; its anti-affinity keeps the gang out of the whole zone."""
    term = PodTerm("zone", LabelSelector((Requirement("app", "In", ("x",)),)), ("default",))
    repels = template(1, constraints=Constraints(forbidden_pods=(term,)))
    zone = (("zone", "z"),)
    snapshot = snapshot_of(node("a", gpus="A", labels=zone), node("b", gpus="A", labels=zone))
    known = [
        runs(snapshot, "hermit", 3, "a", of=repels),
        runs(snapshot, "p", 5, "a"),
        runs(snapshot, "q", 4, "b"),
        runs(snapshot, "idle", 1, "b", of=template(1)),
    ]
    answer = ask(snapshot, gang_of(1, template(1, 1, labels=(("app", "x"),))), known, rules)
    assert answer.keys == ("hermit", "q")
    assert not answer.is_cheapest  # what the placer cannot place is not proven impossible


# --- Several shapes -----------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [FREE_OF_CHARGE, NO_SEARCH], ids=["searched", "greedy"])
def test_each_shape_finds_its_place(rules):
    snapshot = snapshot_of(node("a", 2000, "AA"), node("b", 8000, "AA"), node("c", 8000, ""))
    known = [
        runs(snapshot, "p", 5, "a", "a"),
        runs(snapshot, "q", 1, "b", "b"),
        runs(snapshot, "r", 0, "c", of=template(7000), restart_ns=S),
        runs(snapshot, "s", 0, "c", of=template(1000), restart_ns=S),
    ]
    pods = (("leader", template(7500)), ("w0", template(1000, 2)), ("w1", template(1000, 2)))
    answer = ask(snapshot, Gang(key="gang", pods=pods, priority=1), known, rules)
    assert answer.keys == ("p", "q", "r", "s")
    assert where(answer.landing) == {"c": 1, "a": 1, "b": 1}
    two = ask(snapshot, Gang(key="gang", pods=pods[:2], priority=1), known, rules)
    assert two.keys in {("q", "r", "s"), ("q", "r")}
    assert where(two.landing)["b"] == 1


def test_exact_search_spares_a_victim():
    """5+3+2 and 4+4+2 fill two nodes to the brim; greedy needs a third one, and its tenant gone."""
    snapshot = snapshot_of(*(node(name, 10_000, "A") for name in "abc"))
    known = [
        runs(snapshot, "on-a", 1, "a", of=template(1000, 1)),
        runs(snapshot, "on-c", 5, "c", of=template(10_000, 1)),
    ]
    cpus = (5000, 4000, 4000, 3000, 2000, 2000)
    gang = Gang(
        key="gang",
        pods=tuple((f"g{index}", template(cpu)) for index, cpu in enumerate(cpus)),
        priority=1,
    )
    with_search = ask(snapshot, gang, known)
    assert (with_search.keys, with_search.cost_device_ms) == (("on-a",), 1000)
    rules = msgspec.structs.replace(FREE_OF_CHARGE, exact_limit_s=0.0)
    assert ask(snapshot, gang, known, rules).keys == ("on-c",)


# --- Large --------------------------------------------------------------------------------------


def large(nodes, seed=0):
    """Return a full cluster of 8-GPU nodes whose workloads lie across each other, and who runs."""
    rng = np.random.default_rng(seed)
    snapshot = snapshot_of(*(node(f"n{index}", gpus="A" * 8, rank=index) for index in range(nodes)))
    places = rng.permutation(np.repeat(np.arange(nodes), 8)).tolist()
    running = []
    while places:
        count = min(len(places), int(rng.integers(1, 16)))
        names = [f"n{places.pop()}" for _ in range(count)]
        key, lost_s = f"w{len(running):03}", int(rng.integers(0, 900))
        running.append(runs(snapshot, key, lost_s, *names, of=template(10, 1)))
    return snapshot, running


@pytest.mark.parametrize("rows_max", [1, 3000, 300_000])
def test_bounded_work_still_gives_a_legal_answer(rows_max):
    snapshot, running = large(40)
    rules = msgspec.structs.replace(FREE_OF_CHARGE, rows_max=rows_max)
    answer = ask(snapshot, gang_of(6, template(10, 8)), running, rules)
    assert len(answer.landing) == 6
    assert not answer.is_cheapest
    for victim in answer.candidates:  # nobody is superfluous
        others = [one for one in running if one.key in answer.keys and one is not victim.running]
        assert isinstance(ask(snapshot, gang_of(6, template(10, 8)), others, rules), NoVictims)


def test_more_work_is_never_worse():
    costs = []
    for rows_max in (1, 30_000, 300_000):
        snapshot, running = large(40, seed=3)
        rules = msgspec.structs.replace(FREE_OF_CHARGE, rows_max=rows_max)
        costs.append(ask(snapshot, gang_of(6, template(10, 8)), running, rules).cost_device_ms)
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_the_order_in_which_workloads_are_told_leaves_no_trace():
    snapshot, running = large(20)
    gang = gang_of(3, template(10, 8))
    assert ask(snapshot, gang, running) == ask(snapshot, gang, reversed(running))


def test_arithmetic_agrees_with_the_placer():
    """What would be free is what is free, once they are gone."""
    snapshot, running = large(12)
    placer, of = placer_of(snapshot), template(10, 3)
    known = [cost.candidate(snapshot, one, FREE_OF_CHARGE, Limits(), NOW_NS) for one in running]
    freed = Freed(placer, snapshot.shape(of), 20, known)
    rng = np.random.default_rng(1)
    for _ in range(20):
        gone = rng.random(len(running)) < rng.random()
        with snapshot.trial():
            depart(snapshot, [one for one, leaves in zip(known, gone, strict=True) if leaves])
            room = np.minimum(placer.room(snapshot.shape(of)), 20)
            assert freed.total(gone) == room.sum()


def test_cover_says_no_where_everybody_gone_is_not_enough():
    snapshot, running = large(4)
    known = [cost.candidate(snapshot, one, FREE_OF_CHARGE, Limits(), NOW_NS) for one in running]
    freed = Freed(placer_of(snapshot), snapshot.shape(template(10, 8)), 5, known)
    assert cover(freed, known, cost.left(Limits()), FREE_OF_CHARGE) is None
