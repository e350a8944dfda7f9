"""Failures, and who pays for them: retry budgets, disruptions, replacements.

A Job counts failed pods up to ``backoffLimit`` (6). A pod that was evicted, preempted or lost with
its node counts like one that crashed, unless a ``podFailurePolicy`` says that a pod with the
condition DisruptionTarget does not. The policy goes with ``restartPolicy: Never`` only.

Ranks fail together: when one is gone the others wait in a collective. A JobSet restarts all of its
Jobs, but only when a Job has failed; with ``backoffLimit`` above 0 the Job first tries the one pod
again, alone, while its neighbours wait for a rank they no longer know.

An Indexed Job replaces a pod as soon as it is being deleted. Until it is gone there are two of the
same rank; ``podReplacementPolicy: Failed`` waits.

Sources: k8s.io/api 1.37, batch/v1 (PodFailurePolicy, PodReplacementPolicy); Kubernetes
documentation, Handling retriable and non-retriable pod failures; jobset v0.13, KEP-467, webhook
(InPlaceRestart) and the host-maintenance example; kubeflow/trainer #2000.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, View
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.rules.launch.torchrun import is_distributed, launches
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

DISRUPTION = "DisruptionTarget"
BACKOFF_DEFAULT = 6
MAX_INT32 = 2**31 - 1
SEVERAL = 2
POLICY = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": DISRUPTION}]}]}


def check_policy_restart(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find failure policies that the API server refuses."""
    if pod.job is None or not pod.job.mapping("podFailurePolicy"):
        return
    if pod.restart_policy == "OnFailure":
        yield Hit(
            pod.spec.at("restartPolicy"),
            "podFailurePolicy with restartPolicy: OnFailure, where the kubelet restarts containers "
            "and the Job sees no failed pod",
            of="value",
            edits=(Set(pod.spec.at("restartPolicy"), "Never"),),
        )


