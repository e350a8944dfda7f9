"""A /dev/shm that is mounted, and still not what it looks like.

A memory-backed emptyDir holds the smaller of its ``sizeLimit`` and the memory limits of all
containers of the pod together, and each page counts as memory of the container that wrote it. A
limit above that sum is never reached: the container is killed first. A volume without
``medium: Memory`` at /dev/shm is a folder on the node's disk: it works, slowly, and wears the disk.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import Mount, PodView
from gpuyard.lint.amounts import amount, size
from gpuyard.lint.rule import CelRule, Hit, Rule, Set
from gpuyard.lint.rules.resources.shared_memory import DEFAULT_SIZE, SHM
from gpuyard.lint.world import World

DEFAULT_BYTES = 64 * 2**20
SOURCE = "k8s.io/api 1.37, core/v1 EmptyDirVolumeSource; coreweave/kubernetes-cloud #219"


def mounts(pod: PodView) -> Iterator[Mount]:
    """Return one mount at /dev/shm for each volume that is mounted there from an emptyDir."""
    seen = set()
    for container in pod.containers:
        mount = container.mount(SHM)
        if mount and mount.name not in seen and "emptyDir" in mount.volume:
            seen.add(mount.name)
            yield mount


def check_size(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find a sizeLimit that memory limits keep from being reached, or below the default."""
    for mount in mounts(pod):
        if not mount.is_memory:
            continue
        written = plain.get(mount.volume, "emptyDir", "sizeLimit")
        limit, memory = amount(written), _memory(pod)
        path = (*mount.volume_path, "emptyDir", "sizeLimit")
        if limit is not None and memory is not None and limit > memory:
            yield Hit(
                path,
                f"{SHM} may hold {written}, but the memory limits of the pod are {size(memory)} "
                "together and its pages count towards them",
            )
        elif limit is not None and limit < DEFAULT_BYTES:
            yield Hit(path, f"{SHM} is made {written}, less than the default of {DEFAULT_SIZE}")


def check_bounds(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find a volume in memory that nothing bounds but the node."""
    if _memory(pod) is not None or not pod.is_complete:
        return
    for mount in mounts(pod):
        if mount.is_memory and plain.get(mount.volume, "emptyDir", "sizeLimit") is None:
            yield Hit(
                (*mount.volume_path, "emptyDir"),
                f"volume {mount.name} at {SHM} has no sizeLimit and a container of the pod has no "
                "memory limit",
            )


def check_disk(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find a /dev/shm on a disk."""
    for mount in mounts(pod):
        if not mount.is_memory and not plain.text(mount.volume, "emptyDir", "medium"):
            path = (*mount.volume_path, "emptyDir")
            yield Hit(
                path,
                f"volume {mount.name} at {SHM} is an emptyDir on the node's disk",
                edits=(Set((*path, "medium"), "Memory"),),
            )


def _memory(pod: PodView) -> int | None:
    """Return the memory limits together; `None` where a container has none."""
    total = 0
    for container in pod.containers:
        limit = amount(container.limits.get("memory"))
        if limit is None:
            return None
        total += limit
    return total


_EXAMPLE = """\
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
"""

RULES = (
    Rule(
        id="GPU-SHM-SIZE",
        severity="warning",
        title="Shared memory fits into the memory limit",
        why="What is written to /dev/shm is memory of the container. With a sizeLimit above the "
        "memory limits the container is killed long before the volume is full, and the log "
        "blames the process, not the volume.",
        remedy="raise the memory limit, or set sizeLimit below it (half of it is common)",
        source=SOURCE,
        scope="pod",
        check=check_size,
        failing=_EXAMPLE
        + """\
          emptyDir:
            medium: Memory
            sizeLimit: 128Gi # <- here
""",
        passing=_EXAMPLE
        + """\
          emptyDir:
            medium: Memory
            sizeLimit: 32Gi
""",
    ),
    Rule(
        id="GPU-SHM-DISK",
        severity="warning",
        title="Shared memory is in memory",
        why="An emptyDir without a medium is a folder on the node's disk. Mounted at /dev/shm it "
        "makes every exchange between processes a write to that disk.",
        remedy="set medium: Memory in its emptyDir",
        source=SOURCE,
        scope="pod",
        check=check_disk,
        has_fix=True,
        cel=CelRule(
            "!has(variables.spec.volumes) || variables.spec.containers.all(c, "
            "!has(c.volumeMounts) || c.volumeMounts.all(m, "
            "m.mountPath != '/dev/shm' || variables.spec.volumes.all(v, "
            "v.name != m.name || !has(v.emptyDir) || (has(v.emptyDir.medium) && "
            "v.emptyDir.medium != ''))))"
        ),
        failing=_EXAMPLE
        + """\
          emptyDir: # <- here
            sizeLimit: 32Gi
""",
        passing=_EXAMPLE
        + """\
          emptyDir:
            medium: Memory
            sizeLimit: 32Gi
""",
    ),
    Rule(
        id="GPU-SHM-UNBOUNDED",
        severity="info",
        title="Shared memory is bounded",
        why="A volume in memory without a sizeLimit may grow to the memory limits of its pod, and "
        "without those to all the memory of the node. Other pods are killed before it stops.",
        remedy="set emptyDir.sizeLimit, or a memory limit on every container",
        source=SOURCE,
        scope="pod",
        check=check_bounds,
        failing=_EXAMPLE.replace("              memory: 64Gi\n", "")
        + """\
          emptyDir: # <- here
            medium: Memory
""",
        passing=_EXAMPLE
        + """\
          emptyDir:
            medium: Memory
""",
    ),
)
