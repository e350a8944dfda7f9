"""Which GPUs a container sees, chosen by hand.

The device plugin hands a container its GPUs and numbers them from 0, whatever their numbers on the
node. ``CUDA_VISIBLE_DEVICES`` in a manifest chooses among those: CUDA stops reading at the first
number that does not exist, so ``2,3`` in a container with two GPUs leaves none. A number that was
right on a workstation is the usual origin.

``NVIDIA_VISIBLE_DEVICES`` is the plugin's own word to the container runtime. In a container that
asks for no GPU it opens GPUs that belong to others, uncounted: two pods share a device, and the one
that paid for it runs out of memory. Daemons that watch devices do this on purpose and are left
alone; so are ``void`` and ``none``, which close the door.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, EnvVar, GpuAsk, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

CHOICE = "CUDA_VISIBLE_DEVICES"
DOOR = "NVIDIA_VISIBLE_DEVICES"
NUMBERED = frozenset({"nvidia", "amd"})  # ROCm reads the variable too
CLOSED = frozenset({"", "void", "none"})
NUMBERS = re.compile(r"[0-9]{1,3}(,[0-9]{1,3})*")
DEVICE_FILES = re.compile(r"/dev/(nvidia([0-9]+|ctl|-uvm|-uvm-tools|-modeset)|kfd|dri(/.*)?)")


def check_numbers(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find numbers of GPUs that the container does not have."""
    for container, choice, numbers in _choices(pod):
        beyond = [number for number in numbers if number >= container.gpus]
        if beyond:
            yield Hit(
                (*choice.path, "value"),
                f"{CHOICE} names GPU {beyond[0]}, but container {container.name} has "
                f"{count(container.gpus, 'GPU')}, numbered from 0",
            )


def check_fewer(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPUs that are asked for and then hidden."""
    for container, choice, numbers in _choices(pod):
        used = len(set(numbers))
        if used < container.gpus and max(numbers) < container.gpus:
            yield Hit(
                (*choice.path, "value"),
                f"{CHOICE} shows {used} of the {count(container.gpus, 'GPU')} of container "
                f"{container.name}",
            )


def check_door(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that take GPUs past the scheduler."""
    if pod.workload.row.lifetime == "daemon" or pod.claims:
        return
    for container in pod.all_containers:
        door = container.env(DOOR)
        if door is None or door.value is None or container.gpu_asks:
            continue
        if door.value.lower() not in CLOSED and "$" not in door.value and pod.is_complete:
            yield Hit(
                door.path,
                f"container {container.name} sets {DOOR}={door.value} and asks for no GPU",
            )


def check_files(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find device files of GPUs mounted from the node."""
    if pod.workload.row.lifetime == "daemon":
        return
    for index, volume in pod.spec.mappings("volumes"):
        path = plain.text(volume, "hostPath", "path").rstrip("/")
        if DEVICE_FILES.fullmatch(path):
            yield Hit(
                pod.spec.at("volumes", index, "hostPath", "path"),
                f"volume {plain.text(volume, 'name')} is the node's {path}",
                of="value",
            )


def _choices(pod: PodView) -> Iterator[tuple[ContainerView, EnvVar, list[int]]]:
    """Return the containers with whole GPUs that choose among them by number."""
    for container in pod.containers:
        choice = container.env(CHOICE)
        if choice is None or container.is_privileged or container.env(DOOR):
            continue  # privileged, or with a door of its own, it may see more than it asked for
        asks = container.gpu_asks
        if not container.gpus or not all(_is_numbered(ask) for ask in asks):
            continue
        if choice.value and NUMBERS.fullmatch(choice.value) and not container.claims:
            yield container, choice, [int(number) for number in choice.value.split(",")]


def _is_numbered(ask: GpuAsk) -> bool:
    """Tell whether devices of this kind are those that the variable numbers."""
    return ask.resource.vendor in NUMBERED and ask.resource.sharing != "part"


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
"""
_TWO = """\
      resources:
        limits:
          nvidia.com/gpu: 2
      volumeMounts:
        - {name: dshm, mountPath: /dev/shm}
  volumes:
    - name: dshm
      emptyDir: {medium: Memory, sizeLimit: 8Gi}
"""
_CUDA = "CUDA C++ programming guide, CUDA environment variables"

RULES = (
    Rule(
        id="GPU-CUDA-INDEX",
        severity="error",
        title="CUDA_VISIBLE_DEVICES names GPUs that the container has",
        why="Inside a container GPUs are numbered from 0. CUDA ignores the first number that does "
        "not exist and all after it, so the process starts with too few GPUs or with none.",
        remedy=f"remove {CHOICE}: the device plugin shows each container its own GPUs",
        source=f"{_CUDA}; NVIDIA/k8s-device-plugin v0.20 Allocate",
        scope="pod",
        check=check_numbers,
        failing=_POD
        + """\
      env:
        - name: CUDA_VISIBLE_DEVICES
          value: "2,3" # <- here
"""
        + _TWO,
        passing=_POD + _TWO,
    ),
    Rule(
        id="GPU-CUDA-FEWER",
        severity="warning",
        title="CUDA_VISIBLE_DEVICES hides no GPU that was asked for",
        why="What is hidden stays allocated: nobody else can use it, and it shows up as idle.",
        remedy=f"remove {CHOICE}, or ask for as many GPUs as it names",
        source=_CUDA,
        scope="pod",
        check=check_fewer,
        failing=_POD
        + """\
      env:
        - name: CUDA_VISIBLE_DEVICES
          value: "0" # <- here
"""
        + _TWO,
        passing=_POD
        + """\
      env:
        - name: CUDA_VISIBLE_DEVICES
          value: "0,1"
"""
        + _TWO,
    ),
    Rule(
        id="GPU-UNCOUNTED",
        severity="warning",
        title="A container that uses a GPU asks for it",
        why="NVIDIA_VISIBLE_DEVICES opens devices behind the scheduler's back: they belong to "
        "other pods, nobody counts them, and the owner runs out of memory.",
        remedy=f"remove {DOOR} and ask for nvidia.com/gpu in limits",
        source="NVIDIA/k8s-device-plugin #61, #87; NVIDIA container toolkit documentation",
        scope="pod",
        check=check_door,
        gpu_only=False,
        failing=_POD
        + """\
      env:
        - {name: NVIDIA_VISIBLE_DEVICES, value: all} # <- here
""",
        passing=_POD
        + """\
      resources:
        limits:
          nvidia.com/gpu: 1
""",
    ),
    Rule(
        id="GPU-DEVICE-FILES",
        severity="warning",
        title="Device files of GPUs are not mounted from the node",
        why="A device file in a volume is refused by the device cgroup unless the container is "
        "privileged, and then it opens a GPU that may belong to another pod.",
        remedy="remove the volume and ask for the GPU in limits: the device plugin hands over "
        "the files and the right to use them",
        source="Kubernetes documentation, Device Plugins; NVIDIA/k8s-device-plugin #87; "
        "bottlerocket-os #3718",
        scope="pod",
        check=check_files,
        gpu_only=False,
        failing=_POD
        + """\
      volumeMounts:
        - {name: gpu, mountPath: /dev/nvidia0}
  volumes:
    - name: gpu
      hostPath:
        path: /dev/nvidia0 # <- here
""",
        passing=_POD
        + """\
      resources:
        limits:
          nvidia.com/gpu: 1
""",
    ),
)
