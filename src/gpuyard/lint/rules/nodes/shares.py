"""Shared GPUs and slices, as the nodes offer them.

GPU Feature Discovery labels a node with how its GPUs are shared and how they are cut. Which nodes a
pod may go to is the scheduling core's answer; only where all of them agree is something said.
"""

from collections import Counter
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.fleet import fleet, template
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World
from gpuyard.model.nodes import Node

STRATEGY = "nvidia.com/gpu.sharing-strategy"
REPLICAS = "nvidia.com/gpu.replicas"
MIG_STRATEGY = "nvidia.com/mig.strategy"
MIG_STATE = "nvidia.com/mig.config.state"
MIG_CONFIG = "nvidia.com/mig.config"
GKE_SLICES = "cloud.google.com/gke-gpu-partition-size"
PRODUCT = "nvidia.com/gpu.product"
DRIVER = tuple(f"nvidia.com/cuda.driver-version.{part}" for part in ("major", "minor", "revision"))
WAITING = frozenset({"pending", "rebooting"})
SHARED = frozenset({"time-slicing", "mps"})
MIG_PREFIX = "nvidia.com/mig-"
BROKEN_DRIVERS = ((570, 124, 0), (570, 158, 999))
"""With these drivers pods are not placed on nodes with whole GPUs and slices."""


