"""Volcano's own test cases are asked, counted and explained, and none agrees by accident."""

import copy
from pathlib import Path

import pytest

from verification.oracles import runner
from verification.oracles.__main__ import lines_of, main, summary
from verification.oracles.rows import Row
from verification.oracles.volcano import STEM, VOLCANO, cluster, objects, read
from verification.oracles.volcano.enqueue import one_cycle
from verification.oracles.volcano.reasons import REASONS

AGREE, ROWS = 121, 266


@pytest.fixture(scope="module")
def file(data_dir):
    return data_dir / "oracles" / f"{STEM}.json.gz"


@pytest.fixture(scope="module")
def rows(file):
    return {raw["name"].split(" ")[0]: raw for raw in read.read(file)}


@pytest.fixture(scope="module")
def found(file):
    return runner.check_file(file, VOLCANO)


# -- the table


def test_rows_agree_or_say_why_not(found):
    assert found.passed >= AGREE
    assert found.passed + found.failed + found.outside.total() == ROWS
    assert found.failed == found.disagreements.total()
    assert not found.later, "rows that nobody attempted"
    assert not found.unnoticed
    assert found.altered >= 3 * found.passed


def test_every_reason_explains_a_row_that_disagrees(found):
    for place in REASONS:
        assert any(f"/{place} " in line for line in found.differences), place


def test_rows_are_out_of_scope_for_three_reasons(found):
    assert set(found.outside) == {
        "DRA-backed",
        "computed or compared by code that is not in the row",
        "inputs that the extract left as Go expressions",
    }


def test_every_set_up_is_that_of_a_row(rows):
    assert {place.split("#")[0] for place in rows} >= read.SETUPS.keys()


def test_the_program_prints_the_table(found, file, capsys):
    assert main(["volcano", str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[: len(list(lines_of(found)))] == list(lines_of(found))
    assert sum(line.startswith("  disagree: ") for line in printed) == len(set(REASONS.values()))


def test_the_page_says_what_is_printed(found):
    page = Path(__file__).parents[2].joinpath("docs/reference/oracles.md").read_text("utf-8")
    assert f"`{summary([found])}`" in page
    for reason, count in found.disagreements.items():
        assert not count or f"| {count} | {reason} |" in page
    for reason, count in found.outside.items():
        [line] = [line for line in page.splitlines() if line.startswith(f"| {reason} |")]
        assert line.endswith(f" {count} |")


# -- a row that expects nothing agrees for its own reason, and no other


def answers_of(raw, case):
    row = Row(raw["test"], raw["name"], case, {})
    return VOLCANO.tests[STEM, raw["test"]].answer(row)


def set_amounts(case, field, *amounts):
    """Give every node, or every queue, these amounts of CPU and memory."""
    for each in case[field]:
        each["args"][1 if field == "Nodes" else 2] = {
            "$call": "api.BuildResourceList",
            "args": [*amounts, [{"Name": "pods", "Value": "10"}]],
        }


def nothing_else(case):
    """Leave the row as it is."""


def large_nodes(case):
    set_amounts(case, "Nodes", "20", "40Gi")


def unequal_ranks(case):
    case["PodGroups"][1] = {
        "$call": "util.BuildPodGroupWithPrio",
        "args": [*case["PodGroups"][1]["args"], "high-priority"],
    }


def gang_of_none(case):
    case["PodGroups"][0]["args"][3] = 0


def tight_queues(case):
    set_amounts(case, "Queues", "4", "4G")


def wider_queues(case):
    set_amounts(case, "Queues", "5", "5G")


def may_preempt(case):
    for each in case["Pods"]:
        if each["$call"] == "util.BuildPodWithPreemptionPolicy":
            each["args"][8] = "LowerPriority"
    for each in case["PriClass"]:
        each["args"] = each["args"][:2]


def owner_without_weight(case):
    case["Queues"][0]["args"][1] = 0


def open_queues(case):
    for each in case["Queues"]:
        if each["$call"] == "util.BuildQueueWithState":
            each["args"][3] = "Open"


def small_node(case):
    set_amounts(case, "Nodes", "4", "4G")


def also_preempt(case):
    case["Actions"] = ["allocate", "preempt"]


ALLOCATE = "actions/allocate/allocate_test.go"
PREEMPT = "actions/preempt/preempt_test.go"
RECLAIM = "actions/reclaim/reclaim_test.go"
BARRIERS = [  # a row, what else hinders it and is removed first, and its barrier
    (f"{ALLOCATE}:84#2", nothing_else, large_nodes),
    *(
        (f"{ALLOCATE}:{place}", nothing_else, large_nodes)
        for place in (
            *(f"368#{index}" for index in (6, 14, 15, 17, 23)),
            *(f"2895#{index}" for index in (8, 10, 18, 19, 24, 25, 27, 34)),
        )
    ),
    *((f"{PREEMPT}:{line}#1", nothing_else, unequal_ranks) for line in (109, 626)),
    *((f"{PREEMPT}:{line}#5", gang_of_none, tight_queues) for line in (109, 626)),
    *((f"{PREEMPT}:{line}#9", nothing_else, may_preempt) for line in (109, 626)),
    (f"{PREEMPT}:109#10", nothing_else, wider_queues),
    (f"{RECLAIM}:48#3", owner_without_weight, may_preempt),
    (f"{RECLAIM}:48#4", nothing_else, open_queues),
    (f"{RECLAIM}:48#5", nothing_else, open_queues),
    (f"{RECLAIM}:48#8", nothing_else, small_node),
    ("plugins/priority/priority_test.go:190#0", nothing_else, also_preempt),
]


@pytest.mark.parametrize(
    ("place", "also", "barrier"), BARRIERS, ids=[place for place, _, _ in BARRIERS]
)
def test_without_its_barrier_a_row_of_nothing_moves_pods(rows, place, also, barrier):
    raw = rows[place]
    case = copy.deepcopy(raw["case"])
    also(case)
    before = answers_of(raw, case)
    assert (before["ExpectBindsNum"], before["ExpectEvictNum"]) == (0, 0)
    barrier(case)
    after = answers_of(raw, case)
    assert after["ExpectBindsNum"] + after["ExpectEvictNum"] > 0


def test_every_row_of_nothing_has_its_barrier_removed(rows, found):
    known = {place for place, _, _ in BARRIERS} | {
        f"{PREEMPT}:109#0",  # the pending pod's own job is the only one: nobody to evict
        f"{PREEMPT}:626#0",
    }
    nothing = {
        place
        for place, raw in rows.items()
        if (STEM, raw["test"]) in VOLCANO.tests
        and raw["test"] != "enqueue"  # no pod moves there
        and raw["case"]["ExpectBindsNum"] == 0
        and raw["case"]["ExpectEvictNum"] == 0
    }
    disagree = {line.split("/", 1)[1].split(" ")[0] for line in found.differences}
    assert nothing - disagree == known


def test_more_capability_lets_a_pod_group_in(rows):
    raw = rows["actions/enqueue/enqueue_test.go:46#4"]
    case = copy.deepcopy(raw["case"])
    assert one_cycle(Row("", "", case, {}))["ExpectStatus"] == {"c1/pg1": "Pending"}
    set_amounts(case, "Queues", "8", "8G")
    assert one_cycle(Row("", "", case, {}))["ExpectStatus"] == {"c1/pg1": "Inqueue"}


# -- how a literal is read


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"$ref": "v1.PodPending"}, "Pending", id="a phase is its own value"),
        pytest.param({"$ref": "scheduling.PodGroupInqueue"}, "Inqueue", id="of a group as well"),
        pytest.param({"$ref": "highPrio.Name"}, "high-priority", id="a known constant"),
        pytest.param({"$ref": "n1"}, {"$ref": "n1"}, id="a variable stays what it is"),
        pytest.param({"$call": "make", "args": [{}]}, {}, id="an empty map"),
        pytest.param({"$call": "sets.New", "args": ["a"]}, ["a"], id="a set"),
        pytest.param({'""': 1}, {"": 1}, id="an empty key"),
        pytest.param(
            [{"vcapisv1.PodPreemptable": "true"}],
            [{objects.PREEMPTABLE: "true"}],
            id="a constant as key",
        ),
    ],
)
def test_resolve(value, expected):
    assert read.resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param([{"$call": "util.BuildNode", "args": ["n1"]}], False, id="a builder"),
        pytest.param([{"$ref": "n1"}], True, id="a variable"),
        pytest.param([{"$call": "makePods", "args": []}], True, id="a function of the test"),
        pytest.param([{"$call": "util.BuildPod", "args": [{"$ref": "x"}]}], True, id="inside"),
    ],
)
def test_is_unresolved(value, expected):
    assert read.is_unresolved(value) is expected


