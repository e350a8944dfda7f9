"""Several shares of one GPU, asked for as if they were GPUs.

Under time slicing and MPS the device plugin offers each GPU several times. Two shares are not twice
a GPU: they may be the same device, and with time slicing two shares of it get the time of one. The
plugin refuses such a pod where ``failRequestsGreaterThanOne`` is set, which is the default for MPS.
NCCL refuses two ranks on one device.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that ask for several shares."""
    for ask in pod.gpu_asks:
        name = ask.resource.name
        if name.startswith("nvidia.com/") and name.endswith(".shared") and ask.count > 1:
            yield Hit(
                ask.path,
                f"container {ask.container} asks for {ask.count} of {name}: shares, which may all "
                "be of one GPU",
                of="value",
            )


_POD = """\
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
"""

RULES = (
    Rule(
        id="GPU-SHARES",
        severity="warning",
        title="A container asks for one share of a GPU",
        why="A second share brings no second GPU and no more time on it. MPS, and time slicing "
        "with failRequestsGreaterThanOne, refuse the pod: it fails with UnexpectedAdmissionError.",
        remedy="ask for 1, or for whole GPUs where several are needed",
        source="NVIDIA/k8s-device-plugin v0.20, Shared access to GPUs; api/config/v1 config.go",
        scope="pod",
        check=check,
        failing=_POD
        + """\
          nvidia.com/gpu.shared: 2 # <- here
""",
        passing=_POD
        + """\
          nvidia.com/gpu.shared: 1
""",
    ),
)
