"""Rules are found by the table, by their id, and no earlier than they are needed."""

import sys

import pytest

from gpuyard.lint import catalogue
from gpuyard.lint.rule import is_at_least
from gpuyard.lint.wording import count
from tests.program import run


def test_what_files_can_decide_is_a_part_of_all():
    some, every = catalogue.rules(for_cluster=False), catalogue.rules()
    assert set(some) < set(every)
    assert {rule.needs for rule in set(every) - set(some)} <= {"cluster", "node"}


@pytest.mark.parametrize("name", ["GPU-SHM", "gpu-shm", "NODE-UNTAINTED"])
def test_a_rule_is_found_by_its_id_in_any_case(name):
    assert catalogue.rule(name).id == name.upper()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gpu-shn", "unknown rule 'gpu-shn'; did you mean GPU-SHM?"),
        ("NODE-UNTAINT", "unknown rule 'NODE-UNTAINT'; did you mean NODE-UNTAINTED?"),
        ("", "unknown rule ''; gpuyard explain lists them"),
    ],
)
def test_an_unknown_rule_is_named_with_what_was_meant(name, sentence):
    with pytest.raises(catalogue.UnknownRuleError) as error:
        catalogue.rule(name)
    assert str(error.value) == sentence


def test_rules_about_a_cluster_are_not_imported_for_files(tmp_path):
    code = (
        "import sys; from gpuyard.lint import Text, catalogue, check; "
        "check([Text('a.yaml', 'a: [')]); catalogue.rule('GPU-SHM'); "
        f"print([name for name in {catalogue.CLUSTER_MODULES!r} "
        "if f'gpuyard.lint.rules.{name}' in sys.modules])"
    )
    done = run(cwd=tmp_path, program=(sys.executable, "-c", code))
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("severity", "threshold", "expected"),
    [("error", "warning", True), ("warning", "warning", True), ("info", "warning", False)],
)
def test_is_at_least(severity, threshold, expected):
    assert is_at_least(severity, threshold) is expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((1, "GPU"), "1 GPU"),
        ((0, "GPU"), "0 GPUs"),
        ((2, "GPU"), "2 GPUs"),
        ((2, "class", "classes"), "2 classes"),
        ((1, "class", "classes"), "1 class"),
    ],
)
def test_count(args, expected):
    assert count(*args) == expected
