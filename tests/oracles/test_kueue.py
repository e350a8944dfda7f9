"""Kueue's own test cases pass, and none would pass if it said something else."""

import pytest

from verification.oracles import runner
from verification.oracles.__main__ import files_of, lines_of, main
from verification.oracles.kueue import KUEUE

PASSED = {
    "kueue_cache_other": 66,
    "kueue_fixtures": 0,
    "kueue_flavorassigner": 127,
    "kueue_preemption_ordering": 39,
    "kueue_queue": 90,
    "kueue_quota_fairshare": 26,
    "kueue_schedule": 48,
    "kueue_schedule_afs": 11,
    "kueue_schedule_fairsharing": 20,
    "kueue_schedule_other": 50,
    "kueue_schedule_tas": 75,
    "kueue_tas_balanced_placement": 15,
    "kueue_tas_snapshot": 53,
}
OUTSIDE_MAX_PCT = {"kueue_cache_other": 22}  # external admission checks and metrics
OUTSIDE_MAX_PCT_OF_OTHERS = 15


@pytest.fixture
def folder(data_dir):
    return data_dir / "oracles" / "kueue"


@pytest.mark.parametrize("name", PASSED)
def test_every_row_in_scope_passes(folder, name):
    found = runner.check_file(folder / f"{name}.jsonl.gz", KUEUE)
    assert [line for line in lines_of(found) if not found.is_fine] == []
    assert found.passed >= PASSED[name]
    assert not found.later, "rows that nobody attempted"
    assert found.outside_pct <= OUTSIDE_MAX_PCT.get(name, OUTSIDE_MAX_PCT_OF_OTHERS)
    assert found.altered >= found.passed


def test_no_file_is_left_out(folder):
    assert sorted(path.name for path in files_of([folder])) == [
        f"{name}.jsonl.gz" for name in sorted(PASSED)
    ]


def test_the_program_says_so(folder, capsys):
    assert main(["kueue", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "kueue_quota_fairshare.jsonl.gz passed 26, failed 0, out of scope 0" in printed
    assert "not attempted" not in printed
    assert printed.splitlines()[-1].startswith("all files: passed ")


def test_a_file_with_rows_not_attempted_fails_when_asked_for_by_name(tmp_path, capsys):
    path = tmp_path / "kueue_queue.jsonl"
    path.write_text('{"test": "TestOfTomorrow", "name": "any", "case": {}}')
    assert main(["kueue", str(path)]) == 1
    assert "  not attempted: 1 TestOfTomorrow" in capsys.readouterr().out.splitlines()
