"""Gangs for which there is no room now, and pods that leave GPUs over.

A gang starts whole or not at all. Whether it fits is tried out, on the nodes as they are and with
the pods that run, by the code that would place it; the answer is about this moment and nobody's
queue. A workload that runs already is not asked about.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload, gpu_resource
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.fit import NOT_PLACED_SO
from gpuyard.lint.rules.nodes.fleet import Fleet, fleet, only, said, template
from gpuyard.lint.wording import count
from gpuyard.lint.world import World
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling.cycle import Member
from gpuyard.scheduling.explain.nodes import of_placement

PODS_MIN = 2
PODS_MAX = 1024  # of a gang that is tried out
ALWAYS_THERE = frozenset({"cpu", "memory", "ephemeral-storage"})


def check_gang(workload: Workload, world: World) -> Iterator[Hit]:
    """Find gangs that have no room on the nodes as they are."""
    if workload.kind in NOT_PLACED_SO or _is_there(workload):
        return
    together = workload.together
    if together is None or not PODS_MIN <= together <= PODS_MAX or not _is_gang(workload):
        return
    nodes = fleet(world)
    members = _members(workload)
    if nodes is None or nodes.now is None or not members:
        return
    if not all(nodes.fits_somewhere(asked) for asked in {asked for _, asked in members}):
        return  # a rule about its pods says why
    with nodes.now.snapshot.trial():
        if nodes.now.place_all(members) is not None:
            return
    why = of_placement(nodes.now, members)
    fitting = why.binding.have if why.binding else 0
    reasons = said(why.rejections)
    yield Hit(
        ("metadata", "name"),
        f"of its {len(members)} pods {fitting} fit on {count(len(nodes.nodes), 'node')} now"
        + (f": {reasons}" if reasons else ""),
    )


def check_left_over(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods whose CPU or memory runs out on a node before its GPUs do."""
    if pod.workload.kind in NOT_PLACED_SO or pod.count == 1:
        return
    nodes, asked = fleet(world), template(pod)
    if nodes is None or asked is None or not nodes.fits_somewhere(asked):
        return
    devices = [name for name, _ in asked.request.resources.amounts if gpu_resource(name)]
    rooms, by_devices = nodes.room(asked), nodes.room(only(asked, devices))
    good = [name for name, room in rooms.items() if room > 0]
    if not devices or any(rooms[name] >= by_devices[name] for name in good):
        return  # on some node it comes out even
    best = max(good, key=lambda name: (rooms[name], name))
    yield Hit(
        pod.containers[0].resources_path,
        f"{count(rooms[best], 'pod')} of this kind fit on node {best}, whose GPUs would do for "
        f"{by_devices[best]}: its {_scarce(nodes, asked, best)} runs out first",
    )


def _is_gang(workload: Workload) -> bool:
    """Tell whether its pods are of no use one by one; those of a Job without indexes may be."""
    indexed = all(
        pod.job is None or pod.job.text("completionMode") == "Indexed" for pod in workload.pods
    )
    return indexed or workload.has_gang


def _is_there(workload: Workload) -> bool:
    """Tell whether it is in the cluster and not held back: then its pods run or are waiting."""
    return bool(workload.text("metadata", "uid")) and not workload.is_suspended


def _members(workload: Workload) -> list[Member]:
    """Return the pods of one gang, the first group where there are several; none if not known."""
    members: list[Member] = []
    for pod in workload.pods:
        pods = pod.per_group if workload.row.together == "group" else pod.count
        asked = template(pod)
        if pods is None or asked is None or pod.spec.text("nodeName"):
            return []
        name = pod.role or "pod"
        members += [(f"{workload.title}/{name}-{index}", asked) for index in range(pods)]
    return members


def _scarce(nodes: Fleet, asked: PodTemplate, node: str) -> str:
    """Return the resource that runs out first: the one that alone allows as few pods."""
    rooms = {
        name: nodes.room(only(asked, [name]))[node]
        for name, amount in asked.request.resources.amounts
        if name in ALWAYS_THERE and amount
    }
    return min(rooms, key=lambda name: (rooms[name], name), default="room")


NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    cpu: "96"
    memory: 1000Gi
    pods: "110"
    nvidia.com/gpu: "8"
---
"""
BUSY = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  nodeName: gpu-0
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        requests:
          nvidia.com/gpu: 1
        limits:
          nvidia.com/gpu: 1
---
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train # <- here
spec:
  completionMode: Indexed
  completions: 2
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      tolerations: [{key: nvidia.com/gpu, operator: Exists}]
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              cpu: "40"
              memory: 400Gi
              nvidia.com/gpu: 4
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
      volumes:
        - name: dshm
          emptyDir: {medium: Memory, sizeLimit: 32Gi}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 4
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      tolerations: [{key: nvidia.com/gpu, operator: Exists}]
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          resources: # <- here
            limits:
              cpu: "32"
              memory: 200Gi
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="GANG-NO-ROOM",
        severity="warning",
        title="There is room for the whole gang",
        why="Pods that work only together either wait together, or, without a gang scheduler, "
        "some of them take GPUs and wait for the others without doing anything.",
        remedy="start it through a queue (Kueue, Volcano, KAI) that waits for room, or make it "
        "smaller",
        source="placed by gpuyard.scheduling on the nodes and pods that were given; CNCF "
        "Kubernetes AI Conformance, gang_scheduling",
        scope="workload",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_gang,
        failing=NODE + BUSY + JOB,
        passing=NODE + BUSY + JOB.replace(" # <- here", "").replace("gpu: 4", "gpu: 3"),
    ),
    Rule(
        id="FIT-LEFT-OVER",
        severity="info",
        title="CPU and memory of a pod leave no GPUs over",
        why="Where the CPU or memory of a node runs out before its GPUs do, the GPUs that are left "
        "serve only pods that ask for little else, or nobody.",
        remedy="ask for no more CPU and memory per GPU than the node has per GPU",
        source="counted by gpuyard.scheduling on the nodes that were given",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_left_over,
        failing=NODE + DEPLOYMENT,
        passing=NODE
        + DEPLOYMENT.replace(" # <- here", "")
        .replace('cpu: "32"', 'cpu: "12"')
        .replace("memory: 200Gi", "memory: 120Gi"),
    ),
)
