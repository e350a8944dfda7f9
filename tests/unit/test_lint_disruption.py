"""Rules about evictions, grace and checkpoints, held to what their examples do not show."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.dialects.workloads import workload
from gpuyard.lint import examine
from gpuyard.lint.rules.disruption import (
    checkpoints,
    evictions,
    limits,
    machines,
    priorities,
    signals,
)
from gpuyard.lint.rules.nodes import scaling

MODULES = (checkpoints, evictions, limits, priorities, scaling, signals)
NOT_SAFE = "  annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: 'false'}\n"
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
    ("shell", "script", "kept"),
    [
        pytest.param("sh", "torchrun train.py", "", id="the only command replaces the shell"),
        pytest.param("sh", "cd /w && torchrun train.py", "torchrun", id="the last one does not"),
        pytest.param("bash", "cd /w && torchrun train.py", "", id="but in bash it does"),
        pytest.param("bash", "torchrun train.py | tee log", "torchrun", id="no end of a pipe"),
        pytest.param("bash", "torchrun train.py; echo done", "torchrun", id="not the last"),
        pytest.param("sh", "cd /w && exec torchrun train.py", "", id="exec"),
        pytest.param("sh", "trap stop TERM; torchrun train.py & wait $!", "", id="trap"),
        pytest.param("sh", "pip install x && python train.py", "python", id="a script that trains"),
        pytest.param("sh", "pip install x && python setup.py", "", id="a script that does not"),
        pytest.param("sh", "python -c 'import x'; nvidia-smi", "", id="a line of Python"),
        pytest.param("sh", "A=1 /opt/bin/vllm serve x; true", "vllm", id="with a variable before"),
        pytest.param("bash", "torchrun --n $(nproc | cat) t.py", "", id="a pipe in a substitution"),
        pytest.param("sh", "if x; then torchrun a.py; fi; echo", "", id="more than a list"),
        pytest.param("sh", "cat <<E > f\ntorchrun a.py\nE\n", "", id="a document"),
        pytest.param(
            "sh", "# torchrun\ncd /w\ntorchrun \\\n  --n 2 a.py\n", "torchrun", id="lines"
        ),
        pytest.param("sh", "nvidia-smi; sleep 1", "", id="nothing that trains"),
    ],
)
def test_whom_a_shell_keeps_from_its_signal(shell, script, kept):
    assert signals._kept_from_signal(shell, script) == kept


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ({"sleep": {"seconds": 20}}, 20),
        ({"exec": {"command": ["sleep", "20"]}}, 20),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 5; kill 1; sleep 10"]}}, 15),
        ({"exec": {"command": ["sh", "-c", "while busy; do sleep 5; done"]}}, None),
        ({"httpGet": {"path": "/drain"}}, None),
        ({}, None),
    ],
)
def test_how_long_a_hook_sleeps(hook, expected):
    assert signals._sleeps(hook) == expected


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def affinity(*values):
    expression = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": list(values)}
    terms = [{"matchExpressions": [expression]}]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"nodeSelector": {"cloud.google.com/gke-spot": "true"}}, 15),
        ({"nodeSelector": {"karpenter.sh/capacity-type": "spot"}}, 120),
        ({"nodeSelector": {"kubernetes.azure.com/scalesetpriority": "spot"}}, 30),
        ({"nodeSelector": {"karpenter.sh/capacity-type": "on-demand"}}, None),
        (affinity("spot"), 120),
        (affinity("spot", "on-demand"), None),
        ({"tolerations": [{"key": "cloud.google.com/gke-spot", "operator": "Exists"}]}, None),
    ],
)
def test_who_wants_a_spot_machine(spec, expected):
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    found = machines.spot(workload(value).pods[0])
    assert (found and found.notice) == expected


@pytest.mark.parametrize(
    ("field", "value", "total", "expected"),
    [
        ("maxUnavailable", 0, None, True),
        ("maxUnavailable", "0%", 4, True),
        ("maxUnavailable", 1, 1, False),
        ("minAvailable", 2, 2, True),
        ("minAvailable", 1, 2, False),
        ("minAvailable", 1, None, False),
        ("minAvailable", "100%", None, True),
        ("minAvailable", "90%", 5, True),
        ("minAvailable", "50%", 5, False),
        ("minAvailable", None, 5, False),
        ("minAvailable", "lots", 5, False),
    ],
)
def test_whether_a_budget_lets_anybody_go(field, value, total, expected):
    assert limits._allows_none(field, value, total) is expected


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param("CKPT-EPHEMERAL", "emptyDir: {}", "nfs: {server: a, path: /}", id="NFS"),
        pytest.param("CKPT-EPHEMERAL", "=/checkpoints/run-1", "=s3://bucket/run-1", id="a store"),
        pytest.param("CKPT-EPHEMERAL", "=/checkpoints/run-1", "=$CKPT", id="a variable"),
        pytest.param("CKPT-GRACE", "Seconds: 30", "Seconds: 60", id="time enough"),
        pytest.param("CKPT-GRACE", "--checkpoint-dir=/checkpoints/run-1", "--lr=1", id="none"),
        pytest.param("CKPT-GRACE", "- python", "- torchrun", id="torchrun has a time of its own"),
        pytest.param(
            "SPOT-NO-STORE",
            "          resources:",
            "          env: [{name: OUT, value: 'gs://bucket/run'}]\n          resources:",
            id="writes to a store",
        ),
        pytest.param(
            "SPOT-NO-STORE",
            "          resources:",
            "          envFrom: [{secretRef: {name: store}}]\n          resources:",
            id="may write to a store",
        ),
        pytest.param("SPOT-NO-STORE", "emptyDir: {}", "hostPath: {path: /mnt}", id="a host path"),
        pytest.param("SPOT-GRACE", "Seconds: 600", "Seconds: 100", id="within the notice"),
        pytest.param(
            "SPOT-GRACE", "capacity-type: spot", "capacity-type: on-demand", id="not spot"
        ),
        pytest.param(
            "EVICT-UNPROTECTED", "karpenter.sh/nodepool", "pool", id="no autoscaler shows"
        ),
        pytest.param(
            "EVICT-UNPROTECTED",
            "        team: research",
            '        cluster-autoscaler.kubernetes.io/safe-to-evict: "false"',
            id="marked for the other autoscaler",
        ),
        pytest.param("EVICT-MISPLACED", "batch/v1", "example.com/v1", id="not a kind we know"),
        pytest.param(
            "EVICT-MISPLACED",
            "    spec:\n      subdomain",
            '    metadata: {annotations: {karpenter.sh/do-not-disrupt: "true"}}\n'
            "    spec:\n      subdomain",
            id="on the pods too",
        ),
        pytest.param(
            "EVICT-OLD-NAME",
            "        karpenter.sh/do-not-evict",
            '        karpenter.sh/do-not-disrupt: "true"\n        karpenter.sh/do-not-evict',
            id="both names",
        ),
        pytest.param("EVICT-BUDGET", "nvidia.com/gpu", "cpu", id="no GPUs"),
        pytest.param("EVICT-BUDGET", "replicas: 2", "replicas: 3", id="one may go"),
        pytest.param(
            "GRACE-AUTOSCALER",
            "      subdomain:",
            "      nodeSelector: {karpenter.sh/nodepool: a}\n      subdomain:",
            id="Karpenter waits",
        ),
        pytest.param("GRACE-NODE-POOL", "nodepool: gpus", "nodepool: other", id="another pool"),
        pytest.param("GRACE-NODE-POOL", "Period: 1m", "Period: 1h30m", id="time enough"),
        pytest.param(
            "GRACE-NODE-POOL",
            "Period: 1m",
            "Period: 48h",
            id="longer than any grace",
        ),
        pytest.param("GRACE-PRESTOP", '"60"', '"20"', id="time is left"),
        pytest.param("GRACE-SHELL", "        - sh\n", "        - bash\n", id="bash"),
        pytest.param("GRACE-SHELL", "command:", "args:", id="an entrypoint comes before it"),
        pytest.param(
            "GRACE-SHELL", "spec:\n", "spec:\n  shareProcessNamespace: true\n", id="not the first"
        ),
        pytest.param("GRACE-TORCHRUN", "- torchrun", "- python", id="no torchrun"),
        pytest.param("GRACE-TORCHRUN", "--nnodes=2", "--shutdown-timeout=290", id="told"),
        pytest.param(
            "GRACE-TORCHRUN",
            "          resources:",
            "          env: [{name: TORCH_ELASTIC_SHUTDOWN_TIMEOUT, value: '290'}]\n"
            "          resources:",
            id="told by a variable",
        ),
        pytest.param("PRIORITY-UNKNOWN", "trainings", "system-node-critical", id="built in"),
        pytest.param("PRIORITY-EXPENDABLE", "value: -100", "value: -10", id="just not"),
        pytest.param("NODE-GPU-LABEL", "aws:///", "metal:///", id="no cloud that we know"),
        pytest.param("NODE-GPU-LABEL", "team: a", "karpenter.sh/nodepool: a", id="Karpenter's"),
        pytest.param(
            "NODE-HELD",
            "image: registry.example/shell:1.0",
            "image: registry.example/shell:1.0\n      resources: {limits: {nvidia.com/gpu: 1}}",
            id="the node has work",
        ),
        pytest.param(
            "NODE-HELD",
            "  name: debug",
            "  ownerReferences: [{kind: DaemonSet, name: d}]\n  name: debug",
            id="a DaemonSet's",
        ),
    ],
)
def test_an_exception_is_left_alone(rule, old, new):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    assert messages(rule, edited(text, old, new)) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("  name: debug", "Pod debug has no controller"),
        (
            f"  ownerReferences: [{{kind: ReplicaSet, name: d}}]\n{NOT_SAFE}  name: debug",
            "Pod debug is not safe to evict",
        ),
    ],
)
def test_why_a_node_is_not_removed(change, reason):
    text = edited(EXAMPLES["NODE-HELD"].failing, "  name: debug", change)
    (message,) = messages("NODE-HELD", text)
    assert message == f"node gpu-0 with 8 idle GPUs is not removed: {reason}"


@pytest.mark.parametrize(
    ("volume", "expected"),
    [("emptyDir: {}", 1), ("hostPath: {path: /x}", 1), ("emptyDir: {medium: Memory}", 0)],
)
def test_local_storage_holds_a_node(volume, expected):
    text = edited(
        EXAMPLES["NODE-HELD"].failing,
        "  name: debug",
        "  ownerReferences: [{kind: ReplicaSet, name: d}]\n  name: debug",
    )
    text = edited(
        text, "  nodeName: gpu-0\n", f"  nodeName: gpu-0\n  volumes: [{{name: v, {volume}}}]\n"
    )
    assert len(messages("NODE-HELD", text)) == expected


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [
        pytest.param("", 1, id="it may run for ever"),
        pytest.param("  activeDeadlineSeconds: 172801\n", 1, id="longer than its node"),
        pytest.param("  activeDeadlineSeconds: 172800\n", 0, id="it has ended by then"),
    ],
)
def test_a_pod_that_is_not_to_be_disrupted_on_a_node_that_ends(deadline, expected):
    text = EXAMPLES["GRACE-NODE-POOL"].passing
    text = text.replace("team: research", 'karpenter.sh/do-not-disrupt: "true"')
    text = text.replace("  parallelism: 2\n", f"{deadline}  parallelism: 2\n")
    found = examine(read(text, "a.yaml").documents).findings
    assert [one.rule for one in found].count("GRACE-NODE-POOL") == expected
