"""The timed protocol in worlds so small that every start and end can be counted by hand."""

import msgspec
import pytest

from gpuyard.model.constraints import Constraints, LabelSelector, PodTerm, Requirement
from gpuyard.model.nodes import Pool
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS, PRESETS
from gpuyard.twin import timed
from gpuyard.twin.timed import Setting, World
from tests.small_fleet import arrival, node, template

GPU = template(100, 1)
ALL_OR_NOTHING = PLACEMENTS["best-fit"]
POD_BY_POD = msgspec.structs.replace(ALL_OR_NOTHING, gangs="pod-by-pod")
PATIENCE = World(rendezvous_timeout_ns=10, retry_first_ns=5, retry_longest_ns=15)


def live(nodes, *arrivals, policy=ALL_OR_NOTHING, **more):
    setting = Setting(
        nodes=tuple(nodes), arrivals=tuple(arrivals), mix=(), **{"world": PATIENCE, **more}
    )
    return timed.run(setting, Policy(placement=policy))


def spans(run):
    """Return start and end by workload; -1 for what never came."""
    rows = zip(run.jobs.key, run.jobs.started_ns, run.jobs.ended_ns, strict=True)
    return {key: (int(start), int(end)) for key, start, end in rows}


def steps(run, column):
    """Return (instant, value) wherever a column of the timeline changes."""
    line = run.timeline
    rows = list(zip(line.at_ns.tolist(), getattr(line, column).tolist(), strict=True))
    return [row for at, row in enumerate(rows) if at == 0 or row[1] != rows[at - 1][1]]


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        pytest.param(
            [arrival("a", (1, GPU), at=3, runs=10)], {"a": (3, 13)}, id="room: it starts at once"
        ),
        pytest.param(
            [
                arrival("a", (1, GPU), at=0, runs=10),
                arrival("b", (1, GPU), at=2, runs=5),
                arrival("c", (1, GPU), at=1, runs=3),
            ],
            {"a": (0, 10), "b": (13, 18), "c": (10, 13)},
            id="the oldest first",
        ),
        pytest.param(
            [
                arrival("a", (1, GPU), at=0, runs=10),
                arrival("b", (1, GPU), at=1, runs=5),
                arrival("c", (1, GPU), at=2, runs=3, priority=1),
            ],
            {"a": (0, 10), "b": (13, 18), "c": (10, 13)},
            id="priority first",
        ),
        pytest.param(
            [
                arrival("a", (1, GPU), at=0, runs=10),
                arrival("b", (1, template(100, 2)), at=1, runs=5),
                arrival("c", (1, GPU), at=2, runs=3),
            ],
            {"a": (0, 10), "b": (-1, -1), "c": (10, 13)},
            id="whoever can never start is in nobody's way",
        ),
        pytest.param(
            [
                arrival("a", (1, GPU), at=0, runs=10),
                arrival("b", (1, GPU), at=10, runs=5),
            ],
            {"a": (0, 10), "b": (10, 15)},
            id="ends are taken in before arrivals of the same instant",
        ),
        pytest.param(
            [arrival("a", (1, GPU), at=0), arrival("b", (1, GPU), at=1, runs=1)],
            {"a": (0, -1), "b": (-1, -1)},
            id="one that never ends",
        ),
        pytest.param(
            [arrival("a", (1, GPU), at=0, runs=0), arrival("b", (1, GPU), at=0, runs=1)],
            {"a": (0, 0), "b": (0, 1)},
            id="one that ends as it begins makes room at that instant",
        ),
    ],
)
def test_one_device(arrivals, expected):
    assert spans(live([node("n", gpus="A")], *arrivals)) == expected


def test_waits_are_until_the_start_or_until_the_end_of_the_trace():
    run = live(
        [node("n", gpus="A")],
        arrival("a", (1, GPU), at=2, runs=10, kind="training"),
        arrival("b", (1, GPU), at=3, runs=10, kind="notebook"),
        arrival("c", (1, GPU), at=5, runs=10, kind="training"),
        arrival("late", (1, GPU), at=40, runs=10, kind="notebook"),
        until_ns=20,
    )
    assert spans(run) == {"a": (2, 12), "b": (12, -1), "c": (-1, -1), "late": (-1, -1)}
    assert run.jobs.waited_ns.tolist() == [0, 9, 15, 0]
    assert {kind: waits.tolist() for kind, waits in run.jobs.waited_by_kind().items()} == {
        "notebook": [9, 0],
        "training": [0, 15],
    }
    assert int((run.jobs.started_ns < 0).sum()) == 2
    assert run.until_ns == 20
    assert run.timeline.at_ns.tolist() == [2, 3, 5, 12, 20]


def test_what_happens_at_the_last_instant_still_happens():
    run = live([node("n", gpus="A")], arrival("a", (1, GPU), at=5, runs=15), until_ns=20)
    assert spans(run) == {"a": (5, 20)}
    assert steps(run, "allocated_milli") == [(5, 1000), (20, 0)]


# --- Gangs --------------------------------------------------------------------------------------


