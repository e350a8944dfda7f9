"""Huge pages: asked for alone they are refused, and EFA wants some.

The API server refuses a container that asks for huge pages and for neither cpu nor memory. The
libfabric provider of AWS' EFA takes its buffers from huge pages where it finds them; AWS' own
manifests ask for 5120Mi of 2 MiB pages, which their GPU images set aside.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.amounts import amount
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

PREFIX = "hugepages-"
EFA = "vpc.amazonaws.com/efa"


def check_alone(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find huge pages without cpu or memory."""
    for container in pod.all_containers:
        pages = _pages(container)
        if pages and container.requested("cpu") is None and container.requested("memory") is None:
            field = "limits" if pages in container.limits else "requests"
            yield Hit(
                (*container.resources_path, field, pages),
                f"container {container.name} asks for {pages}, but for no cpu and no memory",
            )


def check_efa(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find EFA interfaces without huge pages."""
    for container in pod.containers:
        if EFA in container.limits and not _pages(container):
            devices = amount(container.limits[EFA])
            if devices:
                yield Hit(
                    (*container.resources_path, "limits", EFA),
                    f"container {container.name} has {count(devices, 'EFA device')} and no "
                    "hugepages-2Mi",
                )


def _pages(container: ContainerView) -> str:
    """Return the first resource of huge pages, "" where there is none."""
    names = (*container.limits, *container.requests)
    return next((name for name in names if name.startswith(PREFIX)), "")


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
"""

RULES = (
    Rule(
        id="HUGEPAGES-ALONE",
        severity="error",
        title="Huge pages come with cpu or memory",
        why="The API server refuses the pod; under a Job or Deployment that shows only in the "
        "events of its controller.",
        remedy="ask for cpu or memory in the same container",
        source="pkg/apis/core/validation v1.36, ValidateContainerResourceRequirements; Kubernetes "
        "documentation, Manage HugePages",
        scope="pod",
        check=check_alone,
        failing=_POD
        + """\
          hugepages-2Mi: 5120Mi # <- here
""",
        passing=_POD
        + """\
          hugepages-2Mi: 5120Mi
          memory: 64Gi
""",
    ),
    Rule(
        id="EFA-HUGEPAGES",
        severity="info",
        title="A container with EFA has huge pages",
        why="libfabric's EFA provider takes its buffers from huge pages. Without them it falls "
        "back to ordinary ones, and large jobs run out of memory when they register them.",
        remedy="add hugepages-2Mi: 5120Mi to limits",
        source="Amazon EKS user guide, Run machine learning training with EFA",
        scope="pod",
        check=check_efa,
        failing=_POD
        + """\
          memory: 64Gi
          vpc.amazonaws.com/efa: 4 # <- here
""",
        passing=_POD
        + """\
          memory: 64Gi
          vpc.amazonaws.com/efa: 4
          hugepages-2Mi: 5120Mi
""",
    ),
)
