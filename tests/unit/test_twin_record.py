"""Records: what is written can be computed again, and what is damaged is refused at its line."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.commitments import CommitmentRules
from gpuyard.model.ledger import Hold, Recorded
from gpuyard.model.plan import Evict, Plan, Start, Wait
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS, PRESETS
from gpuyard.twin import timed
from gpuyard.twin.fill import fill
from gpuyard.twin.record import Head, RecordError, RecordWriter, Verdict, read, recompute
from gpuyard.twin.record.difference import difference
from gpuyard.twin.record.form import End, RecordedCycle
from gpuyard.twin.world import Delay, Fault, World
from tests.small_fleet import arrival, node, request, template

GPU = template(100, 1)
NODES = tuple(node(f"n{index}", gpus="AAAA", rank=index) for index in range(4))
MIX = (timed.MixEntry(request(100, 1), 0.75),)
ARRIVALS = tuple(
    arrival(
        f"w{index}",
        (1 + index % 4, template(300, 1 + index % 2)),
        at=3 * index,
        runs=11 + index % 5,
    )
    for index in range(40)
)
ROUGH = World(
    rendezvous_timeout_ns=30,
    retry_first_ns=5,
    retry_longest_ns=20,
    write=Delay(least_ns=1, mean_extra_ns=3),
    start=Delay(mean_extra_ns=6),
    leave=Delay(least_ns=2),
    request_lost_share=0.1,
    faults=(Fault(reason="OutOfcpu", at="admission", share=0.1),),
)
RULES = CommitmentRules(
    back_off_base_ns=4, back_off_max_ns=30, reply_within_ns=9, put_back_within_ns=9
)


def recorded(name, *, world=ROUGH, seed=4, **head):
    lines = []
    policy = Policy(placement=PLACEMENTS[name], commitments=RULES)
    writer = RecordWriter(lines.append, Head(policy=policy, seed=seed, **head))
    setting = timed.Setting(nodes=NODES, arrivals=ARRIVALS, mix=MIX, until_ns=400, world=world)
    run = timed.run(setting, policy, seed=seed, recorder=writer)
    writer.close()
    return lines, run


@pytest.mark.parametrize("name", PLACEMENTS)
def test_every_plan_comes_out_again_under_every_policy(name):
    lines, run = recorded(name)
    assert run.cycles > 40
    assert recompute(read(lines, "r")) == Verdict(cycles=run.cycles)


def test_a_recorder_changes_nothing():
    policy = Policy(placement=PLACEMENTS["kube"], commitments=RULES)
    setting = timed.Setting(nodes=NODES, arrivals=ARRIVALS, mix=MIX, until_ns=400, world=ROUGH)
    alone = timed.run(setting, policy, seed=4)
    _, heard = recorded("kube")
    for name in alone.timeline.__struct_fields__:
        assert np.array_equal(getattr(alone.timeline, name), getattr(heard.timeline, name))
    assert (alone.cycles, alone.writes) == (heard.cycles, heard.writes)


def test_the_same_run_leaves_the_same_bytes():
    assert recorded("kube")[0] == recorded("kube")[0]


def test_a_line_is_written_as_soon_as_its_cycle_is_over():
    lines = []
    writer = RecordWriter(lines.append, Head(policy=PRESETS["fgd"], seed=0))
    assert len(lines) == 1
    writer.decided((), Plan(), 5)
    assert len(lines) == 2
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


def test_a_fill_leaves_a_record_too():
    lines = []
    policy = PRESETS["random"]
    writer = RecordWriter(lines.append, Head(policy=policy, seed=9))
    workloads = [one.workload for one in ARRIVALS]
    fill(NODES, workloads, MIX, policy.placement, seed=9, recorder=writer)
    writer.close()
    assert recompute(read(lines, "r")) == Verdict(cycles=len(ARRIVALS))
    other_seed = msgspec.structs.replace(read(lines, "r").head, seed=10)
    changed = [msgspec.json.encode(other_seed), *lines[1:]]
    assert recompute(read(changed, "r")).difference is not None


def test_pools_are_part_of_the_head():
    pools = {"p": timed.Pool(name="p", chooser="kubelet")}
    nodes = tuple(msgspec.structs.replace(one, pool="p") for one in NODES)
    share = template(100, 1, milli=300)
    arrivals = tuple(arrival(f"s{index}", (1, share), at=index) for index in range(3))
    setting = timed.Setting(nodes=nodes, arrivals=arrivals, mix=(), pools=pools)
    verdicts = []
    for known in (pools, {}):
        lines = []
        head = Head(policy=PRESETS["best-fit"], seed=0, pools=known)
        writer = RecordWriter(lines.append, head)
        timed.run(setting, PRESETS["best-fit"], recorder=writer)
        writer.close()
        verdicts.append(recompute(read(lines, "r")).difference)
    assert verdicts[0] is None
    assert verdicts[1].workload == "s1"


# --- Another policy -----------------------------------------------------------------------------


def test_another_policy_is_said_to_differ_at_the_first_cycle_that_does():
    lines, run = recorded("best-fit", world=World())
    verdict = recompute(read(lines, "r"), PRESETS["kube"])
    assert verdict.difference is not None
    assert verdict.cycles == verdict.difference.cycle < run.cycles
    assert verdict.difference.line == verdict.difference.cycle + 1
    assert verdict.difference.recorded != verdict.difference.recomputed
    assert verdict.difference.workload in verdict.difference.recorded


def test_a_policy_of_another_name_and_the_same_values_does_not_differ():
    lines, run = recorded("best-fit", policy_name="best-fit")
    same = msgspec.json.decode(lines[0], type=Head).policy
    assert recompute(read(lines, "r"), same) == Verdict(cycles=run.cycles)


def start(workload, *where, complete=True, devices=(0,)):
    pods = (
        Assignment(pod=f"{workload}/p-{index}", template=GPU, node=name, devices=devices)
        for index, name in enumerate(where)
    )
    return Start(workload, tuple(pods), complete=complete)


HOLD = Hold(workload="a", rooms=(), since_ns=0, until_ns=9)
BEFORE = Plan((start("a", "n", "m"), start("b", "n")), (Wait("c", "Unschedulable"),))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(
            Plan((start("a", "n", "o"), BEFORE.starts[1]), BEFORE.waits),
            ("a", "a/p-1 on m, devices 0", "a/p-1 on o, devices 0"),
            id="a pod on another node",
        ),
        pytest.param(
            Plan((start("a", "n", "m", devices=(1,)), BEFORE.starts[1]), BEFORE.waits),
            ("a", "a/p-0 on n, devices 0", "a/p-0 on n, devices 1"),
            id="another device",
        ),
        pytest.param(
            Plan((start("a", "n"), BEFORE.starts[1]), BEFORE.waits),
            ("a", "a/p-1 on m, devices 0", "nothing"),
            id="a pod less",
        ),
        pytest.param(
            Plan((BEFORE.starts[0],), (Wait("b", "Unschedulable"), *BEFORE.waits)),
            ("b", "b/p-0 on n, devices 0", "waits (Unschedulable)"),
            id="one that waits",
        ),
        pytest.param(
            Plan(BEFORE.starts, (Wait("c", "GangIncomplete"),)),
            ("c", "waits (Unschedulable)", "waits (GangIncomplete)"),
            id="another reason",
        ),
        pytest.param(
            Plan(BEFORE.starts, (*BEFORE.waits, Wait("d", "Unschedulable"))),
            ("d", "nothing", "waits (Unschedulable)"),
            id="one more that waits",
        ),
        pytest.param(
            msgspec.structs.replace(BEFORE, evicts=(Evict(victim="v", workload="a"),)),
            ("a", "nothing", "evicts v"),
            id="a victim",
        ),
        pytest.param(
            msgspec.structs.replace(BEFORE, holds=(HOLD,)),
            ("a", "nothing", "holds until 9 ns"),
            id="a hold",
        ),
        pytest.param(
            Plan(BEFORE.starts[::-1], BEFORE.waits),
            ("", "in this place a", "in this place b"),
            id="another order of starts",
        ),
    ],
)
def test_how_two_plans_differ_is_said_of_the_first_workload(after, expected):
    cycle = RecordedCycle(cycle=3, now_ns=7, plan=BEFORE)
    told = difference(4, cycle, after)
    assert (told.workload, told.recorded, told.recomputed) == expected
    assert (told.cycle, told.line, told.now_ns) == (3, 4, 7)


def test_another_change_of_the_ledger_is_a_difference():
    cycle = RecordedCycle(cycle=1, now_ns=7, plan=Plan(changes=(Recorded(HOLD),)))
    lines = [
        *(msgspec.json.encode(each) for each in (Head(policy=PRESETS["fgd"], seed=0), cycle)),
        msgspec.json.encode(End(cycles=1)),
    ]
    verdict = recompute(read(lines, "r"))
    assert verdict.difference.workload == ""
    assert "the ledger: Recorded Hold(" in verdict.difference.recorded
    assert verdict.difference.recomputed == "nothing"


# --- What cannot be used ------------------------------------------------------------------------

LINES, RUN = recorded("fgd")


def changed(line, old, new, count=1):
    """Return the record with a part of one line replaced; lines count from 1."""
    assert old in LINES[line - 1]
    replaced = LINES[line - 1].replace(old, new, count)
    return [*LINES[: line - 1], replaced, *LINES[line:]]


FIRST_GONE = next(index for index, line in enumerate(LINES, 1) if b'"PodGone"' in line)

DAMAGED = {
    "empty": ([], r"r:1: not a record of gpuyard"),
    "not JSON": ([b"name,cpu\n", *LINES], r"r:1: not a record of gpuyard"),
    "another document": ([b'{"kind": "List"}\n'], r"r:1: not a record of gpuyard"),
    "a later version": (
        changed(1, b"record/2", b"record/3"),
        r"r:1: the record's form is 'gpuyard-record/3' and this gpuyard reads gpuyard-record/1",
    ),
    "a head without a policy": (
        changed(1, b'"policy":', b'"polity":'),
        r"r:1: the line is damaged \(.*policy",
    ),
    "a score that does not exist": (
        changed(1, b'"fgd"', b'"fdg"', -1),
        r"r:1: the line is damaged",
    ),
    "half a line": ([*LINES[:6], LINES[6][:40], *LINES[7:]], r"r:7: the line is damaged"),
    "a word for a number": (changed(4, b'"now_ns":', b'"now_ns":"x'), r"r:4: the line is damaged"),
    "a line is missing": (
        [*LINES[:9], *LINES[10:]],
        r"r:10: cycle 10 stands where 9 should; lines are missing",
    ),
    "cut": (LINES[:20], r"r:20: the record was cut after cycle 19; take a whole one"),
    "only a head": (LINES[:1], r"r:1: the record was cut after cycle 0"),
    "a wrong end": (
        [*LINES[:-1], b'{"type":"end","cycles":3}'],
        rf"r:{len(LINES)}: {RUN.cycles} cycles came before the end, not 3",
    ),
    "more after the end": (
        [*LINES, LINES[-1]],
        rf"r:{len(LINES) + 1}: the record goes on after its end",
    ),
    "an unknown workload": (
        changed(2, b'"workload":"w0"}', b'"workload":"w9"}'),
        r"r:2: the line contradicts those before it \(nothing is known of 'w9'\)",
    ),
    "a pod that never was": (
        changed(FIRST_GONE, b'"pod":"w', b'"pod":"x'),
        rf"r:{FIRST_GONE}: the line contradicts those before it \(pod x\S+ is gone, but",
    ),
}


@pytest.mark.parametrize(("lines", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_record_that_cannot_be_used_is_refused_with_its_line(lines, words):
    with pytest.raises(RecordError, match=words) as refused:
        recompute(read(lines, "r"))
    assert "\n" not in str(refused.value)


# A record of the first version, as it was written then. It must be readable for ever.
VERSION_1 = """\
{"format":"gpuyard-record/1","policy_name":"first-fit","trace":"t","seed":0,"policy":{"scores":[],\
"devices":"first"},"pools":{}}
{"type":"cycle","cycle":1,"now_ns":3,"deltas":[{"type":"NodeObserved","node":{"name":"n",\
"allocatable":{"amounts":[["cpu",4000]]},"devices":[{"model":"A"}]}}],"workloads":[{"key":"w",\
"pod_sets":[{"name":"main","count":2,"template":{"request":{"resources":{"amounts":[["cpu",1000]]}\
}}}],"created_ns":3}],"asked":[{"workload":"w"}],"plan":{"starts":[{"workload":"w","assignments":[\
{"pod":"w/main-0","template":{"request":{"resources":{"amounts":[["cpu",1000]]}}},"node":"n"},\
{"pod":"w/main-1","template":{"request":{"resources":{"amounts":[["cpu",1000]]}}},"node":"n"}]}]}}
{"type":"end","cycles":1}
"""


def test_the_first_version_stays_readable():
    lines = VERSION_1.encode().splitlines(keepends=True)
    assert recompute(read(lines, "r")) == Verdict(cycles=1)
