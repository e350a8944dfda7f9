"""An image that is told not to look at the driver.

Images of NVIDIA say which driver they need, and the container runtime refuses to start them on an
older one. ``NVIDIA_DISABLE_REQUIRE`` switches that check off; what is missing is missing all the
same, and shows later as an error of CUDA.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

SKIPS_CHECK = "NVIDIA_DISABLE_REQUIRE"


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find containers that switch off the check of the driver."""
    for container in pod.containers:
        variable = container.env(SKIPS_CHECK)
        if variable is not None and (variable.value or "").lower() in {"1", "true"}:
            yield Hit(
                variable.path,
                f"container {container.name} sets {SKIPS_CHECK}, so it starts on any driver, also "
                "on one too old for it",
            )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      resources:
        limits:
          nvidia.com/gpu: 1
"""
_OLD = """\
      image: registry.example/embed:2.1
"""

RULES = (
    Rule(
        id="CUDA-UNCHECKED",
        severity="info",
        title="The check of the driver is left on",
        why="NVIDIA_DISABLE_REQUIRE only silences the check that an image needs a newer driver. "
        "The program then fails later, and says less.",
        remedy=f"remove {SKIPS_CHECK}, and take an image for the driver that is there",
        source="NVIDIA container toolkit documentation, NVIDIA_DISABLE_REQUIRE",
        scope="pod",
        check=check,
        failing=_POD
        + _OLD
        + """\
      env:
        - {name: NVIDIA_DISABLE_REQUIRE, value: "true"} # <- here
""",
        passing=_POD + _OLD,
    ),
)
