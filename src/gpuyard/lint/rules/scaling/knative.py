"""GPU servers on Knative, which sends what is idle to sleep.

Unless told otherwise Knative scales a Service to zero after a minute without requests, and holds
the next request while a new pod starts. A model that takes longer to load than the request may take
is never reached: the request fails, and the pod goes to sleep again.

Source: knative/serving v1.19, config-autoscaler (stable-window 60s, scale-to-zero),
config-defaults (revision-timeout-seconds 300); annotations autoscaling.knative.dev/*.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import load_seconds
from gpuyard.lint.world import World

KIND = ("serving.knative.dev", "Service")
PREFIX = "autoscaling.knative.dev/"
LEAST = (f"{PREFIX}min-scale", f"{PREFIX}minScale")
TIMEOUT_SECONDS = 300
BUSY = frozenset({"cpu", "memory"})


def check_zero(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPU Services that go to sleep without anybody having said so."""
    if pod.workload.row.key != KIND or any(name in pod.annotations for name in LEAST):
        return
    timeout = pod.spec.whole("timeoutSeconds") or TIMEOUT_SECONDS
    load = load_seconds(pod.workload)
    also = (
        f"; a request waits at most {timeout} s, and a start is allowed {load} s"
        if load > timeout
        else ""
    )
    yield Hit(
        (*pod.metadata_path, "annotations"),
        f"no {LEAST[0]}: it goes to 0 pods after a minute without requests{also}",
    )


def check_busy(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find GPU Services that are scaled by CPU or memory."""
    metric = pod.annotations.get(f"{PREFIX}metric", "")
    if pod.workload.row.key == KIND and metric in BUSY:
        yield Hit(
            (*pod.metadata_path, "annotations", f"{PREFIX}metric"),
            f"it asks for GPUs and is scaled by {metric}",
        )


SERVICE = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: llm
spec:
  template:
    metadata:
      annotations: # <- here
        autoscaling.knative.dev/max-scale: "4"
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.13
          resources:
            limits:
              nvidia.com/gpu: 1
"""
GOOD = SERVICE.replace(" # <- here", "").replace("max-scale", "min-scale")
SOURCE = "knative/serving v1.19, config-autoscaler and config-defaults"

RULES = (
    Rule(
        id="KNATIVE-ZERO",
        severity="warning",
        title="A GPU Service on Knative says whether it may go to zero",
        why="Knative sends it to sleep after a minute. Each first request waits until the model is "
        "loaded, often for longer than a request may take, and gets an error.",
        remedy='set autoscaling.knative.dev/min-scale: "1", or "0" together with a '
        "timeoutSeconds that a start fits in",
        source=SOURCE + "; kserve #3561, #5527",
        scope="pod",
        check=check_zero,
        failing=SERVICE,
        passing=GOOD,
    ),
    Rule(
        id="KNATIVE-CPU",
        severity="warning",
        title="A GPU Service on Knative is scaled by requests",
        why="While the GPU works its CPU waits, and its memory holds the weights either way. No "
        "pod is added, however many requests wait.",
        remedy="use the metric concurrency or rps, with a target that one pod can serve",
        source=SOURCE,
        scope="pod",
        check=check_busy,
        failing=GOOD.replace(
            'min-scale: "4"',
            'min-scale: "1"\n        autoscaling.knative.dev/class: hpa.autoscaling.knative.dev\n'
            "        autoscaling.knative.dev/metric: cpu # <- here",
        ),
        passing=GOOD,
    ),
)
