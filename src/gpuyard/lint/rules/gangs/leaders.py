"""Leaders that wait for workers, and workers that wait for their leader.

An MPIJob with ``launcherCreationPolicy: WaitForWorkersReady`` makes its launcher when all workers
run. If the gang counts the launcher, as it does unless ``minAvailable`` says otherwise, the workers
wait for it: nobody starts.

A RayCluster asks pods of several groups. Without a gang its workers may take the GPUs while the
head, without which they do nothing, waits for a place.

Sources: mpi-operator v0.8, pkg/controller (calculateMinAvailable), #608; KubeRay v1.7, #3592,
#2161.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.gangs.missing import SCHEDULERS
from gpuyard.lint.rules.samples import changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

MPI_JOB = "kubeflow.org/MPIJob"
RAY = frozenset({"RayCluster", "RayJob"})
SEVERAL = 2
POLICY = ("spec", "runPolicy", "schedulingPolicy")


def check_launcher(job: Entry, _world: World) -> Iterator[Hit]:
    """Find MPIJobs whose workers wait for a launcher that waits for them."""
    if job.text("spec", "launcherCreationPolicy") != "WaitForWorkersReady":
        return
    if job.workload is None or not job.workload.asks_gpus or not job.mapping(*POLICY):
        return
    workers = next((pod.count for pod in job.workload.pods if pod.role == "Worker"), None)
    minimum = job.whole(*POLICY, "minAvailable")
    if workers and (minimum is None or minimum > workers):
        shown = f"{workers + 1}, the default" if minimum is None else f"{minimum}"
        yield Hit(
            (*POLICY, "minAvailable"),
            f"the gang is {shown}, with {count(workers, 'worker')} and a launcher that is made "
            "when they are ready",
            of="value",
            remedy=f"set minAvailable: {workers}, or launcherCreationPolicy: AtStartup",
        )


def check_ray(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find Ray clusters whose head may be left out."""
    if workload.kind not in RAY or workload.has_gang or workload.is_suspended:
        return
    workers = [pod for pod in workload.gpu_pods if pod.role != "head"]
    pods = sum(pod.count or 0 for pod in workers)
    if pods < SEVERAL or any(p.spec.text("schedulerName") not in SCHEDULERS for p in workload.pods):
        return
    if workload.is_true("spec", "enableInTreeAutoscaling"):
        return  # its workers come one by one on purpose
    yield Hit(
        ("metadata", "name"),
        f"the head and {count(pods, 'worker')} with GPUs are placed one by one",
    )


_MPI = """\
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata:
  name: train
spec:
  launcherCreationPolicy: WaitForWorkersReady
  runPolicy:
    schedulingPolicy:
      minAvailable: 2
  mpiReplicaSpecs:
    Launcher:
      template:
        spec:
          containers:
            - name: launcher
              image: registry.example/trainer:1.4
    Worker:
      replicas: 2
      template:
        spec:
          containers:
            - name: worker
              image: registry.example/trainer:1.4
              resources:
                limits:
                  nvidia.com/gpu: 1
"""
_RAY = """\
apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: train
  labels:
    ray.io/gang-scheduling-enabled: "true"
spec:
  headGroupSpec:
    template:
      spec:
        containers:
          - name: head
            image: registry.example/ray:2.50
  workerGroupSpecs:
    - groupName: gpus
      replicas: 2
      minReplicas: 2
      maxReplicas: 2
      template:
        spec:
          containers:
            - name: worker
              image: registry.example/ray:2.50
              resources:
                limits:
                  nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="GANG-MPI-LAUNCHER",
        severity="error",
        title="A gang does not wait for a launcher that waits for it",
        why="The launcher is made when all workers are ready; the scheduler starts the workers "
        "when the launcher is there too. Neither happens.",
        remedy="set minAvailable to the number of workers, or launcherCreationPolicy: AtStartup",
        source="mpi-operator v0.8, pkg/controller/podgroup.go; kubeflow/mpi-operator #608",
        scope="object",
        kinds=(MPI_JOB,),
        check=check_launcher,
        failing=changed(_MPI, "minAvailable: 2", "minAvailable: 3 # <- here"),
        passing=_MPI,
    ),
    Rule(
        id="GANG-RAY-HEAD",
        severity="info",
        title="The head of a Ray cluster starts together with its workers",
        why="Workers that are placed before the head hold their GPUs and do nothing. On a full "
        "cluster the head may wait for long.",
        remedy="set the label ray.io/gang-scheduling-enabled with a scheduler that groups pods, or "
        "use a queue of Kueue",
        source="KubeRay v1.7, ray.io/gang-scheduling-enabled; kuberay #3592, #2161",
        scope="workload",
        check=check_ray,
        failing=changed(
            changed(_RAY, '  labels:\n    ray.io/gang-scheduling-enabled: "true"\n', ""),
            "  name: train\n",
            "  name: train # <- here\n",
        ),
        passing=_RAY,
    ),
)
