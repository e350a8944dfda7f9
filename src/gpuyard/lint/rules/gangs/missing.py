"""Pods that are of use only together, and nobody who starts them together.

The default scheduler places pod by pod. Two jobs that want all GPUs of a cluster each get half of
it: both wait for the other half, hold what they have, and neither runs.

Said of jobs whose pods show that they work with each other. Left alone: pods of independent work
(a Job without ranks), services, schedulers other than the default (they have their ways), whatever
a runtime completes, and namespaces whose LocalQueue ``default`` takes jobs in without a label.

Source: CNCF, Kubernetes AI Conformance (gang scheduling); the marks and their sources are in
`gpuyard.dialects.workloads.gangs`.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.launch.torchrun import is_distributed
from gpuyard.lint.rules.queues.chain import DEFAULT, LOCAL_QUEUE
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

SEVERAL = 2
SCHEDULERS = frozenset({"", "default-scheduler"})
# Kinds whose pods are ranks of one training, without a look at what they run
RANKS = frozenset({"JAXJob", "MPIJob", "PaddleJob", "PyTorchJob"})
KINDS = RANKS | {"CronJob", "Job", "JobSet"}


def check(workload: Workload, world: World) -> Iterator[Hit]:
    """Find trainings over several pods that are placed pod by pod."""
    if workload.kind not in KINDS or workload.has_gang:
        return
    pods = [pod for pod in workload.gpu_pods if pod.is_complete]
    ranks = sum(pod.count or 0 for pod in pods)
    if ranks < SEVERAL or any(pod.spec.text("schedulerName") not in SCHEDULERS for pod in pods):
        return
    if workload.kind not in RANKS and not any(map(is_distributed, pods)):
        return
    if world.named(LOCAL_QUEUE, DEFAULT, world.entry(workload)) is not None:
        return
    gpus = workload.gpus_total
    yield Hit(
        ("metadata", "name"),
        f"{count(ranks, 'pod')} with {count(gpus, 'GPU') if gpus else 'GPUs'} in all are placed "
        "one by one",
    )


RULES = (
    Rule(
        id="GANG-MISSING",
        severity="warning",
        title="The pods of a training start together or not at all",
        why="Placed one by one, two trainings may each get half of the GPUs and wait for the rest "
        "for ever. Nothing fails; all GPUs are held and none computes.",
        remedy="put the job into a queue of Kueue (label kueue.x-k8s.io/queue-name), or use the "
        "pod group of your scheduler",
        source="CNCF Kubernetes AI Conformance, gang scheduling; KEP-4671; Kueue v0.20, "
        "All-or-nothing with ready Pods",
        scope="workload",
        check=check,
        failing=changed(
            changed(TRAIN, "  labels:\n    kueue.x-k8s.io/queue-name: research\n", ""),
            "  name: train\n",
            "  name: train # <- here\n",
        ),
        passing=TRAIN,
    ),
)
