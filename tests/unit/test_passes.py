"""The passes, rule by rule, on sessions that fit on a hand.

In the answers a pod is ``A`` allocated, ``P`` pipelined, ``R`` releasing, ``r`` running as before,
``-`` waiting.
"""

import msgspec
import pytest

from gpuyard.model.topology import Topology
from gpuyard.scheduling.deserved.shares import UNLIMITED
from gpuyard.scheduling.passes import (
    allocate,
    consolidate,
    preempt,
    reclaim,
    stale_gangs,
    table,
)
from gpuyard.scheduling.passes.jobs import DomainRequest, Group, Leaf
from gpuyard.scheduling.passes.scenarios import Bite, Question, node_by_node, nodes_together
from gpuyard.scheduling.passes.solver import largest
from gpuyard.scheduling.passes.turns import Turns
from tests.small_fleet import node
from tests.small_session import NO_GRACE, NOW_NS, job, queue, session, states

A_AND_B = [queue("a", 2), queue("b", 2)]


def after(one_pass, nodes, jobs, queues=None, **more):
    one = session(nodes, jobs, queues, **more)
    one_pass.run(one)
    return states(one)


def with_knobs(**knobs):
    return msgspec.structs.replace(NO_GRACE, **knobs)


# -- allocate


@pytest.mark.parametrize(
    ("nodes", "jobs", "expected"),
    [
        pytest.param({"n": 2}, [job("j", "- -")], {"j": "A@n A@n"}, id="a gang that fits"),
        pytest.param({"n": 1}, [job("j", "- -")], {"j": "- -"}, id="or not at all"),
        pytest.param(
            {"n": 2}, [job("j", "- - -", at_least=1)], {"j": "A@n A@n -"}, id="elastic: what fits"
        ),
        pytest.param(
            {"n": 1},
            [job("old", "releasing@n"), job("j", "-")],
            {"old": "R@n", "j": "P@n"},
            id="it waits for who leaves",
        ),
        pytest.param(
            {"n": 1},
            [job("old", "stuck@n"), job("j", "-")],
            {"old": "-", "j": "-"},
            id="not for who does not",
        ),
        pytest.param(
            {"n": 2},
            [job("old", "releasing@n"), job("j", "- -")],
            {"old": "R@n", "j": "P@n P@n"},
            id="a gang waits whole",
        ),
        pytest.param(
            {"n": 2},
            [job("old", "releasing@n"), job("j", "- -", at_least=1)],
            {"old": "R@n", "j": "A@n P@n"},
            id="beyond its minimum a job does not",
        ),
        pytest.param(
            {"n": 2},
            [job("low", "- -"), job("high", "-", priority=1)],
            {"low": "- -", "high": "A@n"},
            id="the higher priority first",
        ),
        pytest.param(
            {"x": 2, "y": 1}, [job("j", "-")], {"j": "A@y"}, id="the fullest node that fits"
        ),
        pytest.param(
            {"x": 1, "y": 2},
            [job("old", "releasing@x"), job("j", "-")],
            {"old": "R@x", "j": "A@y"},
            id="rather now than packed",
        ),
    ],
)
def test_allocate(nodes, jobs, expected):
    assert after(allocate, nodes, jobs) == expected


@pytest.mark.parametrize(
    ("queues", "jobs", "expected"),
    [
        pytest.param(
            [queue("q", 1, limit=1)],
            [job("j", "- -", at_least=1)],
            {"j": "A@n -"},
            id="up to the limit",
        ),
        pytest.param(
            [queue("q", 1)],
            [job("j", "- -", at_least=1, preemptible=False)],
            {"j": "A@n -"},
            id="not preemptible: up to what is deserved",
        ),
        pytest.param(
            [queue("q", 1)],
            [job("j", "- -", at_least=1)],
            {"j": "A@n A@n"},
            id="preemptible: beyond it",
        ),
        pytest.param(
            [queue("a", 2), queue("b", 1)],
            [
                job("a", "- - -", queue="a", at_least=1),
                job("b", "- - -", queue="b", at_least=1, priority=9),
            ],
            {"a": "A@n A@n -", "b": "A@n - -"},
            id="queues by what they deserve, priority only within one",
        ),
        pytest.param(
            [queue("x"), queue("q", parent="x")],
            [job("in", "-", queue="q"), job("above", "-", queue="x"), job("no", "-", queue="z")],
            {"in": "A@n", "above": "-", "no": "-"},
            id="only leaves have jobs",
        ),
    ],
)
def test_allocate_among_queues(queues, jobs, expected):
    assert after(allocate, {"n": 3}, jobs, queues) == expected


