"""Numbers that have to agree: nodes with pods, processes with GPUs.

torchrun waits until ``nnodes`` agents have come and starts ``nproc_per_node`` processes on each; by
default one. A process takes the GPU of its local rank. Too many nodes: nobody starts. Too many
processes: "invalid device ordinal". Too few: the other GPUs are held and idle.

A Job counts its pods twice. ``parallelism`` is how many run at once, ``completions`` how many are
to finish; where the second is larger, the last ranks start only after the first have ended, which
wait for them.

Left alone: values that come from variables, elastic ranges, claims (their count may be open), jobs
whose pods are independent of each other (``nnodes`` of 1 or none).

Sources: PyTorch 2.10, torch/distributed/run.py; kubeflow/pytorch-operator #125, #333;
k8s.io/api 1.37, batch/v1.
"""

from collections.abc import Iterable, Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.launch.torchrun import Torchrun, launches, number
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

SEVERAL = 2
ONE_PROCESS = frozenset({"amd", "nvidia"})  # vendors of whose devices a process takes one
# Kinds whose controllers tell torchrun how many processes to start (PET_NPROC_PER_NODE)
SAYS_PROCESSES = frozenset({"ClusterTrainingRuntime", "PyTorchJob", "TrainJob", "TrainingRuntime"})
COUNTED = frozenset({"Job", "CronJob", "JobSet", "PyTorchJob", "LeaderWorkerSet", "StatefulSet"})


