"""kube-scheduler's own test cases pass, and none of them would pass if it said something else."""

import pytest

from verification.oracles import rows, runner
from verification.oracles.__main__ import files_of, lines_of, main
from verification.oracles.kube_scheduler import KUBE_SCHEDULER
from verification.oracles.rows import Kind, OutOfScopeError, Outside, Test as Rows

NUMBER = Kind(lambda wanted: wanted, 1)


@pytest.fixture
def folder(data_dir):
    return data_dir / "oracles" / "kube_scheduler"


def test_every_row_in_scope_passes(folder):
    findings = [runner.check_file(path, KUBE_SCHEDULER) for path in files_of([folder])]
    said = [line for found in findings for line in lines_of(found) if not found.is_fine]
    assert said == []
    assert sum(found.passed for found in findings) >= 720
    assert sum(found.altered for found in findings) >= 3300
    assert not any(found.later for found in findings)


def test_the_program_says_so(folder, capsys):
    assert main(["kube-scheduler", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "nodename.jsonl.gz passed 3, failed 0, out of scope 0" in printed
    assert "topologyaware.jsonl.gz passed 8, failed 0, out of scope 0" in printed
    assert printed[-1].startswith("all files: passed ")


def test_a_file_with_rows_not_attempted_fails_when_asked_for_by_name(tmp_path):
    path = tmp_path / "new.jsonl"
    path.write_text('{"test": "TestNew", "name": "n", "case": {}}\n')
    assert main(["kube-scheduler", str(tmp_path)]) == 0
    assert main(["kube-scheduler", str(path)]) == 1


def test_without_a_path_the_published_folder_is_taken(folder, monkeypatch, capsys):
    monkeypatch.setenv("GPUYARD_DATA", str(folder.parents[1]))
    monkeypatch.setattr("verification.oracles.__main__.check_file", check_first)
    main(["kube-scheduler"])
    assert f"passed {len(list(folder.glob('*.jsonl*')))}," in capsys.readouterr().out


def test_without_a_path_or_data_it_says_what_to_give(monkeypatch, capsys):
    monkeypatch.delenv("GPUYARD_DATA", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(["kube-scheduler"])
    assert stopped.value.code == 2
    assert "or set GPUYARD_DATA" in capsys.readouterr().err


def check_first(path, adapter):
    """Stand in for the check of a file: one row, and it passed."""
    return runner.Findings(path.name, passed=1)


# -- the runner itself


def doubled(row):
    return {"want": 2 * row.case["given"]}


def check(case, test=None, context=None):
    raw = {"test": "T", "name": "n", "case": case, "context": context or {}}
    known = test or Rows(doubled, frozenset({"given"}), {"want": NUMBER})
    return runner.check_row(raw, known, frozenset({"seen"}))


def test_a_right_answer_passes_and_its_alteration_does_not():
    judged = check({"given": 2, "want": 4})
    assert judged == ([], 1, [])


def test_a_wrong_answer_fails():
    judged = check({"given": 2, "want": 5})
    assert judged.differences == ["want: expected 5, got 4"]
    assert check({"given": 2, "want": 3}).unnoticed == ["want was altered to 4, and it passed"]


@pytest.mark.parametrize(
    ("case", "context"),
    [({"given": 1, "want": 2, "more": 3}, {}), ({"given": 1, "want": 2}, {"unseen": 1})],
    ids=["field", "context"],
)
def test_an_unknown_field_is_an_error(case, context):
    with pytest.raises(ValueError, match="neither known input nor known expectation"):
        check(case, context=context)


def test_the_adapter_never_sees_an_expectation():
    def curious(row):
        assert row.case == {"given": 1, "pairs": [{"p": 1}]}
        return {"want": 2, "pairs": [5]}

    fields = frozenset({"given", "pairs"})
    test = Rows(curious, fields, {"want": NUMBER}, both={"pairs": "expected"})
    judged = check({"given": 1, "want": 2, "pairs": [{"p": 1, "expected": 5}]}, test)
    assert judged == ([], 2, [])


def test_what_is_not_answered_fails_unless_it_comes_late():
    test = Rows(lambda _: {"want": 1}, frozenset(), {"want": NUMBER, "then": NUMBER})
    case = {"want": 1, "then": None}
    assert check(case, test).differences == ["then: expected None, and no answer was given"]
    assert check(case, test._replace(late=frozenset({"then"}))).differences == []


def test_a_comparison_that_overlooks_something_is_found():
    blind = Kind(lambda wanted: wanted["a"], 1)
    test = Rows(lambda _: {"want": 1}, frozenset(), {"want": blind})
    assert check({"want": {"a": 1, "b": 2}}, test).unnoticed == [
        "want was altered to {'a': 1, 'b': 3}, and it passed"
    ]
    nothing = Rows(lambda _: {}, frozenset(), {"want": NUMBER}, late=frozenset({"want"}))
    assert check({"want": 1}, nothing).unnoticed == ["nothing was compared"]


@pytest.mark.parametrize(
    ("expected", "altered"),
    [
        (None, [1]),
        ([], [1]),
        (3, [4]),
        (True, [False]),
        ("Queue", ["QueueSkip"]),
        ("text", ["text altered"]),
        ([1, 2], [[2, 2], [1, 3]]),
        ({"a": 1, "skipped": 1}, [{"a": 2, "skipped": 1}]),
        ({"a": None}, [{"a": 1}]),
    ],
)
def test_alterations(expected, altered):
    kind = NUMBER._replace(skips=frozenset({"skipped"}))
    assert list(rows.alterations(expected, kind)) == altered


def test_too_much_out_of_scope_is_not_fine(tmp_path):
    def refuse(row):
        if row.case["given"]:
            raise OutOfScopeError(Outside.DRA)
        return {"want": 0}

    test = Rows(refuse, frozenset({"given"}), {"want": NUMBER})
    adapter = rows.Adapter({("f", "T"): test})
    path = tmp_path / "f.jsonl"
    line = '{"test": "T", "name": "n", "case": {"given": %d, "want": 0}}\n'
    path.write_text(line % 0 + line % 1)
    found = runner.check_file(path, adapter)
    assert (found.passed, found.outside.total(), found.is_fine) == (1, 1, False)
    assert list(lines_of(found))[-1] == "  50 % are out of scope, at most 35 % may be"


def test_a_row_of_an_unknown_test_is_not_attempted(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"test": "T", "name": "n", "case": {}}\n')
    found = runner.check_file(path, rows.Adapter({}))
    assert list(lines_of(found)) == [
        "f.jsonl passed 0, failed 0, out of scope 0, not attempted 1",
        "  not attempted: 1 T",
    ]


def test_a_row_with_an_unknown_field_fails(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"test": "T", "name": "n", "case": {"other": 1, "want": 0}}\n')
    test = Rows(lambda _: {"want": 0}, frozenset({"given"}), {"want": NUMBER})
    found = runner.check_file(path, rows.Adapter({("f", "T"): test}))
    assert found.failed == 1
