"""What a baseline knows, and what is new all the same."""

import msgspec
import pytest

from gpuyard.lint.baseline import (
    Baseline,
    BaselineError,
    baseline_of,
    read_baseline,
    without_known,
    write_baseline,
)
from gpuyard.lint.rule import Finding
from gpuyard.lint.run import Located, Outcome

OLD = Finding(
    rule="GPU-SHM",
    severity="error",
    file="a.yaml",
    line=5,
    column=9,
    object="Job train",
    message="4 GPUs",
    remedy="mount",
)


def fresh(findings, baseline):
    """Return what stays of `findings`, and hold the counts to it."""
    outcome = without_known(Outcome([Located(finding=one) for one in findings], 1, 0), baseline)
    assert outcome.in_baseline == len(findings) - len(outcome.findings)
    return outcome.findings


def changed(**fields):
    return msgspec.structs.replace(OLD, **fields)


@pytest.mark.parametrize(
    ("now", "new"),
    [
        pytest.param([OLD], [], id="the same"),
        pytest.param([changed(line=50, column=1)], [], id="lines move"),
        pytest.param([changed(message="8 GPUs", severity="info")], [], id="numbers change"),
        pytest.param([changed(rule="GPU-PDB")], [0], id="another rule"),
        pytest.param([changed(file="b.yaml")], [0], id="another file"),
        pytest.param([changed(object="Job tune")], [0], id="another object"),
        pytest.param([OLD, changed(line=9)], [1], id="one more of the same"),
        pytest.param([], [], id="nothing is found any more"),
    ],
)
def test_only_what_is_new_remains(now, new):
    assert fresh(now, baseline_of([OLD])) == [now[index] for index in new]


def test_what_is_written_is_read_again_and_does_not_depend_on_order():
    findings = [OLD, changed(line=9), changed(file="b.yaml"), changed(rule="GPU-A")]
    text = write_baseline(baseline_of(findings))
    assert text == write_baseline(baseline_of(reversed(findings)))
    assert fresh(findings, read_baseline(text.encode(), "known.json")) == []
    assert '"count": 2' in text
    assert text.endswith("}\n")


def test_an_empty_baseline_knows_nothing():
    assert fresh([OLD], Baseline()) == [OLD]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"format": "gpuyard-baseline/2"}', b'{"knwon": []}', b"\xff", b"null"],
)
def test_another_file_is_refused_in_one_sentence(text):
    with pytest.raises(BaselineError, match=r"known\.json: not a baseline .*--write-baseline") as e:
        read_baseline(text, "known.json")
    assert "\n" not in str(e.value)