def gang_behind_a_filler(filler_runs, **arguments):
    """Let a gang of two come to a node on which one of three devices is free."""
    return live(
        [node("n", gpus="AAA")],
        arrival("filler", (1, template(100, 2)), at=0, runs=filler_runs),
        arrival("gang", (2, GPU), at=1, runs=7),
        **arguments,
    )


def test_all_or_nothing_holds_nothing_while_it_waits():
    run = gang_behind_a_filler(100)
    assert spans(run) == {"filler": (0, 100), "gang": (100, 107)}
    assert run.jobs.attempts.tolist() == [0, 0]
    assert steps(run, "allocated_milli") == [(0, 2000), (107, 0)]
    assert run.timeline.allocated_milli.tolist() == run.timeline.useful_milli.tolist()
    assert steps(run, "waiting_milli") == [(0, 0), (1, 2000), (100, 0)]


def test_pod_by_pod_holds_devices_gives_up_and_comes_back_later_and_later():
    """Tries at 1, 16, 36, 61, 86 end after 10; the delays are 5, 10, then 15 each."""
    run = gang_behind_a_filler(100, policy=POD_BY_POD)
    assert spans(run) == {"filler": (0, 100), "gang": (111, 118)}
    assert run.jobs.attempts.tolist() == [0, 5]
    held = [(1, 3000), (11, 2000), (16, 3000), (26, 2000), (36, 3000), (46, 2000)]
    held += [(61, 3000), (71, 2000), (86, 3000), (96, 2000)]
    after = [(100, 0), (111, 2000), (118, 0)]
    assert steps(run, "allocated_milli") == [(0, 2000), *held, *after]
    assert steps(run, "useful_milli") == [(0, 2000), *after]
    waiting = [(at, 4000 - allocated) for at, allocated in held]
    assert steps(run, "waiting_milli") == [(0, 0), *waiting, (111, 0)]
    assert run.jobs.waited_ns.tolist() == [0, 110]


def test_a_gang_that_is_complete_in_time_does_not_give_up():
    run = gang_behind_a_filler(5, policy=POD_BY_POD)
    assert spans(run) == {"filler": (0, 5), "gang": (5, 12)}
    assert run.jobs.attempts.tolist() == [0, 0]
    assert steps(run, "useful_milli") == [(0, 2000), (12, 0)]
    assert steps(run, "allocated_milli") == [(0, 2000), (1, 3000), (5, 2000), (12, 0)]


def test_patience_ends_before_the_room_of_that_instant_is_given_out():
    run = gang_behind_a_filler(11, policy=POD_BY_POD)
    assert spans(run) == {"filler": (0, 11), "gang": (16, 23)}
    assert run.jobs.attempts.tolist() == [0, 1]


def test_an_old_alarm_does_not_end_a_new_try():
    """Complete at 5, done at 6; a second gang's try from 6 on is its own."""
    run = live(
        [node("n", gpus="AAA")],
        arrival("filler", (1, template(100, 2)), at=0, runs=5),
        arrival("gang", (2, GPU), at=1, runs=1),
        arrival("next", (4, GPU), at=4, runs=1),
        policy=POD_BY_POD,
        until_ns=20,
    )
    assert spans(run)["gang"] == (5, 6)
    # next holds one device from 5, all three from 6, and gives up at 15 for the first time
    assert run.jobs.attempts.tolist() == [0, 0, 1]
    assert steps(run, "allocated_milli")[-2:] == [(15, 0), (20, 3000)]


def test_a_gang_that_can_never_start_holds_up_others_only_pod_by_pod():
    arrivals = [arrival("gang", (3, GPU), at=0), arrival("one", (1, GPU), at=1, runs=4)]
    nodes = [node("n", gpus="AA")]
    assert spans(live(nodes, *arrivals, until_ns=12))["one"] == (1, 5)
    assert spans(live(nodes, *arrivals, policy=POD_BY_POD, until_ns=12))["one"] == (10, -1)


# --- Who is asked again -------------------------------------------------------------------------

APP_X = LabelSelector((Requirement("app", "In", ("x",)),))
NEAR_X = Constraints(required_pods=(PodTerm("zone", APP_X, ("default",)),))
APART_FROM_X = Constraints(forbidden_pods=(PodTerm("zone", APP_X, ("default",)),))
IN_ZONE = {"labels": (("zone", "z"),)}


def test_a_gang_that_comes_back_for_ever_does_not_prolong_the_trace():
    gang = arrival("gang", (3, GPU), at=0, runs=10)
    short = arrival("short", (1, GPU), at=4, runs=21)
    run = live(
        [node("n", gpus="A"), node("m", gpus="A")], gang, short, policy=POD_BY_POD, world=World()
    )
    assert spans(run)["gang"] == (-1, -1)
    assert run.until_ns == spans(run)["short"][1] == run.timeline.at_ns[-1]
    assert (run.timeline.at_ns <= run.until_ns).all()
    assert run.jobs.waited_ns[0] == run.until_ns
    assert run.jobs.attempts[0] <= 24 * 3600 // 960 + 10


