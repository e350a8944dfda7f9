"""Several that scale one workload, and a manifest that scales it back.

Two autoscalers each set the number of replicas by their own metric, in turns. A manifest with
``replicas`` does the same whenever it is applied.
"""

from collections import defaultdict
from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Remove, Rule
from gpuyard.lint.rules.scaling.targets import AUTOSCALERS, scaled, target_kind
from gpuyard.lint.world import Entry, World


def check_twice(world: World, _world: World) -> Iterator[Hit]:
    """Find GPU workloads with several autoscalers."""
    by_target: dict[int, list[Entry]] = defaultdict(list)
    for entry in _autoscalers(world):
        kind, name = target_kind(entry)
        target = world.named(kind, name, entry)
        if target is not None and target.workload is not None and target.workload.asks_gpus:
            by_target[id(target)].append(entry)
    for several in by_target.values():
        for one in several[1:]:
            if one.namespace == several[0].namespace:
                yield Hit(
                    ("spec", "scaleTargetRef"),
                    f"{several[0].title} scales {target_kind(one)[1]} already",
                    on=one,
                )


def check_replicas(world: World, _world: World) -> Iterator[Hit]:
    """Find GPU workloads that set what their autoscaler sets."""
    if world.origin == "cluster":
        return  # there the autoscaler has written it
    for entry in _autoscalers(world):
        workload = scaled(entry, world)
        if workload is None or workload.get("spec", "replicas") is None:
            continue
        yield Hit(
            ("spec", "replicas"),
            f"replicas is {workload.get('spec', 'replicas')}, and {entry.title} scales it: each "
            "time this is applied it goes back",
            on=world.entry(workload),
            edits=(Remove(("spec", "replicas")),),
        )


def _autoscalers(world: World) -> Iterator[Entry]:
    for kind in AUTOSCALERS:
        for entry in world.of_kind(kind):
            if world.owner(entry) is None:  # KEDA makes a HorizontalPodAutoscaler of its own
                yield entry


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
"""
KEDA = """\
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: llm
spec:
  scaleTargetRef: # <- here
    name: llm
  minReplicaCount: 1
  maxReplicaCount: 4
  triggers:
    - type: cron
      metadata: {timezone: UTC, start: 0 6 * * *, end: 0 20 * * *, desiredReplicas: "3"}
"""

RULES = (
    Rule(
        id="HPA-TWICE",
        severity="warning",  # two files of a folder may be a choice
        title="One autoscaler scales a workload",
        why="Each sets the replicas by its own metric, in turns of seconds. GPU servers are "
        "started and stopped while they load, and nobody gets what was asked for.",
        remedy="put all metrics into one autoscaler: it takes the largest answer",
        source="k8s.io/kubernetes v1.36, podautoscaler/horizontal.go (AmbiguousSelector); "
        "kedacore/keda v2.21, admission webhook",
        scope="world",
        check=check_twice,
        failing=SERVER + SCALER + KEDA,
        passing=SERVER + SCALER,
    ),
    Rule(
        id="HPA-REPLICAS",
        severity="info",
        title="A scaled workload leaves its replicas to the autoscaler",
        why="Every apply sets the number back. Replicas that serve are stopped, and minutes later "
        "started again, each with a model to load.",
        remedy="take replicas out of the manifest",
        source="Kubernetes documentation, Horizontal Pod Autoscaling, Migrating Deployments and "
        "StatefulSets",
        scope="world",
        check=check_replicas,
        has_fix=True,
        failing=SERVER.replace("spec:\n  selector", "spec:\n  replicas: 2 # <- here\n  selector")
        + SCALER,
        passing=SERVER + SCALER,
    ),
)
