"""What the nodes offer of NICs, and what pods take of it.

Three mistakes show only beside the nodes. A pod asks for a network resource that no node has: it
waits for ever. A pod takes all GPUs of a node and some of its NICs: the other rails lie idle and
the GPUs share what is left. A training job of several pods asks for no NIC although its nodes have
them: it runs, over TCP.

Slots (``rdma/…``) are not compared with GPUs: their number says nothing of cards.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.nodes.candidates import (
    candidates,
    gpu_nodes,
    gpus_offered,
    of_candidates,
    offered,
)
from gpuyard.lint.rules.rdma.nics import is_nic, is_slot, nic_asks
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

NODE = ("Node",)


def check_offered(pod: PodView, world: World) -> Iterator[Hit]:
    """Find network resources that are asked for and that no node has."""
    nodes = world.once(gpu_nodes)
    for ask in nic_asks(pod) if nodes else ():
        most = max((offered(node, ask.name) for node in nodes), default=0)
        if most < ask.count:
            yield Hit(
                ask.path,
                f"container {ask.container.name} asks for {ask.count} of {ask.name}, but of "
                f"{count(len(nodes), 'GPU node')} none offers more than {most}",
            )


def check_rails(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that take all GPUs of their nodes, and not all NICs."""
    for ask in nic_asks(pod):
        if is_slot(ask.name):
            continue
        whole = [node for node in candidates(pod, world) if gpus_offered(node) == pod.gpus]
        fewest = min((offered(node, ask.name) for node in whole), default=0)
        if 0 < ask.count < fewest:
            yield Hit(
                ask.path,
                f"the pod takes all {count(pod.gpus, 'GPU')} of its node, but {ask.count} of "
                f"{fewest} {ask.name}",
                of="value",
                remedy=f"ask for {fewest} of {ask.name}, with as many networks",
            )


def check_unused(workload: Workload, world: World) -> Iterator[Hit]:
    """Find training jobs over several nodes that leave the RDMA of their nodes alone."""
    if workload.row.lifetime != "task" or (workload.together or 0) < 2:  # noqa: PLR2004 — several
        return
    for pod in workload.gpu_pods:
        if _reaches_nics(pod) or (pod.count or 0) < 2:  # noqa: PLR2004 — several
            continue
        if of_candidates(pod, world, _gpus_of_each) != {pod.gpus}:
            continue  # several pods may meet on one node, over NVLink
        names = of_candidates(pod, world, _nics_of_all)
        if names:
            yield Hit(
                pod.containers[0].resources_path if pod.containers else pod.spec_path,
                f"{count(pod.count or 0, 'pod')} of {count(pod.gpus, 'GPU')} over as many nodes, "
                f"and none asks for {min(names)}, which every such node offers",
            )


def _gpus_of_each(nodes: list[Entry]) -> set[int]:
    return {gpus_offered(node) for node in nodes}


def _nics_of_all(nodes: list[Entry]) -> set[str]:
    return set.intersection(*map(_nics_of, nodes)) if nodes else set()


def _nics_of(node: Entry) -> set[str]:
    names = node.mapping("status", "allocatable")
    return {name for name in names if "/" in name and is_nic(name) and offered(node, name)}


def _reaches_nics(pod: PodView) -> bool:
    """Tell whether it asks for NICs, or may see those of the host without asking."""
    return (
        not pod.is_complete
        or bool(pod.claims)
        or pod.spec.is_true("hostNetwork")
        or any(container.is_privileged for container in pod.containers)
        or any(is_nic(name) for one in pod.containers for name in one.limits if "/" in name)
    )


_NODES = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    nvidia.com/gpu: "8"
    vpc.amazonaws.com/efa: "32"
---
"""
_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists}
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      volumeMounts:
        - {name: dshm, mountPath: /dev/shm}
      resources:
        limits:
          nvidia.com/gpu: 8
"""
_VOLUMES = """\
  volumes:
    - name: dshm
      emptyDir: {medium: Memory, sizeLimit: 64Gi}
"""
_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  completionMode: Indexed
  parallelism: 2
  completions: 2
  template:
    spec:
      restartPolicy: Never
      tolerations:
        - {key: nvidia.com/gpu, operator: Exists}
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
"""
_JOB_VOLUMES = """\
      volumes:
        - name: dshm
          emptyDir: {medium: Memory, sizeLimit: 64Gi}
"""

RULES = (
    Rule(
        id="RDMA-NOT-OFFERED",
        severity="warning",
        title="A network resource is one that nodes offer",
        why="A pod that asks for a resource no node has is never scheduled. The name is chosen by "
        "whoever configured the device plugin and differs between clusters.",
        remedy="use the name that kubectl get nodes -o json shows under status.allocatable",
        source="Kubernetes documentation, Extended resources; k8s-rdma-shared-dev-plugin v1.5, "
        "README; sriov-network-device-plugin v3.9, README",
        scope="pod",
        needs="cluster",
        reads=NODE,
        check=check_offered,
        failing=_NODES + _POD + "          rdma/hca_a: 1 # <- here\n" + _VOLUMES,
        passing=_NODES + _POD + "          vpc.amazonaws.com/efa: 32\n" + _VOLUMES,
    ),
    Rule(
        id="RDMA-RAILS",
        severity="warning",
        title="A pod with all GPUs of a node takes all of its NICs",
        why="Each GPU has a NIC beside it. With fewer NICs several GPUs share one, and traffic "
        "crosses the CPU; the NICs left over are of no use to anybody else.",
        remedy="ask for as many NICs as the node offers",
        source="AWS documentation, Maximize network bandwidth on instances with multiple network "
        "cards; NVIDIA network-operator v26.1, multi-rail examples",
        scope="pod",
        needs="cluster",
        reads=NODE,
        check=check_rails,
        failing=_NODES + _POD + "          vpc.amazonaws.com/efa: 4 # <- here\n" + _VOLUMES,
        passing=_NODES + _POD + "          vpc.amazonaws.com/efa: 32\n" + _VOLUMES,
    ),
    Rule(
        id="RDMA-UNUSED",
        severity="warning",
        title="A job over several nodes uses the RDMA that they offer",
        why="Without a NIC in the pod NCCL goes over TCP: all-reduce between nodes then takes "
        "several times as long, and the GPUs wait for it in every step.",
        remedy="add the NIC resource to the limits, and IPC_LOCK",
        source="NVIDIA/nccl #1131; NCCL user guide 2.28, NCCL_IB_DISABLE",
        scope="workload",
        needs="cluster",
        reads=NODE,
        check=check_unused,
        failing=_NODES
        + _JOB
        + "          resources: # <- here\n            limits: {nvidia.com/gpu: 8}\n"
        + _JOB_VOLUMES,
        passing=_NODES
        + _JOB
        + "          resources:\n"
        + "            limits: {nvidia.com/gpu: 8, vpc.amazonaws.com/efa: 32}\n"
        + _JOB_VOLUMES,
    ),
)
