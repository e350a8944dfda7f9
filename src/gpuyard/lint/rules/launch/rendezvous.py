"""Who is which rank: static and dynamic rendezvous.

torchrun knows two ways. *static* (the default): each node says its rank, ``--node_rank``, and all
know the address of rank 0. A node that does not say it is rank 0; two of them wait for each other
for ever. *Dynamic* (``c10d``, ``etcd``): the nodes meet at an endpoint and get ranks there; what
they say of their own is not used. c10d sorts them by name, letter by letter, so ``train-10`` comes
before ``train-2``: from eleven pods on a rank is not the index, and a placement made by index
(neighbouring pods under one switch) is lost.

Variables of a Job's index are there only in an Indexed Job; elsewhere the text is empty.

Sources: PyTorch 2.10, torch/distributed/run.py (``node_rank`` is read for static only); pytorch
#191190, #182223, #150660; k8s.io/api 1.37, batch/v1 CompletionMode; jobset v0.13 webhook (Indexed
is its default).
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.rules.launch.torchrun import Torchrun, launches
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

SEVERAL = 2
PODS_SORTED_RIGHT_MAX = 10  # train-0 to train-9
INDEX = "JOB_COMPLETION_INDEX"
NODE_RANK = "--node_rank=$(JOB_COMPLETION_INDEX)"
# Kinds whose controllers give torchrun no rank of their own
SAYS_NO_RANK = frozenset({"Job", "CronJob", "JobSet", "StatefulSet", "Deployment"})
NUMBERED = frozenset({"Job", "CronJob", "JobSet", "StatefulSet", "PyTorchJob"})


def check_ignored(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find ranks that are given to a rendezvous that makes its own."""
    for launch in launches(pod):
        given = launch.option("node_rank")
        if given is None or launch.backend in {"static", ""} or launch.nodes == (1, 1):
            continue
        yield Hit(
            given.path,
            f"container {launch.container.name} gives {given.name}, which the rendezvous "
            f"{launch.backend} does not use",
            of="value",
        )


def check_missing(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find static rendezvous of several pods that all take themselves for rank 0."""
    if workload.kind not in SAYS_NO_RANK:
        return
    for pod in workload.pods:
        for launch in launches(pod):
            if (pod.count or 0) >= SEVERAL and _is_always_rank_0(launch):
                yield Hit(
                    launch.path,
                    f"{count(pod.count or 0, 'pod')} start torchrun without --node_rank, and each "
                    "takes itself for node 0",
                    of="value",
                )


def check_order(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find jobs of many pods whose ranks c10d gives by the order of letters."""
    if workload.kind not in NUMBERED:
        return
    for pod in workload.pods:
        for launch in launches(pod):
            option = launch.option("rdzv_backend")
            if option is None or option.value != "c10d" or launch.nodes == (1, 1):
                continue
            if (pod.count or 0) > PODS_SORTED_RIGHT_MAX:
                yield Hit(
                    option.path,
                    f"c10d gives ranks by the order of letters: of {count(pod.count or 0, 'pod')}, "
                    f"{pod.role if pod.role != 'pod' else workload.name}-10 comes before -2",
                    of="value",
                )


def check_index(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find the index of a pod in a Job that gives none."""
    if pod.job is None or pod.workload.kind not in {"Job", "CronJob"}:
        return
    if pod.job.text("completionMode") == "Indexed":
        return
    for container in pod.containers:
        used = next(
            (
                path
                for word, path in container.command_line
                if any(form in word for form in (f"$({INDEX})", f"${INDEX}", f"${{{INDEX}}}"))
            ),
            None,
        )
        if used is not None and container.env(INDEX) is None and INDEX + "=" not in _text(pod):
            fix = () if pod.job.get("completions") is None else (_indexed(pod),)
            yield Hit(
                used,
                f"container {container.name} uses {INDEX}, which only a Job with completionMode: "
                "Indexed sets",
                of="value",
                edits=fix,
            )


def _indexed(pod: PodView) -> Set:
    job = pod.job
    assert job is not None
    return Set(job.at("completionMode"), "Indexed")


def _text(pod: PodView) -> str:
    return " ".join(word for one in pod.containers for word, _ in one.command_line)


def _is_always_rank_0(launch: Torchrun) -> bool:
    if launch.backend != "static" or launch.nodes in {None, (1, 1)}:
        return False
    return launch.option("node_rank") is None and launch.is_certain


_C10D = changed(
    changed(TRAIN, f"            - {NODE_RANK}\n", ""),
    "- --master_addr=train-0.train",
    "- --rdzv_backend=c10d\n            - --rdzv_endpoint=train-0.train:29500",
)

RULES = (
    Rule(
        id="LAUNCH-RANK-IGNORED",
        severity="warning",
        title="A rank is given only to a rendezvous that uses it",
        why="c10d and etcd give ranks themselves and do not look at --node_rank. Whoever relies on "
        "it, for placement or for files by rank, has other ranks than he thinks.",
        remedy="leave --node_rank out, or use the static rendezvous with --master_addr",
        source="PyTorch 2.10, torch/distributed/run.py; pytorch/pytorch #191190, #150660",
        scope="pod",
        check=check_ignored,
        failing=changed(
            _C10D,
            "- --rdzv_backend=c10d",
            f"- {NODE_RANK} # <- here\n            - --rdzv_backend=c10d",
        ),
        passing=_C10D,
    ),
    Rule(
        id="LAUNCH-RANK-MISSING",
        severity="error",
        title="Every node of a static rendezvous says its rank",
        why="Without --node_rank each node is rank 0. All of them wait for a rank 1 that never "
        "comes, until the store times out.",
        remedy="add --node_rank=$(JOB_COMPLETION_INDEX), or --rdzv_backend=c10d with an endpoint",
        source="PyTorch 2.10, torchrun --node-rank (default 0) and --rdzv-backend (default static)",
        scope="workload",
        check=check_missing,
        failing=changed(
            changed(TRAIN, f"            - {NODE_RANK}\n", ""), "- torchrun", "- torchrun # <- here"
        ),
        passing=TRAIN,
    ),
    Rule(
        id="LAUNCH-RANK-ORDER",
        severity="warning",
        title="Ranks follow the numbers of the pods",
        why="c10d sorts the nodes by name, and train-10 comes before train-2. Neighbouring ranks "
        "then sit under different switches; one user measured 8 % longer steps with 16 nodes.",
        remedy="use the static rendezvous with --node_rank, or names of equal length",
        source="pytorch/pytorch #191190, #182223, #150660",
        scope="workload",
        check=check_order,
        failing=changed(
            changed(
                changed(_C10D, "parallelism: 2", "parallelism: 16"),
                "completions: 2",
                "completions: 16",
            ),
            "- --nnodes=2",
            "- --nnodes=16",
        ).replace("- --rdzv_backend=c10d", "- --rdzv_backend=c10d # <- here"),
        passing=_C10D,
    ),
    Rule(
        id="LAUNCH-NOT-INDEXED",
        severity="error",
        title="A Job whose pods use their index is Indexed",
        why="Without completionMode: Indexed the variable is not set: all pods take the same rank, "
        "or stop because it is no number.",
        remedy="set completionMode: Indexed, with completions equal to parallelism",
        source="Kubernetes documentation, Jobs, Completion mode; k8s.io/api 1.37, batch/v1",
        scope="pod",
        check=check_index,
        has_fix=True,
        failing=changed(
            changed(TRAIN, "  completionMode: Indexed\n", ""), NODE_RANK, f"{NODE_RANK} # <- here"
        ),
        passing=TRAIN,
    ),
)
