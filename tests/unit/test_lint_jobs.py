"""Rules about failures and ends of jobs, held to what their examples do not show."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint import examine
from gpuyard.lint.rules.jobs import bare, failures, terminating, time
from gpuyard.lint.rules.samples import TRAIN, changed

MODULES = (bare, failures, terminating, time)
EXAMPLES = {rule.id: rule for module in MODULES for rule in module.RULES}


def messages(rule, text):
    """Return what one rule says of a text."""
    documents, _ = read(text, "a.yaml")
    return [one.message for one in examine(documents).findings if one.rule == rule]


def edited(text, old, new):
    """Return an example with a place changed that is there."""
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param(
            "JOB-BARE-POD", "metadata:", "status: {phase: Succeeded}\nmetadata:", id="done"
        ),
        pytest.param(
            "JOB-BARE-POD",
            "metadata:",
            "metadata:\n  labels: {kueue.x-k8s.io/pod-group-name: train}",
            id="of a group",
        ),
        pytest.param(
            "JOB-BARE-POD",
            "metadata:",
            "metadata:\n  ownerReferences: [{apiVersion: ray.io/v1, kind: RayCluster, name: r}]",
            id="made by another object",
        ),
        pytest.param(
            "JOB-BARE-POD", "metadata:", "metadata:\n  annotations: {helm.sh/hook: test}", id="test"
        ),
        pytest.param("JOB-DISRUPTIONS", "Never", "OnFailure", id="no pod fails"),
        pytest.param(
            "JOB-DISRUPTIONS",
            "backoffLimit: 3",
            "backoffLimitPerIndex: 1",
            id="each index has retries of its own",
        ),
        pytest.param(
            "JOB-REPLACEMENT", "completionMode: Indexed\n", "suspend: false\n", id="no rank"
        ),
        pytest.param(
            "JOB-REPLACEMENT",
            "  completions:",
            "  podFailurePolicy: {rules: [{action: Ignore}]}\n  completions:",
            id="with a policy Failed is the default",
        ),
        pytest.param("JOBSET-BACKOFF", "MASTER_ADDR", "MODEL", id="pods for themselves"),
        pytest.param("JOBSET-BACKOFF", "parallelism: 2", "parallelism: 1", id="one rank"),
        pytest.param(
            "JOBSET-BACKOFF",
            "backoffLimit: 6",
            "podFailurePolicy: {rules: [{action: FailJob}]}",
            id="a policy decides",
        ),
        pytest.param("JOBSET-IN-PLACE", "InPlaceRestart", "Recreate", id="not in place"),
        pytest.param(
            "JOBSET-RESTARTS",
            "restartStrategy: Recreate",
            "rules: [{action: RestartJobSet}]",
            id="rules decide",
        ),
        pytest.param("JOBSET-RESTARTS", "parallelism: 2", "parallelism: 1", id="one GPU"),
        pytest.param(
            "JOB-DEADLINE",
            "  labels:",
            "  labels:\n    kueue.x-k8s.io/max-exec-time-seconds: '3600'",
            id="Kueue ends it",
        ),
        pytest.param(
            "JOB-DEADLINE",
            "      subdomain:",
            "      activeDeadlineSeconds: 3600\n      subdomain:",
            id="its pods end",
        ),
        pytest.param("JOB-TERMINATING", '"Unknown"', '"True"', id="the node answers"),
        pytest.param("JOB-TERMINATING", "nvidia.com/gpu: 1", "cpu: 1", id="no GPU"),
        pytest.param(
            "JOB-TERMINATING",
            "  name: rank-0\n",
            "  name: rank-0\n  annotations: {kueue.x-k8s.io/safe-to-forcefully-delete: 'true'}\n",
            id="Kueue lets go of it",
        ),
    ],
)
def test_an_exception_is_left_alone(rule, old, new):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    assert messages(rule, edited(text, old, new)) == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("", "backoffLimit 6 (the default): the Job fails for good with 7 pods"),
        ("  backoffLimit: 0\n", "backoffLimit 0: the Job fails for good with the first pod"),
        ("  backoffLimit: 1\n", "backoffLimit 1: the Job fails for good with 2 pods"),
    ],
)
def test_how_many_losses_a_job_survives(limit, expected):
    text = changed(TRAIN, "  completions: 2\n", f"  completions: 2\n{limit}")
    (message,) = messages("JOB-DISRUPTIONS", text)
    assert message == f"{expected} evicted, preempted or lost with a node"


def test_a_rule_for_exit_codes_does_not_spare_disruptions():
    policy = "{rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}"
    text = changed(TRAIN, "  completions: 2\n", f"  completions: 2\n  podFailurePolicy: {policy}\n")
    found = [
        one
        for one in examine(read(text, "a").documents).found
        if one.finding.rule == "JOB-DISRUPTIONS"
    ]
    assert len(found) == 1
    assert found[0].edits == ()


def test_a_cron_job_and_a_kubeflow_job_have_deadlines_of_their_own():
    text = """\
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: train}
spec:
  runPolicy: {activeDeadlineSeconds: %s}
  pytorchReplicaSpecs:
    Worker: {template: {spec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}}}
"""
    assert messages("JOB-DEADLINE", text % "60") == []
    (message,) = messages("JOB-DEADLINE", text % "null")
    assert message == "nothing ends the PyTorchJob if it hangs, and it holds 1 GPU"
