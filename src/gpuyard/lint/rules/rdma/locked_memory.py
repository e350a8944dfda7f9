"""RDMA pins memory, and a container may lock 64 KiB or 8 MiB of it.

A NIC reads and writes memory that must not move, so libraries register (lock) it. How much a
process may lock is RLIMIT_MEMLOCK, which Kubernetes has no field for: containerd under systemd
hands down 8 MiB. The capability IPC_LOCK lifts the limit, for root. For another user the kernel
drops added capabilities at the exec, and nothing says so: registration fails and NCCL goes over
TCP.

Left alone: privileged containers (they have all capabilities), and EFA, whose node images raise the
limit of the runtime.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Append, CelRule, Hit, Rule
from gpuyard.lint.rules.rdma.nics import EFA, nic_asks
from gpuyard.lint.world import World

LIFTS = frozenset({"IPC_LOCK", "SYS_RESOURCE", "SYS_ADMIN", "ALL"})


def check_missing(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that ask for RDMA and may not lock the memory it needs."""
    seen = set()
    for ask in nic_asks(pod):
        container = ask.container
        if ask.name == EFA or container.is_privileged or container.capabilities & LIFTS:
            continue
        if container.path not in seen:
            seen.add(container.path)
            yield Hit(
                ask.path,
                f"container {container.name} asks for {ask.name}, but does not add IPC_LOCK",
                edits=(Append(container.at("securityContext", "capabilities", "add"), "IPC_LOCK"),),
            )


def check_inert(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers whose IPC_LOCK is dropped, because they do not run as root."""
    for container in pod.containers:
        if "IPC_LOCK" not in container.capabilities or container.is_privileged:
            continue
        user = container.security("runAsUser")
        if _is_other_user(user) or (user is None and container.security("runAsNonRoot") is True):
            yield Hit(
                _user_path(pod, container),
                f"container {container.name} adds IPC_LOCK and runs as {_named(user)}, for whom "
                "the capability has no effect",
                of="value",
            )


def _is_other_user(user: object) -> bool:
    return isinstance(user, int) and not isinstance(user, bool) and user != 0


def _named(user: object) -> str:
    return f"user {user}" if isinstance(user, int) else "another user than root"


def _user_path(pod: PodView, container: ContainerView) -> tuple[str | int, ...]:
    for field in ("runAsUser", "runAsNonRoot"):
        if container.get("securityContext", field) is not None:
            return container.at("securityContext", field)
        if pod.spec.get("securityContext", field) is not None:
            return pod.spec.at("securityContext", field)
    return container.at("securityContext")


RULES = (
    Rule(
        id="RDMA-IPC-LOCK",
        severity="warning",
        title="A container with RDMA may lock memory",
        why="RDMA registers memory by locking it, and a container may lock 64 KiB to 8 MiB. Beyond "
        "that registration fails with 'Cannot allocate memory' or NCCL falls back to TCP, at a "
        "tenth of the speed.",
        remedy="add IPC_LOCK under securityContext.capabilities.add, or give the container runtime "
        "LimitMEMLOCK=infinity",
        source="NVIDIA network-operator v26.1, example/rdma-test-pod1.yml; "
        "NVIDIA/nccl-tests #206; getrlimit(2), RLIMIT_MEMLOCK",
        scope="pod",
        check=check_missing,
        has_fix=True,
        cel=CelRule(
            "variables.spec.containers.all(c, !has(c.resources) || !has(c.resources.limits) || "
            "!c.resources.limits.exists(name, name.startsWith('rdma/')) || "
            "(has(c.securityContext) && ((has(c.securityContext.privileged) && "
            "c.securityContext.privileged) || (has(c.securityContext.capabilities) && "
            "has(c.securityContext.capabilities.add) && c.securityContext.capabilities.add.exists("
            "name, name in ['IPC_LOCK', 'CAP_IPC_LOCK', 'SYS_RESOURCE', 'SYS_ADMIN', 'ALL'])))))"
        ),
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
          rdma/hca_shared_devices_a: 1 # <- here
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        capabilities:
          add: [IPC_LOCK]
      resources:
        limits:
          nvidia.com/gpu: 1
          rdma/hca_shared_devices_a: 1
""",
    ),
    Rule(
        id="RDMA-IPC-LOCK-INERT",
        severity="warning",
        title="IPC_LOCK is given to a container that runs as root",
        why="For a user other than root the kernel drops added capabilities when the program "
        "starts. Memory cannot be locked, nothing says so, and NCCL goes over TCP.",
        remedy="run the container as root, or set LimitMEMLOCK=infinity for the container runtime "
        "on the nodes and leave IPC_LOCK out",
        source="NVIDIA/nvidia-container-toolkit #2037; capabilities(7), Transformation of "
        "capabilities during execve",
        scope="pod",
        check=check_inert,
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        runAsUser: 1000 # <- here
        capabilities:
          add: [IPC_LOCK]
      resources:
        limits:
          nvidia.com/gpu: 1
          rdma/hca_shared_devices_a: 1
""",
        passing="""\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  securityContext:
    runAsUser: 1000
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      securityContext:
        runAsUser: 0
        capabilities:
          add: [IPC_LOCK]
      resources:
        limits:
          nvidia.com/gpu: 1
          rdma/hca_shared_devices_a: 1
""",
    ),
)
