"""KAI's own test cases agree as far as we say, and none would agree if it said something else."""

import json

import pytest

from verification.oracles import runner
from verification.oracles.__main__ import main
from verification.oracles.kai import BAR_PCT, KAI, STEM
from verification.oracles.kai.answers import History, PodFacts, State
from verification.oracles.kai.expected import WantedJobs, WantedNodes, WantedPods
from verification.oracles.kai.read import harness, is_computed, resolve
from verification.oracles.kai.reasons import REASONS


@pytest.fixture(scope="module")
def file(data_dir):
    return data_dir / "oracles" / f"{STEM}.json.gz"


@pytest.fixture(scope="module")
def found(file):
    return runner.check_file(file, KAI)


def test_rows_agree_up_to_the_bar(found):
    assert found.passed >= 328
    assert 100 * found.passed >= BAR_PCT * (found.passed + found.failed)
    assert found.unnoticed == []
    assert found.altered >= 2800
    assert found.is_fine


def test_few_rows_are_out_of_scope(found):
    assert found.outside["DRA-backed"] == 27
    assert found.outside.total() - found.outside["DRA-backed"] <= 24
    assert not found.later


def test_each_disagreement_has_a_reason_and_each_reason_a_disagreement(found):
    said = {line.split("/", 1)[1].split(" ")[0] for line in found.differences}
    assert said == set(REASONS)
    assert all(any(why in line for why in REASONS.values()) for line in found.differences)


def test_the_program_finds_the_file_and_says_so(file, data_dir, monkeypatch, capsys):
    monkeypatch.setenv("GPUYARD_DATA", str(data_dir))
    assert main(["kai"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "kai_cases.json.gz passed 328, failed 2, out of scope 51"
    assert sum(line.startswith("  failed ") for line in printed) == 2
    assert printed[-1].startswith("all files: passed 328")


def row(**case):
    return {
        "file": "pkg/scheduler/actions/allocate/allocate_test.go",
        "line": 1,
        "case": {
            "Name": "mine",
            "Nodes": {"n": {"GPUs": 1}},
            "Queues": [{"Name": "q", "DeservedGPUs": 1}],
            "Jobs": [
                {
                    "Name": "j",
                    "QueueName": "q",
                    "RequiredGPUsPerTask": 1,
                    "Tasks": [{"State": {"$ref": "pod_status.Pending"}}],
                }
            ],
            **case,
        },
    }


@pytest.mark.parametrize(
    ("status", "is_fine"), [("Binding", True), ("Pending", False)], ids=["agrees", "does not"]
)
def test_a_plain_file_is_judged_by_the_bar(tmp_path, status, is_fine):
    wanted = {"j": {"GPUsRequired": 1, "Status": {"$ref": f"pod_status.{status}"}}}
    path = tmp_path / f"{STEM}.json"
    path.write_text(json.dumps([row(JobExpectedResults=wanted)]))
    judged = runner.check_file(path, KAI)
    assert (judged.passed, judged.is_fine) == (int(is_fine), is_fine)


def test_a_field_that_nobody_knows_is_a_failure(tmp_path):
    path = tmp_path / f"{STEM}.json"
    wanted = {"j": {"Status": "Binding", "GPUsRequired": 1}}
    path.write_text(json.dumps([row(JobExpectedResults=wanted, Weather="fine")]))
    (line,) = runner.check_file(path, KAI).differences
    assert "neither known input nor known expectation: Weather" in line


# -- reading


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"$ref": "constants.PriorityBuildNumber"}, 100, id="a constant"),
        pytest.param({"$ref": "pod_status.Running"}, "Running", id="a name that is its value"),
        pytest.param(
            {"$bin": "-", "x": {"$ref": "constants.PriorityTrainNumber"}, "y": 1}, 49, id="sums"
        ),
        pytest.param(
            {"$call": "ptr.To", "args": [{"$call": "int64", "args": [3]}]}, 3, id="pointers"
        ),
        pytest.param({"$ref": "numJobs"}, {"$ref": "numJobs"}, id="a variable stays"),
        pytest.param(
            [{"tasks_fake.NodeAffinityKey": "x"}], [{"kai.scheduler/type": "x"}], id="key"
        ),
    ],
)
def test_resolve(given, expected):
    assert resolve(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"a": [1, "x", None]}, False, id="plain"),
        pytest.param({"a": [{"$ref": "numJobs"}]}, True, id="a variable"),
        pytest.param({"$bin": "*", "x": {"$ref": "n"}, "y": 2}, True, id="a sum with one"),
        pytest.param({"$call": "buildNodes", "args": []}, True, id="a function"),
        pytest.param({"$call": "?", "args": []}, False, id="a closure that was written down"),
        pytest.param({"$call": "jobs_fake.DefaultSubGroup", "args": [1]}, False, id="known"),
    ],
)
def test_is_computed(given, expected):
    assert is_computed(given) is expected