def test_shares_gather_on_one_device():
    jobs = [job(f"j{index}", "-", milli=500, created_ns=index) for index in range(3)]
    one = session({"n": 2}, [*jobs, job("whole", "-", created_ns=9)])
    allocate.run(one)
    assert [each.pods[0].devices for each in jobs] == [(0,), (0,), (1,)]
    assert states(one)["whole"] == "-"


def test_only_so_many_of_a_queue_are_looked_at():
    jobs = [job("big", "- - - -", priority=1), job("small", "-")]
    assert after(allocate, {"n": 2}, jobs) == {"big": "- - - -", "small": "A@n"}
    jobs = [job("big", "- - - -", priority=1), job("small", "-")]
    knobs = with_knobs(jobs_per_queue_max=1)
    assert after(allocate, {"n": 2}, jobs, knobs=knobs) == {"big": "- - - -", "small": "-"}


# -- topology

RACKS = Topology(name="t", levels=("zone", "rack"))


def racked(name, gpus, zone, rack, position):
    return node(name, 64_000, "A" * gpus, rank=position, labels=(("rack", rack), ("zone", zone)))


def wide(**domain):
    leaf = Leaf(name="all", min_count=2)
    return Group(name="", members=(leaf,), domain=DomainRequest(topology="t", **domain))


@pytest.mark.parametrize(
    ("root", "sizes", "where", "expected"),
    [
        pytest.param(
            wide(required="rack"), (1, 1, 1, 2), "- -", "A@y2 A@y2", id="the one rack that fits"
        ),
        pytest.param(wide(required="rack"), (1, 1, 1, 1), "- -", "- -", id="required: or nowhere"),
        pytest.param(
            wide(required="zone"), (1, 1, 2, 1), "- -", "A@x1 A@x2", id="the fullest zone that fits"
        ),
        pytest.param(
            wide(preferred="rack"), (1, 1, 1, 2), "- -", "A@y2 A@y2", id="preferred, where possible"
        ),
        pytest.param(
            wide(preferred="rack"), (1, 1, 1, 1), "- -", "A@x2 A@x1", id="else the next level"
        ),
        pytest.param(
            wide(required="zone", preferred="rack"), (1, 0, 1, 0), "- -", "- -", id="up to required"
        ),
        pytest.param(
            wide(required="zone"), (1, 0, 2, 2), "x1 -", "r@x1 -", id="tied to where it runs"
        ),
        pytest.param(wide(required="row"), (4, 4, 4, 4), "- -", "- -", id="no such level"),
        pytest.param(wide(), (4, 4, 4, 4), "- -", "- -", id="a topology and no level"),
    ],
)
def test_topology(root, sizes, where, expected):
    places = [("x1", "x", "r1"), ("x2", "x", "r2"), ("y1", "y", "r1"), ("y2", "y", "r2")]
    nodes = {
        name: racked(name, size, zone, rack, position)
        for position, ((name, zone, rack), size) in enumerate(zip(places, sizes, strict=True))
    }
    found = after(allocate, nodes, [job("j", where, root=root)], topologies={"t": RACKS})
    assert found == {"j": expected}


def test_an_unknown_topology_takes_nobody():
    root = wide(required="rack")
    assert after(allocate, {"n": 4}, [job("j", "- -", root=root)]) == {"j": "- -"}