def test_a_gang_that_comes_back_is_watched_for_as_long_as_was_asked():
    gang = arrival("gang", (3, GPU), at=0, runs=10)
    until_ns = 2 * timed.STILL_NS
    run = live([node("n", gpus="A")], gang, policy=POD_BY_POD, world=World(), until_ns=until_ns)
    assert run.until_ns == until_ns
    assert run.timeline.at_ns[-2] > until_ns - 1000 * timed.SECOND_NS


def test_company_that_starts_after_the_one_who_needs_it_is_enough():
    needs = template(100, constraints=NEAR_X)
    run = live(
        [node("n", **IN_ZONE)],
        arrival("needs", (1, needs), at=0, runs=5, priority=1),
        arrival("x", (1, template(100, labels=(("app", "x"),))), at=3, runs=50),
    )
    assert spans(run)["needs"] == (3, 8)


def test_a_shape_that_a_later_term_changed_is_woken_by_that_term():
    """`waits` is parked for lack of room, then also kept out of its zone by `loner` on node m."""
    x_pod = template(4000, labels=(("app", "x"),))
    loner = template(100, constraints=APART_FROM_X)
    run = live(
        [node("n", 4000, **IN_ZONE), node("m", 100, **IN_ZONE)],
        arrival("filler", (1, template(4000)), at=0, runs=10),
        arrival("waits", (1, x_pod), at=1, runs=5),
        arrival("loner", (1, loner), at=2, runs=20),
    )
    assert spans(run) == {"filler": (0, 10), "loner": (2, 22), "waits": (22, 27)}


def test_the_plugin_of_the_pool_picks_the_device():
    """Shares that a stock plugin spreads leave no whole device."""
    share = template(100, 1, milli=300)
    nodes = [node("n", gpus="AA", pool="p")]
    arrivals = [
        arrival("s", (1, share), at=0),
        arrival("t", (1, share), at=1),
        arrival("whole", (1, GPU), at=2, runs=1),
    ]
    ours = live(nodes, *arrivals)
    stock = live(nodes, *arrivals, pools={"p": Pool(name="p", chooser="kubelet")})
    assert spans(ours)["whole"] == (2, 3)
    assert spans(stock)["whole"] == (-1, -1)


# --- The run itself -----------------------------------------------------------------------------


def test_nobody_arrives():
    run = live([node("n", gpus="AA")])
    line = run.timeline
    assert (run.nodes, run.devices, run.until_ns, run.cycles) == (1, 2, 0, 0)
    columns = {name: len(getattr(line, name)) for name in line.__struct_fields__}
    assert set(columns.values()) == {2}
    assert line.mean(line.allocated_milli) == 0.0
    assert run.jobs.key == ()


def test_useful_gpu_hours_by_pool():
    hour = timed.SECOND_NS * 3600
    run = live(
        [node("n", gpus="AA", pool="big"), node("m", gpus="B", pool="small")],
        arrival("a", (2, template(1, 1, models="A")), at=0, runs=3 * hour),
        arrival("b", (1, template(1, 1, milli=500, models="B")), at=0, runs=hour),
        arrival("c", (1, template(1, 1, milli=500, models="B")), at=hour),
        arrival("d", (1, template(1, 9)), at=0),
        until_ns=2 * hour,
    )
    assert run.jobs.pool == ("big", "small", "small", "")
    assert run.jobs.useful_gpu_hours(2 * hour) == {"big": 4.0, "small": 1.0}


def test_a_trace_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(timed, "INSTANTS_MAX", 3)
    arrivals = [arrival(f"w{at}", (1, GPU), at=at, runs=1) for at in range(9)]
    with pytest.raises(ValueError, match="the trace has more than 3 instants"):
        live([node("n", gpus="A")], *arrivals)


def test_everybody_is_told():
    class Heard:
        said = ()

        def started(self, workload, nodes):
            self.said += ((workload, nodes),)

        def pending(self, workload, code):
            self.said += ((workload, code),)

    heard = Heard()
    setting = Setting(
        nodes=(node("n", gpus="A"),),
        arrivals=(arrival("a", (1, GPU), at=0, runs=5), arrival("b", (1, GPU), at=1, runs=5)),
        mix=(),
    )
    timed.run(setting, Policy(placement=ALL_OR_NOTHING), reporter=heard)
    assert heard.said == (("a", ("n",)), ("b", "Unschedulable"), ("b", ("n",)))


def test_the_seed_decides_what_is_left_to_chance():
    nodes = [node(f"n{index}", gpus="AA") for index in range(5)]
    arrivals = [arrival(f"w{at}", (1, GPU), at=at, runs=7) for at in range(12)]
    setting = Setting(nodes=tuple(nodes), arrivals=tuple(arrivals), mix=())

    def told(seed):
        heard = []

        class Heard:
            def started(self, workload, nodes):
                heard.append(nodes)

            def pending(self, workload, code):
                pass

        timed.run(setting, PRESETS["kube"], seed=seed, reporter=Heard())
        return heard

    assert told(1) == told(1)
    assert told(1) != told(2)