@pytest.mark.parametrize(
    ("file", "case", "expected"),
    [
        pytest.param("actions/reclaim/x_test.go", {}, "reclaim", id="one action"),
        pytest.param("actions/integration_tests/preempt/x_test.go", {}, "rounds", id="all of them"),
        pytest.param("actions/integration_tests/numa/numa_test.go", {}, "numa", id="NUMA"),
        pytest.param("plugins/x/x_test.go", {}, "compared by code", id="none of the actions"),
        pytest.param("actions/reclaim/x_test.go", {"TestDRAObjects": {}}, "dra", id="claims"),
        pytest.param(
            "actions/reclaim/x_test.go",
            {"JobExpectedResults": {}},
            "compared by code",
            id="nothing expected",
        ),
    ],
)
def test_harness(file, case, expected):
    given = {"JobExpectedResults": {"j": {}}, **case}
    assert harness(f"pkg/scheduler/{file}", given) == expected


# -- comparing


def facts(status="Running", node="n", gpus=1.0):
    return PodFacts(status, node, gpus, gpus, 1000, 10**9)


def state(*pods, nodes=()):
    return State({"j": {f"j-{index}": pod for index, pod in enumerate(pods)}}, dict(nodes))


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        pytest.param({"Status": "Running", "GPUsRequired": 2}, True, id="all pods alike"),
        pytest.param({"Status": "Pending", "GPUsRequired": 2}, False, id="another status"),
        pytest.param({"Status": "Running", "GPUsRequired": 2, "NodeName": "m"}, False, id="node"),
        pytest.param({"Status": "Running", "GPUsRequired": 1}, False, id="the sum of the requests"),
        pytest.param({"Status": "Running"}, False, id="a number left out is zero"),
        pytest.param(
            {"Status": "Running", "GPUsRequired": 2, "MilliCpuRequired": 2001}, False, id="CPU"
        ),
        pytest.param(
            {"Status": "Running", "GPUsRequired": 2, "MemoryRequired": 2 * 10**9}, True, id="memory"
        ),
        pytest.param({"Status": "Running", "GPUsRequired": 2, "GPUsAccepted": 3}, False, id="held"),
        pytest.param({"Status": None, "GPUsRequired": 2}, False, id="no status"),
    ],
)
def test_wanted_jobs(wanted, holds):
    history = History([state(facts(), facts())])
    assert (history == WantedJobs({"j": wanted})) is holds
    assert WantedJobs({"other": wanted}) != history


def test_every_state_of_a_history_must_be_as_wanted():
    wanted = WantedPods({"j-0": {"Status": "Running", "GPUsRequired": 1}})
    good, bad = state(facts()), state(facts("Pending", ""))
    assert wanted == History([good, good])
    assert wanted != History([good, bad])
    assert wanted != good
    assert "changes in rounds [1]" in repr(History([good, bad]))


def test_wanted_nodes():
    history = History([state(nodes=[("n", (1.0, 2.0))])])
    assert WantedNodes({"n": {"IdleGPUs": 1, "ReleasingGPUs": 2}}) == history
    assert WantedNodes({"n": {"IdleGPUs": 1}}) != history
