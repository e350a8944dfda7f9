"""Serving without a budget for voluntary disruptions.

A node drain (an upgrade, a consolidation, a driver change) may evict every replica of a server at
once; each takes minutes to load its model again. A PodDisruptionBudget is how a cluster is told to
take them one by one. Which budgets there are is known from the other documents of the run; of a
cluster, only if budgets were listed.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import replicas
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

BUDGET = "policy/PodDisruptionBudget"
KINDS = frozenset({"Deployment", "StatefulSet", "Rollout"})
REPLICAS_MIN = 2  # a budget for a single replica blocks a drain instead of pacing it


def check(workload: Workload, world: World) -> Iterator[Hit]:
    """Find replicated servers that no PodDisruptionBudget selects."""
    if workload.kind not in KINDS or not world.shows_all(BUDGET):
        return
    pod = workload.pods[0]
    fewest, _ = replicas(workload, world)
    if fewest is None or fewest < REPLICAS_MIN:
        return
    if not world.selecting(BUDGET, ("spec", "selector"), pod):
        yield Hit(
            ("metadata", "name"),
            f"{count(fewest, 'replica')} with {count(pod.gpus, 'GPU')} each, and "
            f"{_of(len(world.beside(BUDGET, world.entry(workload))))} selects them",
        )


def _of(budgets: int) -> str:
    return f"none of {budgets} PodDisruptionBudgets" if budgets > 1 else "no PodDisruptionBudget"


RULES = (
    Rule(
        id="GPU-NO-PDB",
        severity="warning",
        title="GPU serving with several replicas has a PodDisruptionBudget",
        why="A drain may evict all replicas at once, and each needs minutes to load its model "
        "again. With a budget the cluster moves them one by one.",
        remedy="add a PodDisruptionBudget with maxUnavailable: 1 that selects the pods",
        source="Kubernetes documentation, Specifying a Disruption Budget; "
        "NVIDIA/gpu-operator #2509",
        scope="workload",
        check=check,
        failing="""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm # <- here
spec:
  replicas: 3
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          resources:
            limits:
              nvidia.com/gpu: 1
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: other
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {app: other}
""",
        passing="""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 3
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          resources:
            limits:
              nvidia.com/gpu: 1
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: llm
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {app: llm}
""",
    ),
)