def check_disruptions(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find Jobs that count the loss of a node as a failure of their own."""
    job = pod.job
    if job is None or not pod.is_complete or pod.restart_policy != "Never":
        return
    if pod.workload.kind not in {"Job", "CronJob"} or _handles_disruption(job):
        return
    limit = job.whole("backoffLimit")
    if job.get("backoffLimitPerIndex") is not None:
        return
    given = BACKOFF_DEFAULT if limit is None else limit
    shown = f"backoffLimit {given}{' (the default)' if limit is None else ''}"
    can_fix = job.get("podFailurePolicy") is None and job.get("podReplacementPolicy") in {
        None,
        "Failed",
    }
    yield Hit(
        job.at("backoffLimit"),
        f"{shown}: the Job fails for good with {'the first' if given == 0 else f'{given + 1}'} pod"
        f"{'' if given == 0 else 's'} evicted, preempted or lost with a node",
        edits=(Set(job.at("podFailurePolicy"), POLICY),) if can_fix else (),
    )


def check_replacement(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find jobs of ranks in which two pods may have one rank for a while."""
    job = pod.job
    if job is None or pod.workload.kind not in {"Job", "CronJob"} or (pod.count or 0) < SEVERAL:
        return
    if job.text("completionMode") != "Indexed" or job.mapping("podFailurePolicy"):
        return
    if job.text("podReplacementPolicy") != "Failed" and is_distributed(pod):
        yield Hit(
            job.at("podReplacementPolicy"),
            f"each of {count(pod.count or 0, 'rank')} is replaced while the old pod still "
            "terminates",
            edits=(Set(job.at("podReplacementPolicy"), "Failed"),),
        )


def check_alone(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find JobSets whose Jobs try a lost rank again alone, before all start anew."""
    job, workload = pod.job, pod.workload
    if job is None or workload.kind != "JobSet" or (workload.pods_total or 0) < SEVERAL:
        return
    if workload.text("spec", "failurePolicy", "restartStrategy") == "InPlaceRestart":
        return
    if not is_distributed(pod) or any(one.option("max_restarts") for one in launches(pod)):
        return
    limit = job.whole("backoffLimit")
    if limit != 0 and job.get("podFailurePolicy") is None:
        shown = f"{BACKOFF_DEFAULT}, the default" if limit is None else f"{limit}"
        yield Hit(
            job.at("backoffLimit"),
            f"backoffLimit is {shown}: a lost rank of {pod.role} is tried again alone while "
            "the others wait",
            of="value",
        )


def check_in_place(jobs: Entry, _world: World) -> Iterator[Hit]:
    """Find restarts in place whose Jobs the webhook of JobSet refuses."""
    if jobs.text("spec", "failurePolicy", "restartStrategy") != "InPlaceRestart":
        return
    if jobs.workload is None or not jobs.workload.asks_gpus:
        return
    for index, one in jobs.mappings("spec", "replicatedJobs"):
        limit = plain.whole(one, "template", "spec", "backoffLimit")
        policy = plain.text(one, "template", "spec", "podReplacementPolicy")
        if limit != MAX_INT32 or policy != "Failed":
            yield Hit(
                ("spec", "replicatedJobs", index, "template", "spec", "backoffLimit"),
                f"InPlaceRestart with backoffLimit {'unset' if limit is None else limit} and "
                f"podReplacementPolicy {policy or 'unset'} of job {plain.text(one, 'name')}",
                of="value",
            )


def check_restarts(jobs: Entry, _world: World) -> Iterator[Hit]:
    """Find JobSets of many GPUs that end with the first failure of any pod."""
    workload = jobs.workload
    if workload is None or (workload.gpus_total or 0) < SEVERAL or not workload.asks_gpus:
        return
    if not jobs.whole("spec", "failurePolicy", "maxRestarts") and not jobs.mappings(
        "spec", "failurePolicy", "rules"
    ):
        yield Hit(
            ("spec", "failurePolicy"),
            f"the first pod lost of {count(workload.pods_total or 0, 'pod')} ends the JobSet: "
            "failurePolicy.maxRestarts is 0",
        )


def _handles_disruption(job: View) -> bool:
    return any(
        plain.text(condition, "type") == DISRUPTION
        for _, rule in job.mappings("podFailurePolicy", "rules")
        for _, condition in plain.mappings(rule, "onPodConditions")
    )


_POLICY = """\
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
"""
_SAFE = changed(TRAIN, "  completions: 2\n", "  completions: 2\n" + _POLICY)
_JOBSET = """\
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: train
  labels:
    kueue.x-k8s.io/queue-name: research
spec:
  failurePolicy:
    maxRestarts: 10
  replicatedJobs:
    - name: node
      template:
        spec:
          parallelism: 2
          completions: 2
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              containers:
                - name: trainer
                  image: registry.example/trainer:1.4
                  env:
                    - name: MASTER_ADDR
                      value: train-node-0-0.train
                  resources:
                    limits:
                      nvidia.com/gpu: 1
"""
_IN_PLACE = changed(
    changed(
        _JOBSET,
        "    maxRestarts: 10\n",
        "    maxRestarts: 10\n    restartStrategy: InPlaceRestart\n",
    ),
    "          backoffLimit: 0\n",
    "          backoffLimit: 2147483647\n          podReplacementPolicy: Failed\n",
)

RULES = (
    Rule(
        id="JOB-FAILURE-POLICY",
        severity="error",
        title="A podFailurePolicy goes with restartPolicy: Never",
        why="The API server refuses the Job: with OnFailure the kubelet restarts containers in "
        "place, and there is no failed pod to judge.",
        remedy="set restartPolicy: Never",
        source="k8s.io/api 1.37, batch/v1 JobSpec.podFailurePolicy",
        scope="pod",
        check=check_policy_restart,
        has_fix=True,
        failing=changed(_SAFE, "restartPolicy: Never", "restartPolicy: OnFailure # <- here"),
        passing=_SAFE,
    ),
    Rule(
        id="JOB-DISRUPTIONS",
        severity="info",
        title="Evictions do not use up the retries of a Job",
        why="A drained node, a preemption or a lost spot instance counts as a failure of the pod. "
        "A job that runs for days meets enough of them to fail for good.",
        remedy="add a podFailurePolicy that ignores the pod condition DisruptionTarget",
        source="Kubernetes documentation, Handling retriable and non-retriable pod failures with "
        "Pod failure policy; k8s.io/api 1.37, batch/v1",
        scope="pod",
        check=check_disruptions,
        has_fix=True,
        failing=changed(
            TRAIN, "  completions: 2\n", "  completions: 2\n  backoffLimit: 3 # <- here\n"
        ),
        passing=_SAFE,
    ),
    Rule(
        id="JOB-REPLACEMENT",
        severity="info",
        title="A rank is replaced when the old one is gone",
        why="By default a pod is replaced as soon as its deletion begins. For its grace period "
        "there are two of one rank, which both write the checkpoint and join the rendezvous.",
        remedy="set podReplacementPolicy: Failed",
        source="k8s.io/api 1.37, batch/v1 PodReplacementPolicy; KEP-3939",
        scope="pod",
        check=check_replacement,
        has_fix=True,
        failing=changed(
            TRAIN,
            "  completions: 2\n",
            "  completions: 2\n  podReplacementPolicy: TerminatingOrFailed # <- here\n",
        ),
        passing=changed(
            TRAIN, "  completions: 2\n", "  completions: 2\n  podReplacementPolicy: Failed\n"
        ),
    ),
    Rule(
        id="JOBSET-BACKOFF",
        severity="warning",
        title="The ranks of a JobSet start again together",
        why="With a backoffLimit above 0 a Job tries the one lost pod again. The other ranks wait "
        "in a collective for a process that is no more, until their time limit.",
        remedy="set backoffLimit: 0 in each job, and failurePolicy.maxRestarts on the JobSet",
        source="jobset v0.13, KEP-467 and examples/failure-policy; kubeflow/trainer #2000",
        scope="pod",
        check=check_alone,
        failing=changed(_JOBSET, "backoffLimit: 0", "backoffLimit: 6 # <- here"),
        passing=_JOBSET,
    ),
    Rule(
        id="JOBSET-IN-PLACE",
        severity="error",
        title="Jobs that restart in place never fail by themselves",
        why="The webhook of JobSet refuses InPlaceRestart unless each of its jobs retries without "
        "limit and replaces a pod only when it is gone.",
        remedy="set backoffLimit: 2147483647 and podReplacementPolicy: Failed in each job",
        source="jobset v0.13, pkg/webhooks/jobset_webhook.go",
        scope="object",
        kinds=("jobset.x-k8s.io/JobSet",),
        check=check_in_place,
        failing=changed(_IN_PLACE, "backoffLimit: 2147483647", "backoffLimit: 6 # <- here"),
        passing=_IN_PLACE,
    ),
    Rule(
        id="JOBSET-RESTARTS",
        severity="info",
        title="A JobSet outlives the loss of a pod",
        why="Without maxRestarts the first lost pod ends the whole JobSet. With many GPUs for many "
        "hours one is lost sooner or later.",
        remedy="set failurePolicy.maxRestarts, and write checkpoints",
        source="jobset v0.13, api/jobset/v1alpha2 FailurePolicy; Meta, The Llama 3 Herd of Models, "
        "section 3.3.4 (a failure every 3 hours with 16,384 GPUs)",
        scope="object",
        kinds=("jobset.x-k8s.io/JobSet",),
        check=check_restarts,
        failing=changed(
            changed(_JOBSET, "    maxRestarts: 10\n", "    successPolicy: {}\n"),
            "failurePolicy:",
            "failurePolicy: # <- here",
        ).replace("    successPolicy: {}\n", "    restartStrategy: Recreate\n"),
        passing=_JOBSET,
    ),
)