def test_each_leaf_has_its_own_domain():
    leaves = tuple(
        Leaf(name=name, min_count=2, domain=DomainRequest(topology="t", required="rack"))
        for name in "ab"
    )
    root = Group(name="", members=leaves, domain=DomainRequest(topology="t", required="zone"))
    nodes = {
        "x1": racked("x1", 3, "x", "r1", 0),
        "y1": racked("y1", 2, "y", "r1", 1),
        "y2": racked("y2", 2, "y", "r2", 2),
    }
    one = job("j", "a:- a:- b:- b:-", root=root)
    found = after(allocate, nodes, [one], topologies={"t": RACKS})
    assert found == {"j": "A@y1 A@y1 A@y2 A@y2"}


# -- consolidate


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        pytest.param(
            [job("m", "x"), job("o", "y"), job("j", "-", gpus=2)],
            {"m": "r@x", "o": "P@x", "j": "P@y"},
            id="moves one together with another",
        ),
        pytest.param(
            [
                job("m", "x", preemptible=False),
                job("o", "y", preemptible=False),
                job("j", "-", gpus=2),
            ],
            {"m": "r@x", "o": "r@y", "j": "-"},
            id="never who cannot be preempted",
        ),
        pytest.param(
            [job("m", "x"), job("o", "y"), job("j", "-", gpus=2, preemptible=False)],
            {"m": "r@x", "o": "r@y", "j": "-"},
            id="nor for who cannot be preempted",
        ),
        pytest.param(
            [job("m", "x x"), job("o", "y"), job("j", "-", gpus=2)],
            {"m": "r@x r@x", "o": "r@y", "j": "-"},
            id="not where too little is free",
        ),
        pytest.param(
            [
                job("m", "x"),
                job("o", "y"),
                job("j", "-", gpus=2, created_ns=NOW_NS - 5, preemption_delay_ns=6),
            ],
            {"m": "r@x", "o": "r@y", "j": "-"},
            id="not within its preemption delay",
        ),
    ],
)
def test_consolidate(jobs, expected):
    assert after(consolidate, {"x": 2, "y": 2}, jobs) == expected


@pytest.mark.parametrize(
    ("most", "moved"),
    [
        pytest.param(0, False, id="none: switched off"),
        pytest.param(1, True, id="one is enough here"),
        pytest.param(-1, True, id="any number"),
    ],
)
def test_consolidate_moves_so_many_jobs(most, moved):
    jobs = [job("m", "x"), job("o", "y"), job("j", "-", gpus=2)]
    found = after(consolidate, {"x": 2, "y": 2}, jobs, knobs=with_knobs(consolidate_jobs_max=most))
    assert (found["j"] == "P@y") is moved


# -- reclaim


@pytest.mark.parametrize(
    ("nodes", "jobs", "queues", "expected"),
    [
        pytest.param(
            {"n": 4},
            [job("m", "n n n n", queue="a", at_least=1), job("j", "- -", queue="b")],
            A_AND_B,
            {"m": "r@n r@n R@n R@n", "j": "P@n P@n"},
            id="what it deserves, from who has more",
        ),
        pytest.param(
            {"n": 4},
            [job("m", "n n n n", queue="a"), job("j", "-", queue="b")],
            A_AND_B,
            {"m": "R@n R@n R@n R@n", "j": "P@n"},
            id="a gang goes whole",
        ),
        pytest.param(
            {"n": 4},
            [
                job("m", "n n", queue="a", at_least=1),
                job("o", "n n", queue="b"),
                job("j", "-", queue="b"),
            ],
            A_AND_B,
            {"m": "r@n r@n", "o": "r@n r@n", "j": "-"},
            id="not beyond its own part",
        ),
        pytest.param(
            {"n": 4},
            [job("m", "n n n n", queue="a", preemptible=False), job("j", "-", queue="b")],
            A_AND_B,
            {"m": "r@n r@n r@n r@n", "j": "-"},
            id="never from who cannot be preempted",
        ),
        pytest.param(
            {"n": 2},
            [job("m", "n n", queue="a", at_least=1), job("j", "-", queue="b")],
            A_AND_B,
            {"m": "r@n r@n", "j": "-"},
            id="not what another deserves",
        ),
    ],
)
def test_reclaim(nodes, jobs, queues, expected):
    assert after(reclaim, nodes, jobs, queues) == expected


