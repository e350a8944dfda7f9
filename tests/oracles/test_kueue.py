"""Kueue's own test cases pass, and none would pass if it said something else."""

import pytest

from verification.oracles import runner
from verification.oracles.__main__ import files_of, lines_of, main
from verification.oracles.kueue import KUEUE


@pytest.fixture
def folder(data_dir):
    return data_dir / "oracles" / "kueue"


def test_every_row_in_scope_passes(folder):
    findings = [runner.check_file(path, KUEUE) for path in files_of([folder])]
    said = [line for found in findings for line in lines_of(found) if not found.is_fine]
    assert said == []
    assert sum(found.passed for found in findings) >= 36
    assert sum(found.altered for found in findings) >= 290


def test_the_program_says_so(folder, capsys):
    assert main(["kueue", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "kueue_quota_fairshare.jsonl.gz passed 26, failed 0, out of scope 0" in printed
    assert "  not attempted: 53 TestSchedule" in printed
    assert printed[-1].startswith("all files: passed ")


def test_a_file_with_rows_not_attempted_fails_when_asked_for_by_name(folder):
    assert main(["kueue", str(folder / "kueue_schedule.jsonl.gz")]) == 1