def check_processes(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that start more processes than they have GPUs."""
    for launch in launches(pod):
        gpus, processes = _gpus(launch), number(launch.option("nproc_per_node"))
        option = launch.option("nproc_per_node")
        if gpus and option is not None and processes is not None and processes > gpus:
            yield Hit(
                option.path,
                f"container {launch.container.name} starts "
                f"{count(processes, 'process', 'processes')} with {count(gpus, 'GPU')}",
                of="value",
                remedy=f"write --nproc_per_node={gpus}, or gpu for as many as there are",
            )


def check_idle(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that start fewer processes than they have GPUs."""
    for launch in launches(pod):
        gpus = _gpus(launch)
        option = launch.option("nproc_per_node")
        if option is None and (not launch.is_certain or pod.workload.kind in SAYS_PROCESSES):
            continue
        processes = 1 if option is None else number(option)
        if gpus and processes is not None and processes < gpus:
            by_default = " (the default)" if option is None else ""
            yield Hit(
                launch.path if option is None else option.path,
                f"container {launch.container.name} starts "
                f"{count(processes, 'process', 'processes')}{by_default} with {count(gpus, 'GPU')}",
                of="value",
                remedy=f"write --nproc_per_node={gpus}, or gpu for as many as there are",
            )


def check_nodes(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find rendezvous that wait for more nodes than there are pods, or turn some away."""
    if workload.kind not in COUNTED or workload.mapping("spec", "elasticPolicy"):
        return
    found = [(pod, launch) for pod in workload.pods for launch in launches(pod)]
    if any(launch.nodes is None for _, launch in found):
        return
    counted = {pod.path: pod for pod, _ in found}.values()
    pods, at_once = _sum_of(counted), _in_one_job(counted)
    wanted = {launch.nodes for _, launch in found}
    if pods is None or len(wanted) != 1:
        return
    fewest, most = wanted.pop() or (1, 1)
    option = found[0][1].option("nnodes")
    if option is None or most < SEVERAL or any(fewest <= one <= most for one in (pods, at_once)):
        return
    yield Hit(
        option.path,
        f"torchrun waits for {count(fewest, 'node')}, and {workload.kind} {workload.name} runs "
        f"{count(pods, 'pod')} of it at once",
        of="value",
    )


def check_parallelism(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find jobs whose last ranks start only after the first have ended."""
    if pod.job is None or pod.job.text("completionMode") != "Indexed":
        return
    parallelism = pod.job.whole("parallelism")
    completions = pod.job.whole("completions")
    if parallelism is None:
        parallelism = 1
    if completions is not None and 0 < parallelism < completions and _ranks_by_index(pod):
        yield Hit(
            pod.job.at("completions"),
            f"{count(completions, 'rank')}, but only {count(parallelism, 'pod')} at once: the "
            "others start when these have ended",
            of="value",
            remedy=f"write parallelism: {completions}",
        )


def _ranks_by_index(pod: PodView) -> bool:
    """Tell whether the index of a pod is its rank among pods that wait for each other."""
    for launch in launches(pod):
        rank = launch.option("node_rank")
        by_index = rank is not None and "COMPLETION_INDEX" in rank.value
        if by_index and launch.backend == "static" and launch.nodes != (1, 1):
            return True
    return False


def _gpus(launch: Torchrun) -> int:
    """Return the whole GPUs of the container; 0 where they are shares, or come by claim.

    Other accelerators are left alone: a Neuron device, for one, takes a process for each core.
    """
    resources = [ask.resource for ask in launch.container.gpu_asks]
    is_plain = all(one.sharing == "whole" and one.vendor in ONE_PROCESS for one in resources)
    return launch.container.gpus if is_plain and not launch.container.claims else 0


def _sum_of(pods: Iterable[PodView]) -> int | None:
    total = 0
    for pod in pods:
        number_of = pod.per_group if pod.per_group is not None else pod.count
        if number_of is None:
            return None
        total += number_of
    return total or None


def _in_one_job(pods: Iterable[PodView]) -> int:
    """Return the pods of one of a JobSet's jobs: each may be a training of its own."""
    jobs = [pod.job for pod in pods if pod.job is not None]
    return (jobs[0].whole("parallelism") or 1) if len(jobs) == 1 else 0


RULES = (
    Rule(
        id="LAUNCH-PROCESSES",
        severity="error",
        title="No more processes are started than there are GPUs",
        why="Each process takes the GPU of its local rank. One without a GPU stops with 'invalid "
        "device ordinal', and takes the whole job with it.",
        remedy="let nproc_per_node equal the GPU limit",
        source="PyTorch 2.10, torchrun --nproc-per-node",
        scope="pod",
        check=check_processes,
        failing=changed(TRAIN, "- --nproc_per_node=8", "- --nproc_per_node=16 # <- here"),
        passing=TRAIN,
    ),
    Rule(
        id="LAUNCH-IDLE-GPUS",
        severity="warning",
        title="A process is started for each GPU",
        why="A process uses one GPU; torchrun starts one process unless told otherwise. The other "
        "GPUs are held, paid for, and idle.",
        remedy="let nproc_per_node equal the GPU limit",
        source="PyTorch 2.10, torchrun --nproc-per-node (default 1)",
        scope="pod",
        check=check_idle,
        failing=changed(TRAIN, "- --nproc_per_node=8", "- --nproc_per_node=4 # <- here"),
        passing=TRAIN,
    ),
    Rule(
        id="LAUNCH-NODES",
        severity="error",
        title="As many nodes are waited for as there are pods",
        why="With more nodes than pods the rendezvous never completes: all GPUs are held until it "
        "times out, again after every restart. With fewer, the pods left over fail.",
        remedy="let nnodes equal the number of pods",
        source="PyTorch 2.10, torchrun --nnodes; kubeflow/pytorch-operator #125, #333",
        scope="workload",
        check=check_nodes,
        failing=changed(TRAIN, "- --nnodes=2", "- --nnodes=4 # <- here"),
        passing=TRAIN,
    ),
    Rule(
        id="LAUNCH-PARALLELISM",
        severity="error",
        title="All ranks of a job run at once",
        why="Ranks wait for each other. With parallelism below completions the last are created "
        "only when the first have finished, which they never do.",
        remedy="let parallelism equal completions",
        source="k8s.io/api 1.37, batch/v1 JobSpec; kubeflow/pytorch-operator #333",
        scope="pod",
        check=check_parallelism,
        failing=changed(TRAIN, "  completions: 2", "  completions: 4 # <- here"),
        passing=TRAIN,
    ),
)