def check_several(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that ask for several shares, believing that they get as many GPUs."""
    wanted = pod.devices.get("nvidia.com/gpu", 0)
    if wanted < 2 or pod.spec.text("nodeName"):  # noqa: PLR2004
        return
    nodes, asked = fleet(world), template(pod)
    if nodes is None or asked is None:
        return
    going = [node for node in nodes.nodes_for(asked) if node.allocatable.get("nvidia.com/gpu")]
    labels = [dict(node.labels) for node in going]
    if going and all(one.get(STRATEGY) in SHARED for one in labels):
        ask = next(ask for ask in pod.gpu_asks if ask.resource.name == "nvidia.com/gpu")
        times = labels[0].get(REPLICAS, "several")
        yield Hit(
            ask.path,
            f"the pod asks for {wanted} GPUs, but every node it may go to shares each of them "
            f"{times} times: it gets {wanted} shares, perhaps of the same GPU",
        )


def check_gang(workload: Workload, world: World) -> Iterator[Hit]:
    """Find gangs of which every pod gets a share."""
    pods = workload.gpu_pods
    if workload.row.lifetime != "task" or (workload.together or 0) < 2:  # noqa: PLR2004
        return
    if not any(pod.job is None or pod.job.text("completionMode") == "Indexed" for pod in pods):
        return  # one by one they are of use as well
    nodes = fleet(world)
    for pod in pods:
        asked = template(pod) if nodes is not None else None
        if nodes is None or asked is None or not pod.devices.get("nvidia.com/gpu"):
            return
        going = [node for node in nodes.nodes_for(asked) if node.allocatable.get("nvidia.com/gpu")]
        if not going or not all(dict(node.labels).get(STRATEGY) in SHARED for node in going):
            return
    yield Hit(
        ("metadata", "name"),
        f"its {count(workload.together or 0, 'pod')} work together, but every node that they may "
        "go to shares its GPUs with other pods",
    )


def check_waiting(world: World, _world: World) -> Iterator[Hit]:
    """Find nodes whose slices are to change while pods use their GPUs."""
    busy = Counter(
        pod.text("spec", "nodeName")
        for pod in world.of_kind("Pod")
        if pod.workload and pod.workload.asks_gpus and pod.text("status", "phase") == "Running"
    )
    for node in world.of_kind("Node"):
        state = node.labels.get(MIG_STATE, "")
        if state in WAITING and busy[node.name]:
            yield Hit(
                ("metadata", "labels", MIG_STATE),
                f"the change to MIG configuration {node.labels.get(MIG_CONFIG, 'unknown')} is "
                f"{state}, "
                f"and {count(busy[node.name], 'pod')} on the node "
                f"{'uses' if busy[node.name] == 1 else 'use'} its GPUs",
                on=node,
            )


def check_profile(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that ask for a slice that no node offers."""
    asks = [ask for ask in pod.gpu_asks if ask.resource.name.startswith(MIG_PREFIX)]
    nodes = fleet(world) if asks else None
    if nodes is None:
        return
    offered = {
        name
        for node in nodes.nodes
        for name, amount in node.allocatable.amounts
        if name.startswith(MIG_PREFIX) and amount
    }
    for ask in asks:
        if ask.resource.name not in offered:
            yield Hit(
                ask.path,
                f"no node offers {ask.resource.name}: {_instead(offered, nodes.nodes)}",
                remedy=_remedy(offered),
            )


def check_state(node: Entry, _world: World) -> Iterator[Hit]:
    """Find nodes on which a change of slices failed, or left slices that nothing can use."""
    state, config = node.labels.get(MIG_STATE), node.labels.get(MIG_CONFIG, "")
    if state == "failed":
        yield Hit(
            ("metadata", "labels", MIG_STATE),
            f"the change to MIG configuration {config or 'of the node'} failed",
        )
    elif "MIG-INVALID" in node.labels.get(PRODUCT, ""):
        yield Hit(
            ("metadata", "labels", PRODUCT),
            f"its slices do not go with mig.strategy {node.labels.get(MIG_STRATEGY, 'single')}, "
            "so that it offers no GPU",
        )


def check_driver(node: Entry, _world: World) -> Iterator[Hit]:
    """Find drivers under which nodes with whole GPUs and slices get no pods."""
    version = tuple(node.labels.get(label, "") for label in DRIVER)
    if not all(part.isdecimal() for part in version[:2]):
        return
    numbers = (int(version[0]), int(version[1]), int(version[2]) if version[2].isdecimal() else 0)
    offers = node.mapping("status", "allocatable")
    slices = [name for name in offers if name.startswith(MIG_PREFIX) and offers[name] != "0"]
    whole = str(offers.get("nvidia.com/gpu", "0"))
    is_broken = BROKEN_DRIVERS[0] <= numbers <= BROKEN_DRIVERS[1]
    if is_broken and slices and whole != "0":
        yield Hit(
            ("metadata", "labels", DRIVER[0]),
            f"driver {'.'.join(part for part in version if part)} and a node with {whole} whole "
            f"and {count(len(slices), 'kind')} of sliced GPUs: pods stay Pending there",
        )


def _instead(offered: set[str], nodes: tuple[Node, ...]) -> str:
    if offered:
        return f"there are {', '.join(sorted(offered))}"
    if any(GKE_SLICES in dict(node.labels) for node in nodes):
        return f"on GKE slices are called nvidia.com/gpu, and {GKE_SLICES} selects their size"
    strategies = {dict(node.labels).get(MIG_STRATEGY) for node in nodes} - {None}
    if strategies == {"single"}:
        return "mig.strategy is single on all nodes, so that slices are called nvidia.com/gpu"
    return f"none of {count(len(nodes), 'node')} has slices"


def _remedy(offered: set[str]) -> str | None:
    if offered:
        return "ask for a profile that is there; its name differs with the memory of the GPU"
    return None


HEAD = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels:
    nvidia.com/gpu.sharing-strategy: SHARING
    nvidia.com/gpu.replicas: "4"
    nvidia.com/mig.strategy: mixed
    nvidia.com/mig.config.state: success
    nvidia.com/cuda.driver-version.major: "570"
    nvidia.com/cuda.driver-version.minor: "172"
    nvidia.com/cuda.driver-version.revision: "08"
status:
  allocatable:
    cpu: "96"
    memory: 1000Gi
    pods: "110"
    nvidia.com/gpu: "8"
    nvidia.com/mig-1g.10gb: "7"
"""
WHOLE, SLICED = HEAD.replace("SHARING", "none"), HEAD.replace("SHARING", "time-slicing")
POD = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          memory: 64Gi
          RESOURCE
      volumeMounts:
        - {name: dshm, mountPath: /dev/shm}
  volumes:
    - name: dshm
      emptyDir: {medium: Memory, sizeLimit: 32Gi}
"""

RUNNING = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  nodeName: gpu-0
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        requests:
          nvidia.com/gpu: 1
        limits:
          nvidia.com/gpu: 1
status:
  phase: Running
"""
JOB = """\
---
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
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="SHARE-SEVERAL",
        severity="warning",
        title="A pod does not ask for several shares of a GPU",
        why="Two shares are not two GPUs: both may be of the same one, and a share gives neither "
        "more time nor more memory. With failRequestsGreaterThanOne the kubelet refuses the pod.",
        remedy="ask for 1, or select nodes whose GPUs are not shared",
        source="NVIDIA/k8s-device-plugin v0.17 README, Shared Access to GPUs; #323, #569",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_several,
        failing=SLICED + POD.replace("RESOURCE", "nvidia.com/gpu: 2 # <- here"),
        passing=WHOLE + POD.replace("RESOURCE", "nvidia.com/gpu: 2"),
    ),
    Rule(
        id="SHARE-GANG",
        severity="warning",
        title="Pods that work together do not share their GPUs with others",
        why="In each step all wait for the slowest. One rank whose GPU somebody else uses halves "
        "the speed of all, and a neighbour that fills the memory ends the whole job.",
        remedy="select nodes whose GPUs are not shared, by nvidia.com/gpu.sharing-strategy: none "
        "for instance",
        source="NVIDIA/k8s-device-plugin v0.17 README, Shared Access to GPUs; #323, #569, #720",
        scope="workload",
        needs="cluster",
        reads=("Node",),
        check=check_gang,
        failing=SLICED + JOB,
        passing=WHOLE + JOB.replace(" # <- here", ""),
    ),
    Rule(
        id="NODE-MIG-WAITS",
        severity="warning",
        title="Slices are not changed under pods that use them",
        why="A GPU cannot be cut anew while it is in use. The change waits, fails, or where a "
        "reboot is allowed takes the pods with it.",
        remedy="drain the node of pods with GPUs before its mig.config changes",
        source="NVIDIA/gpu-operator #1361; GPU Operator documentation, MIG, Considerations",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_waiting,
        failing=WHOLE.replace("state: success", "state: pending # <- here") + RUNNING,
        passing=WHOLE + RUNNING,
    ),
    Rule(
        id="MIG-NO-SLICE",
        severity="warning",
        title="A MIG profile that is asked for is offered by a node",
        why="Profiles are named after the memory of the GPU they are cut from: 1g.10gb is of an "
        "80 GB GPU, 1g.18gb of an H200. One that no node offers keeps the pod Pending for ever.",
        remedy="ask for nvidia.com/gpu and select nvidia.com/gpu.product, or cut a GPU that way",
        source="NVIDIA MIG user guide, Supported Profiles; NVIDIA/k8s-device-plugin #446, #728, "
        "#960",
        scope="pod",
        needs="cluster",
        reads=("Node",),
        check=check_profile,
        failing=WHOLE + POD.replace("RESOURCE", "nvidia.com/mig-1g.18gb: 1 # <- here"),
        passing=WHOLE + POD.replace("RESOURCE", "nvidia.com/mig-1g.10gb: 1"),
    ),
    Rule(
        id="NODE-MIG-STATE",
        severity="error",
        title="The slices of a node are those that it was told to have",
        why="MIG Manager stops the GPU's clients, changes the slices and starts them again. Where "
        "that fails the device plugin may stay away, and the node offers other slices or none.",
        remedy="look into the log of nvidia-mig-manager on the node; pods that still use a GPU and "
        "drivers that need a reboot (WITH_REBOOT=true) are the usual reasons",
        source="NVIDIA/gpu-operator #1361; NVIDIA/k8s-device-plugin v0.17, "
        "internal/lm/mig-strategy.go",
        scope="object",
        kinds=("Node",),
        needs="cluster",
        reads=("Node",),
        check=check_state,
        failing=WHOLE.replace("state: success", "state: failed # <- here"),
        passing=WHOLE,
    ),
    Rule(
        id="NODE-MIG-DRIVER",
        severity="warning",
        title="The driver of a node with slices and whole GPUs is sound",
        why="Drivers 570.124 to 570.158 report such a node so that pods that ask for its GPUs are "
        "not started.",
        remedy="use driver 570.172.08 or later, or cut all GPUs of a node or none",
        source="NVIDIA/gpu-operator #1361; NVIDIA/cloud-native-docs #205, #221 (notes of 25.3)",
        scope="object",
        kinds=("Node",),
        needs="cluster",
        reads=("Node",),
        check=check_driver,
        failing=WHOLE.replace('major: "570"', 'major: "570" # <- here').replace('"172"', '"133"'),
        passing=WHOLE,
    ),
)