@pytest.mark.parametrize(
    ("started", "elastic", "expected"),
    [
        pytest.param(5, False, "r@n r@n r@n", id="a gang within its least run time stays"),
        pytest.param(11, False, "R@n R@n R@n", id="after it goes"),
        pytest.param(5, True, "r@n r@n R@n", id="what is beyond the minimum may go at any time"),
    ],
)
def test_reclaim_min_runtime(started, elastic, expected):
    queues = [queue("a", 1, reclaim_min_runtime_ns=10), queue("b", 2)]
    least = 2 if elastic else 3
    jobs = [
        job("m", "n n n", queue="a", at_least=least, started_ns=NOW_NS - started),
        job("j", "-", queue="b"),
    ]
    assert after(reclaim, {"n": 3}, jobs, queues)["m"] == expected


def test_a_moved_victim_is_no_loss():
    def jobs():
        return [
            job("m", "x", queue="a"),
            job("o", "y", queue="a"),
            job("j", "-", gpus=2, queue="b"),
        ]

    queues = [queue("a", 2), queue("b", 2)]
    nodes = {"x": 2, "y": 2}
    moved = {"m": "r@x", "o": "P@x", "j": "P@y"}
    assert after(reclaim, nodes, jobs(), queues) == moved
    strict = after(reclaim, nodes, jobs(), queues, knobs=with_knobs(reclaim_moves_victims=False))
    assert strict == {"m": "r@x", "o": "r@y", "j": "-"}


# -- preempt


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        pytest.param(
            [job("low", "n n"), job("j", "-", priority=1)],
            {"low": "R@n R@n", "j": "P@n"},
            id="less important ones go",
        ),
        pytest.param(
            [job("low", "n n", at_least=1), job("j", "-", priority=1)],
            {"low": "r@n R@n", "j": "P@n"},
            id="no more than needed",
        ),
        pytest.param(
            [job("same", "n n"), job("j", "-")],
            {"same": "r@n r@n", "j": "-"},
            id="strictly less important",
        ),
        pytest.param(
            [job("low", "n n", preemptible=False), job("j", "-", priority=1)],
            {"low": "r@n r@n", "j": "-"},
            id="never who cannot be preempted",
        ),
        pytest.param(
            [job("low", "n n", queue="p"), job("j", "-", priority=1)],
            {"low": "r@n r@n", "j": "-"},
            id="only in the same queue",
        ),
        pytest.param(
            [job("low", "n n"), job("j", "- - -", priority=1)],
            {"low": "r@n r@n", "j": "- - -"},
            id="nobody goes in vain",
        ),
        pytest.param(
            [
                job("one", "n", created_ns=1),
                job("two", "n", created_ns=2),
                job("j", "-", priority=1),
            ],
            {"one": "r@n", "two": "R@n", "j": "P@n"},
            id="the newest first",
        ),
        pytest.param(
            [
                job("one", "n", created_ns=1, priority=0),
                job("two", "n", created_ns=2, priority=1),
                job("j", "-", priority=2),
            ],
            {"one": "R@n", "two": "r@n", "j": "P@n"},
            id="the least important before that",
        ),
        pytest.param(
            [job("low", "n n"), job("j", "- -", priority=1, preemptible=False)],
            {"low": "r@n r@n", "j": "- -"},
            id="not preemptible: only within what is deserved",
        ),
    ],
)
def test_preempt(jobs, expected):
    assert after(preempt, {"n": 2}, jobs, [queue("q", 1), queue("p", 1)]) == expected


