"""Several GPUs in one container, and 64 MiB for them to meet in.

NCCL and the workers of a PyTorch DataLoader exchange data through files under ``/dev/shm``. A
container runtime makes it 64 MiB large, and Kubernetes has no field to change that: the way is an
emptyDir in memory, mounted there. Without it NCCL ends with "failed to extend /dev/shm" and a
DataLoader with a bus error, often hours after the start.

Left alone: pods that share the host's IPC namespace, KubeRay (its operator mounts one), shares of a
GPU under MPS (the device plugin mounts its own), MIG instances (NCCL has no path between them),
accelerators without NCCL (TPU, Neuron), and containers that run nvidia-smi, burn GPUs in, or wait.

That processes meet is certain where a launcher, a model server or NCCL's own settings show it, or
the image is called after one. Of a program that is not known it is likely, which is a rule of its
own.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, GpuAsk, PodView
from gpuyard.lint.rule import Append, CelRule, Edit, Hit, Rule
from gpuyard.lint.servers import engine_of
from gpuyard.lint.world import World
from gpuyard.model.quantity import format_quantity, parse_quantity

SHM = "/dev/shm"  # noqa: S108 — the path is what the rule is about
VOLUME = "dshm"  # as the manifests of vLLM and Kubeflow call it
DEFAULT_SIZE = "64 MiB"
GPUS_MIN = 2
MOUNTS_ITS_OWN = frozenset({"RayCluster", "RayJob", "RayService"})
NEVER_RUN = "PodTemplate"  # a ProvisioningRequest asks for nodes by it, with any image
USES_IT = frozenset({"nvidia", "amd"})  # NCCL and RCCL; TPUs and Neuron cores talk without it
WAITS = frozenset({"nvidia-smi", "rocm-smi", "sleep", "sshd", "ssh", "/dev/null"})
RUNS = frozenset(
    {
        *("python", "python3", "torchrun", "accelerate", "deepspeed", "mpirun", "horovodrun"),
        *("vllm", "sglang", "trtllm-serve", "text-generation-launcher", "tritonserver", "ray"),
    }
)
# Each GPU for itself, or copies from GPU to GPU by the driver
WITHOUT_NCCL = re.compile(r"nvbandwidth|gpu-?_?burn|/pause[:@]|^pause[:@]|cuda-?samples|vectoradd")
LAUNCHERS = frozenset(
    {
        *("torchrun", "torch.distributed.run", "torch.distributed.launch", "accelerate"),
        *("deepspeed", "horovodrun", "mpirun", "mpiexec", "composer", "ray"),
    }
)
SIZES = (
    *("--nproc_per_node", "--nproc-per-node", "--tensor-parallel-size", "--tp-size"),
    *("--tensor-model-parallel-size", "--world-size", "--num-processes"),
)
TOGETHER = frozenset({"kubeflow.org", "trainer.kubeflow.org"})
NAMED_AFTER = re.compile(
    r"train|torch|vllm|sglang|nemo|megatron|deepspeed|nccl|horovod|fsdp|xdit|lmdeploy|tensorrt-?llm"
    r"|text-generation|axolotl|trlx?[:@]"
)


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers whose processes meet on several GPUs, and that leave /dev/shm as it is."""
    for container in _asking(pod):
        if _meet(pod, container):
            yield Hit(
                container.resources_path,
                f"container {container.name} has {container.gpus} GPUs, but {SHM} is the default "
                f"{DEFAULT_SIZE}",
                edits=_edits(pod, container),
            )


