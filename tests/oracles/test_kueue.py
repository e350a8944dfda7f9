"""Kueue's own test cases about quota pass, and none would pass if it said something else."""

import pytest

from gpuyard.dialects import kueue
from verification.oracles import rows, runner
from verification.oracles.__main__ import files_of, lines_of, main
from verification.oracles.kueue import CACHE_TESTS, CONTEXT_INPUTS, KUEUE
from verification.oracles.kueue.quota import BORROWER, LENDER


@pytest.fixture
def folder(data_dir):
    return data_dir / "oracles" / "kueue"


def test_every_row_in_scope_passes(folder):
    findings = [runner.check_file(path, KUEUE) for path in files_of([folder])]
    said = [line for found in findings for line in lines_of(found) if not found.is_fine]
    assert said == []
    assert sum(found.passed for found in findings) >= 26
    assert sum(found.altered for found in findings) >= 200


def test_the_program_says_so(folder, capsys):
    assert main(["kueue", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "kueue_quota_fairshare.jsonl.gz passed 26, failed 0, out of scope 0" in printed
    assert "kueue_schedule.jsonl.gz not attempted (later issue)" in printed
    assert printed[-1].startswith("all files: passed ")


def test_a_file_of_a_later_issue_asked_for_by_name_fails(folder):
    assert main(["kueue", str(folder / "kueue_schedule.jsonl.gz")]) == 1


def test_adding_and_removing_workloads(folder):
    """These rows lie among others and take their objects from the fixtures."""
    fixtures = {
        each["test"]: {name: each["fixtures"][name] for name in ("clusterQueues", "workloads")}
        for each in rows.read(folder / "kueue_fixtures.jsonl.gz")
        if each["test"] in CACHE_TESTS
    }
    judged = [
        runner.check_row(
            {**raw, "context": fixtures[raw["test"]]}, CACHE_TESTS[raw["test"]], CONTEXT_INPUTS
        )
        for raw in rows.read(folder / "kueue_cache_other.jsonl.gz")
        if raw["test"] in CACHE_TESTS
    ]
    assert [line for one in judged for line in one.differences] == []
    assert [line for one in judged for line in one.unnoticed] == []
    assert len(judged) >= 10
    assert sum(one.altered for one in judged) >= 90


def test_the_queues_that_a_test_builds_itself_are_those_of_the_adapter(folder):
    setups = [
        raw["setup"]
        for raw in rows.read(folder / "kueue_quota_fairshare.jsonl.gz")
        if raw["test"] == "TestIsBorrowingOn"
    ]
    for setup in setups:
        for ours, theirs in ((BORROWER, setup["cq"]), (LENDER, setup["lendingCQ"])):
            mine, other = kueue.cluster_queue(ours), kueue.cluster_queue(theirs)
            assert mine.resource_groups == other.resource_groups
            assert (mine.name, mine.cohort, mine.fair_weight_nano) == (
                other.name,
                other.cohort,
                other.fair_weight_nano,
            )
    assert setups
