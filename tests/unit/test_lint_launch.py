"""Rules about how ranks find each other, held to the exceptions that their examples do not show."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.dialects.workloads import workload
from gpuyard.lint import examine
from gpuyard.lint.rules.launch import addresses, host_network, rendezvous, sizes
from gpuyard.lint.rules.launch.torchrun import is_distributed, launches, number
from gpuyard.lint.rules.samples import TRAIN, changed

MODULES = (addresses, host_network, rendezvous, sizes)
EXAMPLES = {rule.id: rule for module in MODULES for rule in module.RULES}
RANK = "            - --node_rank=$(JOB_COMPLETION_INDEX)\n"


def messages(rule, text):
    """Return what one rule says of a text."""
    documents, _ = read(text, "a.yaml")
    return [one.message for one in examine(documents).findings if one.rule == rule]


def edited(text, old, new):
    """Return an example with a place changed that is there."""
    assert old in text
    return text.replace(old, new)


def pod_of(command, **container):
    """Return the view of a Pod with one container."""
    spec = {"containers": [{"name": "c", "command": command, **container}]}
    return workload(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    ).pods[0]


@pytest.mark.parametrize(
    ("command", "env", "nodes", "processes", "backend"),
    [
        pytest.param(["torchrun", "train.py"], {}, (1, 1), None, "static", id="nothing is said"),
        pytest.param(
            ["torchrun", "--nnodes", "4", "--nproc-per-node=8", "t.py"], {}, (4, 4), 8, "static",
            id="both spellings",
        ),
        pytest.param(
            ["sh", "-c", "cd /w && exec torchrun --nnodes=1:4 --rdzv_backend c10d t.py | tee log"],
            {}, (1, 4), None, "c10d", id="in a script",
        ),
        pytest.param(
            ["python", "-m", "torch.distributed.run", "--nnodes=$NNODES", "t.py"], {}, None, None,
            "static", id="a variable",
        ),
        pytest.param(
            ["torchrun", "t.py"],
            {"PET_NNODES": "3", "PET_NPROC_PER_NODE": "2", "PET_RDZV_BACKEND": "c10d"},
            (3, 3), 2, "c10d", id="in the environment",
        ),
        pytest.param(
            ["torchrun", "--nnodes=2", "t.py"], {"PET_NNODES": "3"}, (2, 2), None, "static",
            id="the command line wins",
        ),
        pytest.param(
            ["torchrun", "--standalone", "--nnodes=2", "t.py"], {}, (1, 1), None, "c10d",
            id="alone",
        ),
        pytest.param(
            ["torchrun", "train.py", "--nnodes=7"], {}, (1, 1), None, "static",
            id="the script's own options",
        ),
    ],
)  # fmt: skip
def test_what_torchrun_was_told(command, env, nodes, processes, backend):
    variables = [{"name": name, "value": value} for name, value in env.items()]
    (found,) = launches(pod_of(command, env=variables))
    assert found.nodes == nodes
    assert number(found.option("nproc_per_node")) == processes
    assert found.backend == backend


@pytest.mark.parametrize(
    ("command", "more", "expected"),
    [
        (["torchrun", "--nnodes=2", "t.py"], {}, True),
        (["torchrun", "--nnodes=2", "$ARGS", "t.py"], {}, False),
        (["torchrun", "--nnodes", "$NNODES", "t.py"], {}, True),
        (["sh", "-c", "torchrun --nnodes=2 ${ARGS[@]} t.py"], {}, False),
        (["torchrun", "t.py"], {"envFrom": [{"configMapRef": {"name": "torch"}}]}, False),
    ],
)
def test_whether_an_option_may_be_hidden(command, more, expected):
    (found,) = launches(pod_of(command, **more))
    assert found.is_certain is expected


def test_two_calls_in_one_container_are_not_judged():
    assert not list(launches(pod_of(["sh", "-c", "torchrun a.py; torchrun b.py"])))


@pytest.mark.parametrize(
    ("command", "env", "expected"),
    [
        (["python", "train.py"], [], False),
        (["torchrun", "--nproc_per_node=8", "train.py"], [], False),
        (["torchrun", "--nnodes=2", "train.py"], [], True),
        (["mpirun", "-n", "8", "./all_reduce_perf"], [], True),
        (["python", "train.py"], [{"name": "MASTER_ADDR", "value": "a"}], True),
    ],
)
def test_what_shows_that_a_pod_works_with_others(command, env, expected):
    assert is_distributed(pod_of(command, env=env)) is expected


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param("LAUNCH-PROCESSES", "=16", "=gpu", id="as many as there are"),
        pytest.param("LAUNCH-PROCESSES", "=16", "=$(GPUS)", id="a variable"),
        pytest.param(
            "LAUNCH-PROCESSES", "nvidia.com/gpu: 8", "nvidia.com/gpu.shared: 8", id="shares"
        ),
        pytest.param(
            "LAUNCH-PROCESSES",
            "nvidia.com/gpu",
            "aws.amazon.com/neuron",
            id="a Neuron device has several cores",
        ),
        pytest.param("LAUNCH-IDLE-GPUS", "=4", "=auto", id="all there are"),
        pytest.param("LAUNCH-NODES", "=4", "=1:4", id="elastic"),
        pytest.param("LAUNCH-NODES", "=4", "=1", id="each pod for itself"),
        pytest.param("LAUNCH-NODES", "=4", "=${NODES}", id="a variable"),
        pytest.param("LAUNCH-NODES", "--nnodes=4", "--standalone", id="alone"),
        pytest.param(
            "LAUNCH-PARALLELISM", RANK, "            - --rdzv_backend=c10d\n", id="pairs in turn"
        ),
        pytest.param("LAUNCH-PARALLELISM", "completions: 4", "completions: 1", id="fewer"),
        pytest.param("LAUNCH-RANK-IGNORED", "backend=c10d", "backend=static", id="is used"),
        pytest.param("LAUNCH-RANK-IGNORED", "backend=c10d", "backend=$B", id="a variable"),
        pytest.param("LAUNCH-RANK-MISSING", "--nnodes=2", "--nnodes=1", id="each for itself"),
        pytest.param(
            "LAUNCH-RANK-MISSING", "--nnodes=2", "--nnodes=2 $MORE", id="perhaps in a variable"
        ),
        pytest.param(
            "LAUNCH-RANK-MISSING",
            "          resources:",
            "          env: [{name: PET_NODE_RANK, value: $(JOB_COMPLETION_INDEX)}]\n"
            "          resources:",
            id="in the environment",
        ),
        pytest.param("LAUNCH-RANK-MISSING", "parallelism: 2", "parallelism: 1", id="one pod"),
        pytest.param("LAUNCH-RANK-ORDER", ": 16", ": 10", id="ten are sorted right"),
        pytest.param(
            "LAUNCH-NOT-INDEXED",
            "          resources:",
            "          env: [{name: JOB_COMPLETION_INDEX, value: '0'}]\n          resources:",
            id="set by hand",
        ),
        pytest.param(
            "LAUNCH-HOST-DNS", "hostNetwork: true", "dnsPolicy: Default", id="a network of its own"
        ),
        pytest.param(
            "LAUNCH-HOST-DNS",
            "hostNetwork: true",
            "hostNetwork: true\n      dnsPolicy: None",
            id="chosen on purpose",
        ),
        pytest.param("LAUNCH-HOST-PORT", "29500", "$(PORT)", id="a variable"),
        pytest.param(
            "LAUNCH-HOST-PORT", "nvidia.com/gpu: 4", "nvidia.com/gpu: 8", id="alone on its node"
        ),
        pytest.param("LAUNCH-SUBDOMAIN", "train-0.train", "train-0", id="perhaps a Service"),
        pytest.param(
            "LAUNCH-SUBDOMAIN",
            "train-0.train",
            "train-0.team.svc.cluster.local",
            id="the name of a Service",
        ),
        pytest.param("LAUNCH-SUBDOMAIN", "train-0.train", "head.train", id="another pod"),
        pytest.param(
            "LAUNCH-SUBDOMAIN", "train-0.train", "$(MASTER)", id="an address from a variable"
        ),
        pytest.param("LAUNCH-HEADLESS", "train-0.train", "train", id="the Service's own name"),
        pytest.param("LAUNCH-HEADLESS", "subdomain: train", "subdomain: other", id="another"),
        pytest.param(
            "LAUNCH-NOT-READY", "          readinessProbe:", "          livenessProbe:", id="ready"
        ),
        pytest.param(
            "LAUNCH-ORDERED", "          readinessProbe:", "          livenessProbe:", id="ready"
        ),
        pytest.param("LAUNCH-ORDERED", "MASTER_ADDR", "MODEL", id="replicas, no ranks"),
        pytest.param("LAUNCH-ORDERED", "replicas: 2", "replicas: 1", id="one pod"),
        pytest.param("LAUNCH-JOBSET-DNS", "MASTER_ADDR", "MODEL", id="looks for nobody"),
    ],
)
def test_an_exception_is_left_alone(rule, old, new):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    assert messages(rule, edited(text, old, new)) == []


def test_one_process_is_the_default():
    text = changed(TRAIN, "            - --nproc_per_node=8\n", "")
    (message,) = messages("LAUNCH-IDLE-GPUS", text)
    assert message == "container trainer starts 1 process (the default) with 8 GPUs"


PYTORCH = """\
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: train}
spec:
  pytorchReplicaSpecs:
    Master: {replicas: 1, template: &pod {spec: {containers: [{name: pytorch,
      command: [torchrun, --nnodes=%s, t.py], resources: {limits: {nvidia.com/gpu: 8}}}]}}}
    Worker: {replicas: 3, template: *pod}
