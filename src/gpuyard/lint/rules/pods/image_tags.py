"""Images whose name says nothing about what is in them.

An image for GPUs has ten to thirty gigabytes. ``:latest``, or no tag at all, means another image
after each push, a pull of all of it on each node at each start, and replicas that differ from each
other. A digest or a version says what runs and lets a node keep it.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import CelRule, Hit, Rule
from gpuyard.lint.world import World

MOVING = frozenset({"latest", "nightly", "main", "master", "dev", "edge"})


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPU containers with a tag that moves."""
    for container in pod.containers:
        image = container.image
        if not container.gpu_asks or not image or "@" in image or "$" in image or "{" in image:
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if not tag or tag in MOVING:
            yield Hit(
                container.at("image"),
                f"container {container.name} runs {image}, which is another image after each push",
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
      resources:
        limits:
          nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="GPU-IMAGE-TAG",
        severity="warning",
        title="An image for GPUs is named by version or digest",
        why="A tag that moves pulls ten and more gigabytes again on every node, and two replicas "
        "started on different days run different software.",
        remedy="name a version, or better a digest",
        source="Kubernetes documentation, Images; databricks/containers #142",
        scope="pod",
        check=check,
        cel=CelRule(
            "variables.spec.containers.all(c, !has(c.resources) || !has(c.resources.limits) || "
            "!c.resources.limits.exists(name, name.startsWith('nvidia.com/gpu') || "
            "name.startsWith('nvidia.com/mig-') || name == 'amd.com/gpu') || "
            "c.image.contains('@') || (c.image.matches(':[^/]+$') && "
            "!c.image.matches(':(latest|nightly|main|master|dev|edge)$')))"
        ),
        failing=_POD
        + """\
      image: registry.example/embed:latest # <- here
""",
        passing=_POD
        + """\
      image: registry.example/embed:2.1
""",
    ),
)