@pytest.mark.parametrize(
    ("started", "expected"),
    [pytest.param(5, "r@n", id="within"), pytest.param(11, "R@n", id="after")],
)
def test_preempt_min_runtime(started, expected):
    queues = [queue("q", 1, preempt_min_runtime_ns=10)]
    jobs = [job("low", "n", started_ns=NOW_NS - started), job("j", "-", priority=1)]
    assert after(preempt, {"n": 1}, jobs, queues)["low"] == expected


def test_a_gang_finds_victims_on_several_nodes():
    jobs = [
        *[job(f"low{index}", f"n{index}", gpus=2, created_ns=index) for index in range(4)],
        job("j", "- - -", gpus=2, priority=1),
    ]
    found = after(preempt, {f"n{index}": 2 for index in range(4)}, jobs)
    assert found["low0"] == "r@n0"
    assert sorted(found["j"].split()) == ["P@n1", "P@n2", "P@n3"]
    assert {found[f"low{index}"][0] for index in (1, 2, 3)} == {"R"}


@pytest.mark.parametrize(
    ("skips", "tried"),
    [pytest.param(False, 4, id="every job is tried"), pytest.param(True, 1, id="one for all")],
)
def test_jobs_that_are_no_easier_can_be_skipped(monkeypatch, skips, tried):
    asked = []
    solve = preempt.solve
    monkeypatch.setattr(
        preempt, "solve", lambda *facts: asked.append(facts[1].key) or solve(*facts)
    )
    jobs = [job("low", "n", preemptible=False), *[job(f"j{n}", "-", priority=1) for n in range(4)]]
    after(preempt, {"n": 1}, jobs, knobs=with_knobs(skip_no_easier=skips))
    assert len(asked) == tried


def test_the_search_is_bounded():
    def jobs():
        low = [job(f"low{index}", "n", created_ns=index) for index in range(3)]
        return [*low, job("j", "-", gpus=3, priority=1)]

    assert after(preempt, {"n": 3}, jobs())["j"] == "P@n"
    assert after(preempt, {"n": 3}, jobs(), knobs=with_knobs(scenarios_max=2))["j"] == "-"


# -- stale gangs


@pytest.mark.parametrize(
    ("where", "facts", "expected"),
    [
        pytest.param("n -", {"stale_since_ns": NOW_NS - 10}, "R@n -", id="its grace is over"),
        pytest.param("n -", {"stale_since_ns": NOW_NS - 9}, "r@n -", id="its grace is not over"),
        pytest.param("n -", {}, "r@n -", id="only just seen"),
        pytest.param("n n", {"stale_since_ns": 0}, "r@n r@n", id="a whole gang stays"),
        pytest.param("n succeeded@n", {"stale_since_ns": 0}, "r@n -", id="one that ends stays"),
        pytest.param("- -", {"stale_since_ns": 0}, "- -", id="one that waits is not stale"),
        pytest.param(
            "n -", {"stale_since_ns": 0, "stale_grace_ns": -1}, "r@n -", id="its own word: for ever"
        ),
        pytest.param("n -", {"stale_grace_ns": 0}, "R@n -", id="its own word: not at all"),
        pytest.param(
            "n releasing@n", {"stale_since_ns": 0}, "r@n R@n", id="who leaves still uses its place"
        ),
    ],
)
def test_stale_gangs(where, facts, expected):
    knobs = with_knobs(stale_grace_ns=10)
    assert after(stale_gangs, {"n": 2}, [job("j", where, **facts)], knobs=knobs) == {"j": expected}


# -- the parts


def test_the_knobs_say_which_passes_run():
    def jobs():
        return [job("low", "n"), job("j", "-", priority=1)]

    for passes, expected in ((("allocate",), "-"), (("allocate", "preempt"), "P@n")):
        one = session({"n": 1}, jobs(), knobs=with_knobs(passes=passes))
        table.run(one)
        assert states(one)["j"] == expected
    assert set(table.PASSES) == set(NO_GRACE.passes)