"""


@pytest.mark.parametrize(("nodes", "expected"), [("4", 0), ("3", 1), ("1:8", 0)])
def test_master_and_workers_are_counted_together(nodes, expected):
    assert len(messages("LAUNCH-NODES", PYTORCH % nodes)) == expected


def test_an_operator_says_how_many_processes():
    assert messages("LAUNCH-IDLE-GPUS", PYTORCH % "4") == []


def test_an_elastic_job_has_no_fixed_size():
    text = edited(PYTORCH % "9", "spec:\n", "spec:\n  elasticPolicy: {minReplicas: 1}\n")
    assert messages("LAUNCH-NODES", text) == []


JOBSET = """\
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train}
spec:
  replicatedJobs:
    - name: slice
      replicas: 2
      template:
        spec:
          parallelism: 4
          completions: 4
          template: {spec: {containers: [{name: t,
            command: [torchrun, --nnodes=%d, --node_rank=$(JOB_COMPLETION_INDEX), t.py],
            resources: {limits: {nvidia.com/gpu: 1}}}]}}
"""


@pytest.mark.parametrize(("nodes", "expected"), [(4, 0), (8, 0), (6, 1)])
def test_the_jobs_of_a_jobset_may_be_trainings_of_their_own(nodes, expected):
    assert len(messages("LAUNCH-NODES", JOBSET % nodes)) == expected


def test_a_jobset_is_indexed_by_default():
    assert messages("LAUNCH-NOT-INDEXED", JOBSET % 4) == []


def test_a_jobset_of_two_jobs_with_one_rank_each_time_is_named_by_its_job():
    text = edited(JOBSET % 16, "--node_rank=$(JOB_COMPLETION_INDEX)", "--rdzv-backend=c10d")
    (message,) = messages("LAUNCH-RANK-ORDER", text.replace(": 4", ": 8"))
    assert message.endswith("of 16 pods, slice-10 comes before -2")


SGLANG = """\
apiVersion: v1
kind: Service
metadata: {name: llm}
spec: {clusterIP: None, publishNotReadyAddresses: true}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llm}
spec:
  replicas: 2
  serviceName: llm
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: llm}}
  template:
    metadata: {labels: {app: llm}}
    spec:
      containers:
        - name: sglang
          image: registry.example/sglang:0.5
          command: [python3, -m, sglang.launch_server]
          args: [--tp=16, --nnodes=2, --dist-init-addr=llm-0.llm:20000]
          readinessProbe: {tcpSocket: {port: 30000}}
          resources: {limits: {nvidia.com/gpu: 8}}
"""


@pytest.mark.parametrize(
    ("rule", "old", "new", "expected"),
    [
        ("LAUNCH-HEADLESS", "clusterIP: None, ", "", 1),
        ("LAUNCH-HEADLESS", "publish", "publish", 0),
        ("LAUNCH-NOT-READY", ", publishNotReadyAddresses: true", "", 1),
        ("LAUNCH-ORDERED", "  podManagementPolicy: Parallel\n", "", 1),
        ("LAUNCH-ORDERED", ", --dist-init-addr=llm-0.llm:20000", "", 0),
    ],
)
def test_a_server_over_several_nodes_looks_for_its_first(rule, old, new, expected):
    assert len(messages(rule, SGLANG.replace(old, new))) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("train-0.train:29400", 1), ("train-0.train", 0), ("$(HOST):$(PORT)", 0)],
)
def test_the_port_of_an_endpoint_is_one_of_the_node(endpoint, expected):
    text = EXAMPLES["LAUNCH-HOST-PORT"].failing
    text = text.replace("--master_port=29500", f"--rdzv_endpoint={endpoint}")
    assert len(messages("LAUNCH-HOST-PORT", text)) == expected