def test_binds_are_not_named_where_the_source_only_counts_them(rows):
    counted = rows[f"{ALLOCATE}:2895#6"]["case"]
    assert "ExpectBindMap" not in counted
    assert counted["ExpectBindsNum"] == 3
    assert rows[f"{ALLOCATE}:84#2"]["case"]["ExpectEvicted"] == []


# -- what the words mean


def test_a_pod_group_of_sub_groups_is_a_tree(rows):
    session = cluster.session_of(rows[f"{ALLOCATE}:2895#22"]["case"])
    [job] = session.jobs.values()
    assert job.root.domain.required == objects.tier_label(2)
    assert [(each.name, each.min_members) for each in job.root.members] == [
        ("task1", 1),
        ("task2", 1),
    ]
    assert [(leaf.name, leaf.min_count) for leaf in job.root.leaves()] == [
        ("task1-master", 1),
        ("task2-worker", 2),
        ("task2-worker2", 2),
    ]


@pytest.mark.parametrize(
    ("place", "required", "preferred"),
    [
        pytest.param("368#6", "volcano.sh/hypernode-tier-1", 1, id="hard up to a tier"),
        pytest.param("368#18", "volcano.sh/hypernode-tier-2", 1, id="hard up to a tier by name"),
        pytest.param("368#16", "", 1, id="a tier above all requires nothing"),
        pytest.param("368#24", "", 1, id="nor does an unknown name"),
        pytest.param("368#1", "", 1, id="soft only prefers"),
    ],
)
def test_a_tier_is_a_level(rows, place, required, preferred):
    session = cluster.session_of(rows[f"{ALLOCATE}:{place}"]["case"])
    [job] = session.jobs.values()
    assert job.root.domain.required == required
    assert job.root.domain.preferred == objects.tier_label(preferred)


def test_pods_that_may_not_be_preempted_count_first_against_the_minimum(rows):
    session = cluster.session_of(rows[f"{RECLAIM}:48#0"]["case"])
    fixed = session.jobs["c1/pg1 (not preemptable)"]
    rest = session.jobs["c1/pg1"]
    assert not fixed.preemptible
    assert [pod.key for pod in fixed.pods] == ["c1/preemptee1", "c1/preemptee3"]
    assert [leaf.min_count for leaf in rest.root.leaves()] == [0]


def test_a_hard_shard_is_required_and_a_soft_one_preferred(rows):
    for place, hard in (("82#0", True), ("82#1", False)):
        case = rows[f"actions/allocate/allocate_shard_test.go:{place}"]["case"]
        [job] = cluster.session_of(case).jobs.values()
        constraints = job.pods[0].template.constraints
        assert (constraints.required_nodes is not None) is hard
        assert bool(constraints.preferred_nodes) is not hard