@pytest.mark.parametrize(
    ("possible", "asked"),
    [
        pytest.param(0, [1], id="not even one"),
        pytest.param(1, [1, 2], id="one"),
        pytest.param(5, [1, 2, 4, 8, 6, 5], id="doubling, then halving"),
        pytest.param(9, [1, 2, 4, 8, 9], id="all"),
    ],
)
def test_largest(possible, asked):
    probed = []
    assert largest(9, lambda count: probed.append(count) or count <= possible) == possible
    assert probed == asked


def question(one, pods, settled=()):
    victims = [each.view() for each in one.jobs.values() if each.key != "j"]
    return Question(one, pods, settled, lambda: Turns(one, victims, backwards=True))


def who(scenarios):
    return [" ".join(sorted(pod.key for pod in each.pods())) for each in scenarios]


def test_scenarios_node_by_node():
    jobs = [
        job("m", "x", created_ns=1),
        job("g", "x y", created_ns=2),
        job("e", "y y", at_least=1, created_ns=3),
        job("j", "-"),
    ]
    one = session({"x": 2, "y": 3}, jobs)
    assert who(node_by_node(question(one, one.jobs["j"].pods))) == [
        "e-1",
        "e-0 e-1",
        "g-0 g-1",
        "e-0 e-1 g-0 g-1",
        "g-0 g-1 m-0",
    ]


def test_scenarios_of_nodes_together_start_with_what_could_do():
    jobs = [
        *[job(f"m{n}", f"n{n}", gpus=n, created_ns=-n) for n in (1, 2, 3)],
        job("j", "-", gpus=3),
    ]
    one = session({"n1": 1, "n2": 2, "n3": 3}, jobs)
    assert who(nodes_together(question(one, one.jobs["j"].pods))) == ["m3-0"]
    more = [*one.jobs["j"].pods, *job("k", "- -").pods]
    assert who(nodes_together(question(one, more))) == ["m1-0 m2-0 m3-0"]  # five are missing
    assert who(nodes_together(question(one, more[1:2]))) == [
        "m1-0",
        "m1-0",
        "m1-0 m2-0",
        "m1-0",
        "m1-0 m2-0",
        "m1-0 m2-0 m3-0",
    ]


def test_settled_victims_are_part_of_every_set():
    jobs = [job("m", "n", created_ns=1), job("o", "n", created_ns=2), job("j", "-", gpus=2)]
    one = session({"n": 2}, jobs)
    settled = (Bite("o", tuple(one.jobs["o"].pods)),)
    asked = question(one, one.jobs["j"].pods, settled)
    assert who(node_by_node(asked)) == ["o-0", "m-0 o-0"]
    assert who(nodes_together(asked)) == ["o-0", "m-0 o-0"]


def test_turns_backwards_take_from_who_has_most():
    jobs = [
        job("a1", "n", queue="a", created_ns=1),
        job("a2", "n", queue="a", created_ns=2),
        job("b1", "n n n", queue="b", at_least=1, created_ns=3),
        job("b2", "n", queue="b", created_ns=4, priority=1),
    ]
    one = session({"n": 6}, jobs, A_AND_B)
    turns = Turns(one, [each.view() for each in jobs], backwards=True)
    popped = [view.job.key for view in iter(turns.pop, None)]
    assert popped == ["b1", "b2", "a2", "a1"]


def test_a_trial_leaves_no_trace():
    jobs = [job("m", "x releasing@y"), job("j", "- -", gpus=0)]
    one = session({"x": 1, "y": 1}, jobs, [queue("q", UNLIMITED)])
    before = states(one), one.tree["q"].allocated, one.free_device_milli().tolist()
    with one.trial():
        one.evict(jobs[0].pods[0])
        assert one.place(jobs[1].pods[0], one.everywhere())
        with one.trial() as inner:
            assert one.place(jobs[0].pods[0], one.everywhere(), at_once=False)
            inner.keep()
        assert states(one)["m"] == "r@x R@y"  # it found its own place: it was never evicted
    assert before == (states(one), one.tree["q"].allocated, one.free_device_milli().tolist())
    assert not any(pod.tentative for each in jobs for pod in each.pods)


