"""``ulimit -l unlimited`` in a script.

RDMA needs memory that stays where it is, and a limit on it comes from the container runtime; a pod
has no field for it. A shell may raise the limit only with CAP_SYS_RESOURCE (IPC_LOCK is not enough,
it lifts the limit instead), so in an ordinary container the command fails: with ``set -e`` or
``&&`` the job ends there, without them the limit stays as it was.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find shells that raise the limit of locked memory without the right to do so."""
    for container in pod.containers:
        if container.is_privileged or container.capabilities & {"SYS_RESOURCE", "ALL"}:
            continue
        place = _raises(container)
        if place is not None:
            yield Hit(
                place,
                f"the script of container {container.name} runs ulimit -l without SYS_RESOURCE, "
                "which fails wherever the runtime's limit is lower",
            )


def _raises(container: ContainerView) -> tuple[str | int, ...] | None:
    words = container.words
    for index, (word, path) in enumerate(words[:-1]):
        options = words[index + 1][0]
        if word == "ulimit" and options.startswith("-") and "l" in options:
            return path
    return None


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
spec:
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
      command:
        - sh
        - -c
"""

RULES = (
    Rule(
        id="POD-MEMLOCK",
        severity="warning",
        title="A script does not raise the limit of locked memory itself",
        why="Raising it needs CAP_SYS_RESOURCE. The command fails, and NCCL then falls back from "
        "RDMA to TCP or ends while it registers memory.",
        remedy="add the capability IPC_LOCK to the container, and set LimitMEMLOCK=infinity for "
        "the container runtime on the node",
        source="Linux getrlimit(2); NVIDIA/nccl-tests #206; NCCL user guide, Troubleshooting",
        scope="pod",
        check=check,
        failing=_POD
        + """\
        - ulimit -l unlimited && exec python train.py # <- here
""",
        passing=_POD
        + """\
        - exec python train.py
""",
    ),
)
