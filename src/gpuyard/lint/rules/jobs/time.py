"""Jobs without an end.

A collective that waits for a lost rank does not fail, it waits; a data loader on a dead mount too.
The pods run, the GPUs are held, and nobody is told. ``activeDeadlineSeconds`` ends the job; Kueue
has a label of its own. Finished Jobs stay as objects, with their pods and logs, until somebody
deletes them; ``ttlSecondsAfterFinished`` does.

Sources: Kubernetes documentation, Jobs, Job termination and cleanup; Automatic Cleanup for Finished
Jobs; Kueue v0.20, pkg/controller/constants.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

MAX_EXEC_TIME = "kueue.x-k8s.io/max-exec-time-seconds"


def check_deadline(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find jobs that may hold their GPUs for ever."""
    deadline = workload.row.deadline
    if not deadline or workload.row.lifetime != "task" or MAX_EXEC_TIME in workload.labels:
        return
    if workload.kind == "Workload" or workload.get(*deadline) is not None:
        return
    if all(pod.spec.whole("activeDeadlineSeconds") is not None for pod in workload.gpu_pods):
        return
    gpus = workload.gpus_total
    yield Hit(
        deadline,
        f"nothing ends the {workload.kind} if it hangs, and it holds "
        f"{count(gpus, 'GPU') if gpus else 'its GPUs'}",
        remedy=f"set {deadline[-1]}" + ("" if workload.kind != "Job" else _or_kueue(workload)),
    )


def check_ttl(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find Jobs that stay after they have finished."""
    if workload.kind == "Job" and workload.get(*workload.row.keeps) is None:
        yield Hit(
            workload.row.keeps, "the finished Job stays, with its pods, until somebody deletes it"
        )


def _or_kueue(workload: Workload) -> str:
    in_queue = any(mark.system == "kueue" for mark in workload.gang_marks)
    return f", or the label {MAX_EXEC_TIME}" if in_queue else ""


_BOUNDED = changed(
    TRAIN,
    "  completions: 2\n",
    "  completions: 2\n  activeDeadlineSeconds: 172800\n  ttlSecondsAfterFinished: 86400\n",
)

RULES = (
    Rule(
        id="JOB-DEADLINE",
        severity="info",
        title="A job that hangs ends at some time",
        why="A rank that waits for a lost one does not fail. The job goes on holding its GPUs "
        "until somebody looks.",
        remedy="set activeDeadlineSeconds well above the longest run",
        source="Kubernetes documentation, Jobs, Job termination and cleanup; Kueue v0.20, Maximum "
        "execution time",
        scope="workload",
        check=check_deadline,
        failing=changed(_BOUNDED, "  activeDeadlineSeconds: 172800\n", "").replace(
            "\nspec:\n", "\nspec: # <- here\n", 1
        ),
        passing=_BOUNDED,
    ),
    Rule(
        id="JOB-TTL",
        severity="info",
        title="A finished Job is cleaned up",
        why="Finished Jobs and their pods stay in the API server. Thousands of them make every "
        "list and every controller slower.",
        remedy="set ttlSecondsAfterFinished, to a day for instance",
        source="Kubernetes documentation, Automatic Cleanup for Finished Jobs",
        scope="workload",
        check=check_ttl,
        failing=changed(_BOUNDED, "  ttlSecondsAfterFinished: 86400\n", "").replace(
            "\nspec:\n", "\nspec: # <- here\n", 1
        ),
        passing=_BOUNDED,
    ),
)