def check_unknown(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find the same where it is not known what the processes do."""
    for container in _asking(pod):
        if not _meet(pod, container):
            yield Hit(
                container.resources_path,
                f"container {container.name} has {container.gpus} GPUs, and {SHM} is the default "
                f"{DEFAULT_SIZE}; what it runs is not known here",
                edits=_edits(pod, container),
            )


def _asking(pod: PodView) -> Iterator[ContainerView]:
    """Return the containers with several GPUs and the default /dev/shm."""
    kind = pod.workload.kind
    if pod.spec.is_true("hostIPC") or kind in MOUNTS_ITS_OWN or kind == NEVER_RUN:
        return
    if not pod.is_complete:
        return
    for container in pod.containers:
        if container.gpus >= GPUS_MIN and container.mount(SHM) is None and _computes(container):
            yield container


def _meet(pod: PodView, container: ContainerView) -> bool:
    """Tell whether the processes of a container certainly exchange data on their node."""
    return (
        pod.workload.row.group in TOGETHER
        or engine_of(container) is not None
        or any(name.startswith("NCCL_") for name in container.variables)
        or any(word.rpartition("/")[2] in LAUNCHERS for word, _ in container.words)
        or container.flag(*SIZES) is not None
        or NAMED_AFTER.search(container.image) is not None
    )


def _computes(container: ContainerView) -> bool:
    """Tell whether whole GPUs of a kind that meets in shared memory do more than be looked at."""
    asks = container.gpu_asks
    is_part = any(one.resource.sharing == "part" for one in asks)  # HAMi: gpumem beside gpu
    if is_part or not any(_meets(one) for one in asks):
        return False
    return not _waits(container) and WITHOUT_NCCL.search(container.image) is None


def _waits(container: ContainerView) -> bool:
    """Tell whether a command line runs nothing but what looks, or waits for somebody to log in."""
    words = {word for word, _ in container.words}
    names = {word.rpartition("/")[2] for word in words}
    runs = names & RUNS or any(name.endswith((".py", ".sh")) for name in names)
    return bool((words | names) & WAITS) and not runs


def _meets(ask: GpuAsk) -> bool:
    """Tell whether devices of this kind meet each other: NCCL has no path between MIG instances."""
    sharing, vendor = ask.resource.sharing, ask.resource.vendor
    return vendor in USES_IT and (sharing == "whole" or (vendor, sharing) == ("amd", "partition"))


def _edits(pod: PodView, container: ContainerView) -> tuple[Edit, ...]:
    """Return a volume of half the memory limit, as Linux sizes a tmpfs; none without a limit.

    Where another container of the pod has been given one already, it is shared.
    """
    size = _half(container.limits.get("memory"))
    mount = Append(container.at("volumeMounts"), {"name": VOLUME, "mountPath": SHM})
    there = [one for _, one in pod.spec.mappings("volumes") if one.get("name") == VOLUME]
    if there:
        is_memory = plain.text(there[0], "emptyDir", "medium") == "Memory"
        return (mount,) if is_memory else ()
    if size is None:
        return ()
    volume = {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": size}}
    return mount, Append(pod.spec.at("volumes"), volume)


def _half(memory: object) -> str | None:
    if not isinstance(memory, str | int):
        return None
    try:
        size = parse_quantity(memory) // 2
    except ValueError:
        return None
    mebi = size // 2**20
    return format_quantity(mebi * 2**20, binary=True) if mebi > 0 else None


_SERVICE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: recommend
spec:
  selector:
    matchLabels: {{app: recommend}}
  template:
    metadata:
      labels: {{app: recommend}}
    spec:
      containers:
        - name: server
          image: registry.example/recommend:1.4
          resources:{mark}
            limits:
              memory: 64Gi
              nvidia.com/gpu: 2
"""
_VOLUME = """\
          volumeMounts:
            - name: dshm
              mountPath: /dev/shm
      volumes:
        - name: dshm
          emptyDir:
            medium: Memory
            sizeLimit: 8Gi
"""

RULES = (
    Rule(
        id="GPU-SHM-UNKNOWN",
        severity="warning",
        title="A container with several GPUs has shared memory of a size",
        why="Programs that use several GPUs mostly exchange data under /dev/shm, of which a "
        "container gets 64 MiB. Whether this one does cannot be seen from its manifest.",
        remedy="mount an emptyDir with medium: Memory and a sizeLimit at /dev/shm, or say why not",
        source="NCCL user guide, Troubleshooting, Shared memory; NVIDIA/nccl #290, #525",
        scope="pod",
        check=check_unknown,
        has_fix=True,
        failing=_SERVICE.format(mark=" # <- here"),
        passing=_SERVICE.format(mark="") + _VOLUME,
    ),
    Rule(
        id="GPU-SHM",
        severity="error",
        title="Several GPUs need more shared memory than the default",
        why="NCCL and DataLoader workers exchange data under /dev/shm. A container gets 64 MiB of "
        "it, and what needs more stops with 'failed to extend /dev/shm' or a bus error, often "
        "hours after the start.",
        remedy="mount an emptyDir with medium: Memory and a sizeLimit at /dev/shm; it counts "
        "towards the memory limit",
        source="NCCL user guide, Troubleshooting, Shared memory; NVIDIA/nccl #290, #525; "
        "pytorch #16979; core/v1 EmptyDirVolumeSource",
        scope="pod",
        check=check,
        has_fix=True,
        cel=CelRule(  # quieter than the rule: command lines show it nothing but who only waits
            "variables.spec.?hostIPC.orValue(false) || variables.spec.containers.all(c, "
            "!['nvidia.com/gpu', 'amd.com/gpu'].exists(name, "
            "name in c.?resources.?limits.orValue({}) && "
            "!(string(c.resources.limits[name]) in ['0', '1'])) || "
            "c.?resources.?limits.orValue({}).exists(name, name.matches('gpu-?(mem|cores)')) || "
            "c.?volumeMounts.orValue([]).exists(m, m.mountPath in ['/dev/shm', '/dev/shm/']) || "
            f"c.image.matches('{WITHOUT_NCCL.pattern}') || "
            f"!(c.image.matches('{NAMED_AFTER.pattern}') || "
            "c.?env.orValue([]).exists(e, e.name.startsWith('NCCL_'))) || "
            "(c.?command.orValue([]) + c.?args.orValue([])).exists(word, "
            "word.matches('nvidia-smi|rocm-smi|sleep|sshd|/dev/null')))",
            except_kinds=(NEVER_RUN, *(f"ray.io/{kind}" for kind in sorted(MOUNTS_ITS_OWN))),
        ),
        failing="""\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources: # <- here
            limits:
              memory: 64Gi
              nvidia.com/gpu: 4
""",
        passing="""\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              memory: 64Gi
              nvidia.com/gpu: 4
          volumeMounts:
            - name: dshm
              mountPath: /dev/shm
      volumes:
        - name: dshm
          emptyDir:
            medium: Memory
            sizeLimit: 32Gi
""",
    ),
)
