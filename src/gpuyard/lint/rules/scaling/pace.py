"""How fast an autoscaler acts, beside how long a replica takes to load.

A replica that loads its model counts as one, and takes no request. What acts again before it has
loaded acts on a picture of the past: it adds too many, and takes away what was just about to serve.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import HPA, SCALED_OBJECT, load_seconds, scaled
from gpuyard.lint.world import Entry, World

BEHAVIOR = {
    HPA: ("spec", "behavior"),
    SCALED_OBJECT: ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior"),
}
SLOW_SECONDS = 120  # a start that takes less is no reason to hold back


def check_down(entry: Entry, world: World) -> Iterator[Hit]:
    """Find windows for scaling down that are shorter than a start."""
    path = (*BEHAVIOR[entry.kind], "scaleDown", "stabilizationWindowSeconds")
    window = plain.whole(entry.value, *path)
    workload = None if window is None else scaled(entry, world)
    if workload is None or window is None:
        return
    load = load_seconds(workload)
    if window < load:
        yield Hit(
            path,
            f"replicas are taken away after {window} s of less load, but a new one is allowed "
            f"{load} s to start",
            of="value",
            remedy=f"set stabilizationWindowSeconds to {load} or more",
        )


def check_up(entry: Entry, world: World) -> Iterator[Hit]:
    """Find scaling up without a pace, where a start takes long."""
    path = (*BEHAVIOR[entry.kind], "scaleUp")
    if plain.mapping(entry.value, *path):
        return
    workload = scaled(entry, world)
    load = load_seconds(workload) if workload is not None else 0
    if load >= SLOW_SECONDS:
        yield Hit(
            path,
            "the replicas may double every 15 s (4 at least), but a new one is allowed "
            f"{load} s to start: {load // 15} decisions are made before it takes a request",
        )


SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.13
          startupProbe:
            httpGet: {path: /health, port: 8000}
            periodSeconds: 10
            failureThreshold: 60
          resources:
            limits:
              nvidia.com/gpu: 1
---
"""
SCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: llm
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: llm
  minReplicas: 1
  maxReplicas: 4
  metrics:
    - type: Pods
      pods:
        metric: {name: "vllm:num_requests_running"}
        target: {type: AverageValue, averageValue: "32"}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 900
    scaleUp:
      policies:
        - {type: Pods, value: 1, periodSeconds: 300}
"""
SOURCE = "k8s.io/kubernetes v1.36, podautoscaler (behavior); k8s.io/api 1.37 autoscaling/v2"

RULES = (
    Rule(
        id="HPA-DOWN",
        severity="warning",
        title="Replicas are not taken away faster than they start",
        why="A short lull takes a loaded server away, and the next request waits for the model to "
        "be loaded again. GPUs spend their time loading.",
        remedy="set scaleDown.stabilizationWindowSeconds to more than a start takes",
        source=SOURCE,
        scope="object",
        kinds=(HPA, SCALED_OBJECT),
        check=check_down,
        failing=SERVER
        + SCALER.replace(
            "stabilizationWindowSeconds: 900", "stabilizationWindowSeconds: 60 # <- here"
        ),
        passing=SERVER + SCALER,
    ),
    Rule(
        id="HPA-UP",
        severity="info",
        title="Replicas that take long to start are added at a pace",
        why="By default the replicas may double every 15 seconds. While the first new one loads "
        "its model the load has not fallen, and the autoscaler goes to its maximum.",
        remedy="set behavior.scaleUp with a policy of one or two Pods per the time of a start",
        source=SOURCE + "; llm-d workload-variant-autoscaler #1352; ray #18925",
        scope="object",
        kinds=(HPA, SCALED_OBJECT),
        check=check_up,
        failing=SERVER
        + SCALER.replace(
            "    scaleUp:\n      policies:\n        - {type: Pods, value: 1, periodSeconds: 300}\n",
            "",
        ).replace("behavior:", "behavior: # <- here"),
        passing=SERVER + SCALER,
    ),
)
