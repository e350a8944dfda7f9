"""What somebody has accepted, and what only looks as if."""

import pytest

from gpuyard.lint import Settings, Text, examine, read_texts
from tests.small_lint import only

JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
  annotations: {OBJECT}
spec:
  template:
    metadata:
      annotations: {POD}
    spec:
      # ABOVE
      containers:
        # RIGHT ABOVE
        - image: registry.example/trainer:1.4
          # OVER
          resources: # BESIDE
            limits: {nvidia.com/gpu: 2}
"""
SLOTS = ("OBJECT", "POD", "RIGHT ABOVE", "ABOVE", "OVER", "BESIDE")


def job(**filled):
    text = JOB
    for slot in SLOTS:
        text = text.replace(slot, filled.get(slot.replace(" ", "_"), ""))
    return text


def outcome(text, settings=None):
    given = read_texts([Text("a.yaml", text)])
    assert not given.problems
    return examine(given.documents, settings=settings or only("GPU-SHM", "GPU-LIMITS"))


@pytest.mark.parametrize(
    ("filled", "rules", "suppressed"),
    [
        pytest.param({}, ["GPU-SHM"], 0, id="nothing"),
        pytest.param({"OBJECT": "ignore.gpuyard.io/GPU-SHM: why"}, [], 1, id="on the object"),
        pytest.param({"OBJECT": "ignore.gpuyard.io/gpu-shm: why"}, [], 1, id="in small letters"),
        pytest.param({"POD": "ignore.gpuyard.io/GPU-SHM: why"}, [], 1, id="on the pod template"),
        pytest.param(
            {"OBJECT": "ignore.gpuyard.io/GPU-LIMITS: why"}, ["GPU-SHM"], 0, id="another rule"
        ),
        pytest.param(
            {"OBJECT": 'ignore.gpuyard.io/GPU-SHM: ""'},
            ["LINT-REASON", "GPU-SHM"],
            0,
            id="no reason",
        ),
        pytest.param(
            {"POD": "ignore.gpuyard.io/GPU-SHM: 3"},
            ["LINT-REASON", "GPU-SHM"],
            0,
            id="a reason that is no text",
        ),
        pytest.param(
            {"OBJECT": "ignore.gpuyard.io/GPU-SHN: why"},
            ["LINT-UNKNOWN-RULE", "GPU-SHM"],
            0,
            id="a rule that is not there",
        ),
        pytest.param({"OBJECT": "gpuyard.io/other: x"}, ["GPU-SHM"], 0, id="another annotation"),
        pytest.param({"BESIDE": "gpuyard:ignore GPU-SHM: why"}, [], 1, id="beside"),
        pytest.param({"OVER": "gpuyard:ignore GPU-SHM: why"}, [], 1, id="on the line above"),
        pytest.param(
            {"RIGHT_ABOVE": "gpuyard:ignore GPU-SHM: why"},
            ["GPU-SHM"],
            0,
            id="above another line",
        ),
        pytest.param(
            {"BESIDE": "gpuyard:ignore GPU-LIMITS, GPU-SHM: why"}, [], 1, id="one of two rules"
        ),
        pytest.param(
            {"BESIDE": "gpuyard:ignore GPU-SHM"},
            ["GPU-SHM", "LINT-REASON"],
            0,
            id="a comment without a reason",
        ),
        pytest.param(
            {"BESIDE": "gpuyard:ignore GPU-SHN: why"},
            ["GPU-SHM", "LINT-UNKNOWN-RULE"],
            0,
            id="a comment for a rule that is not there",
        ),
        pytest.param(
            {"BESIDE": "gpuyard:ignore : why"},
            ["GPU-SHM", "LINT-UNKNOWN-RULE"],
            0,
            id="a comment for no rule",
        ),
    ],
)
def test_what_is_accepted(filled, rules, suppressed):
    found = outcome(job(**filled))
    assert [one.rule for one in found.findings] == rules
    assert found.suppressed == suppressed


def test_a_comment_behind_a_value_says_nothing_of_the_next_line():
    text = job().replace("name: trainer\n", "name: trainer # gpuyard:ignore GPU-SHM: why\n")
    text = text.replace("          # \n", "")
    assert [one.rule for one in outcome(text).findings] == ["GPU-SHM"]


def test_several_comments_above_a_line_all_count():
    stacked = "gpuyard:ignore GPU-SHM: why\n          # gpuyard:ignore GPU-LIMITS: why not"
    assert outcome(job(OVER=stacked)).findings == []


def test_an_annotation_on_one_template_is_not_about_another():
    pod = """\
        {name}:
          template:
            metadata:
              annotations: {{{annotation}}}
            spec:
              containers:
                - name: c
                  resources:
                    limits: {{nvidia.com/gpu: 2}}
"""
    text = (
        "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: t}\n"
        "spec:\n    pytorchReplicaSpecs:\n"
        + pod.format(name="Master", annotation="ignore.gpuyard.io/GPU-SHM: why")
        + pod.format(name="Worker", annotation="")
    )
    found = outcome(text)
    assert [(one.rule, one.line) for one in found.findings] == [("GPU-SHM", 22)]
    assert found.suppressed == 1


def test_a_wrong_comment_is_reported_once_for_a_file_of_many_objects():
    text = "---\n".join([job(BESIDE="gpuyard:ignore GPU-SHN: why"), job(), job()])
    rules = [one.rule for one in outcome(text).findings]
    assert rules.count("LINT-UNKNOWN-RULE") == 1


def test_what_is_wrong_with_a_suppression_can_be_switched_off_but_not_suppressed():
    text = job(OBJECT='ignore.gpuyard.io/GPU-SHM: "", ignore.gpuyard.io/LINT-REASON: why')
    assert [one.rule for one in outcome(text).findings] == ["LINT-REASON", "GPU-SHM"]
    others = only("GPU-SHM", "GPU-LIMITS").severities
    settings = Settings(severities={**others, "LINT-REASON": "off"})
    assert [one.rule for one in outcome(text, settings).findings] == ["GPU-SHM"]


def test_the_message_says_what_was_probably_meant():
    (first, _) = outcome(job(OBJECT="ignore.gpuyard.io/GPU-SHN: why")).findings
    assert first.message == (
        "nothing is ignored here: unknown rule 'GPU-SHN'; did you mean GPU-SHM?"
    )
    assert (first.line, first.column) == (5, 17)