# -- what was decided


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.said = []

    def started(self, workload, nodes):
        self.said.append((workload, nodes))

    def pending(self, workload, code):
        self.said.append((workload, code))


def test_decisions_are_data():
    jobs = [
        job("low", "n n", created_ns=1),
        job("stale", "n -", created_ns=2, preemptible=False, stale_since_ns=0),
        job("more", "m -", at_least=1, created_ns=3),
        job("high", "-", priority=1),
        job("large", "- - -", created_ns=4),
    ]
    heard = Heard()
    decisions = table.run(session({"n": 3, "m": 1, "o": 1}, jobs), heard)
    assert [(each.workload, len(each.assignments)) for each in decisions.starts] == [("high", 1)]
    assert [each.pod for each in decisions.leaves] == ["stale-0"]
    assert decisions.leaves[0].decided_by == "stale-gangs"
    assert heard.said == [
        ("high", ("o",)),
        ("large", "GangIncomplete"),
        ("more", "Unschedulable"),
        ("stale", "Unschedulable"),
    ]


def test_a_promise_names_a_node_and_who_leaves_for_it():
    jobs = [job("low", "n n", at_least=1), job("high", "-", priority=1)]
    decisions = table.run(session({"n": 2}, jobs))
    (promise,) = decisions.promises
    assert (promise.workload, promise.assignments[0].node, promise.complete) == ("high", "n", True)
    assert promise.assignments[0].devices is None  # which one is known when somebody has left
    (leave,) = decisions.leaves
    assert (leave.pod, leave.decided_by, leave.beneficiary) == ("low-1", "preempt", "high")
    assert decisions.starts == ()


def test_who_moves_is_promised_a_place_and_told_to_leave():
    jobs = [job("m", "x"), job("o", "y"), job("j", "-", gpus=2)]
    decisions = table.run(session({"x": 2, "y": 2}, jobs))
    assert [each.workload for each in decisions.promises] == ["j", "o"]
    assert [(each.pod, each.decided_by, each.beneficiary) for each in decisions.leaves] == [
        ("o-0", "consolidate", "j")
    ]


def rounds(keeps_promises):
    """Return how many pods of two queues wait, round after round.

    The first queue has the higher priority and no share at all, the second one deserves the rest.
    """
    where = {"first": "- -", "second": "-"}
    seen = []
    for _ in range(6):
        jobs = [
            job("first", where["first"], gpus=2, queue="a", at_least=1),
            job("second", where["second"], queue="b"),
        ]
        queues = [queue("a", 0, weight=0, priority=101), queue("b", 0)]
        one = session({"m": 2, "n": 2}, jobs, queues)
        table.run(one)
        kept = {"running", "allocated"} | ({"pipelined"} if keeps_promises else set())
        where = {
            each.key: " ".join(pod.node if pod.state in kept else "-" for pod in each.pods)
            for each in jobs
        }
        seen.append((where["first"].count("-"), where["second"].count("-")))
    return seen


def test_promises_have_to_be_kept():
    """The order of queues alone would give back what was just reclaimed, for ever."""
    assert rounds(keeps_promises=True)[1:] == [(1, 0)] * 5
    assert all(second_waits for _, second_waits in rounds(keeps_promises=False))


def test_who_was_allocated_keeps_the_device_it_was_given():
    """Not the one that a leaving pod still holds: that one is free soon, and not now."""
    jobs = [
        job("old", "releasing@n", queue="a", preemptible=False),
        job("many", "- -", queue="b", at_least=1),
        job("one", "-", queue="a"),
    ]
    queues = [queue("a", 0), queue("b", 0, weight=0, priority=101)]
    one = session({"n": 2}, jobs, queues)
    table.run(one)
    assert states(one) == {"old": "R@n", "many": "A@n -", "one": "P@n"}
    assert (one.now.snapshot.fleet.device_free >= 0).all()
