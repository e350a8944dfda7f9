"""GPUs are counted, not weighed: what is asked for and what is allowed are one whole number.

An extended resource cannot be overcommitted. The API server wants ``limits`` for it, takes
``requests`` only where they are equal, and knows no fraction. A manifest that breaks this is
refused; where a controller makes the pods it is accepted, and then refused pod by pod, which shows
only in events.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, GpuAsk, PodView
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.world import World
from gpuyard.model.quantity import NANO_PER_UNIT, parse_nano

# A text that something replaces before it is applied: "${GPUS}", "PLACEHOLDER_GPUS"
FILLED_IN = re.compile(r"[${}<>]|^[A-Z][A-Z0-9_]{3,}$")


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPU resources that the API server will refuse."""
    for container in pod.all_containers:
        for ask in container.gpu_asks:
            yield from _wrong(container, ask)


def _wrong(container: ContainerView, ask: GpuAsk) -> Iterator[Hit]:
    name = ask.resource.name
    limit, request = container.limits.get(name), container.requests.get(name)
    if isinstance(ask.written, str) and FILLED_IN.search(ask.written):
        return
    if ask.written is None:
        yield Hit(
            ask.path,
            f"container {container.name} names {name} without a number, which asks for none",
            remedy="write the number of devices",
        )
        return
    amount = _nano(ask.written)
    if amount is None or amount < 0 or amount % NANO_PER_UNIT:
        yield Hit(
            ask.path,
            f"container {container.name} asks for {ask.written!r} of {name}, which is no whole "
            "number of devices",
            of="value",
            remedy="ask for whole devices; a part of one is a MIG profile or a shared resource",
        )
    elif limit is None:
        yield Hit(
            ask.path,
            f"container {container.name} requests {request} of {name} and sets no limit",
            edits=(Set((*container.resources_path, "limits", name), request),),
        )
    elif request is not None and _nano(request) != amount:
        yield Hit(
            (*container.resources_path, "requests", name),
            f"container {container.name} requests {request} of {name}, but its limit is {limit}",
            of="value",
        )


def _nano(written: object) -> int | None:
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return None
    try:
        return parse_nano(written)
    except ValueError:
        return None


RULES = (
    Rule(
        id="GPU-LIMITS",
        severity="error",
        title="A GPU limit is a whole number, and a request equals it",
        why="GPUs cannot be overcommitted. The API server refuses a pod whose request for them "
        "has no limit, differs from it or is a fraction; under a Deployment or Job that shows "
        "only in the events of a controller.",
        remedy="set limits to the number of devices and leave requests out",
        source="Kubernetes documentation, Extended resources and Schedule GPUs; "
        "pkg/apis/core/validation v1.36",
        scope="pod",
        check=check,
        has_fix=True,
        failing="""\
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        requests:
          nvidia.com/gpu: 1 # <- here
""",
        passing="""\
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
          nvidia.com/gpu: 1
""",
    ),
)
