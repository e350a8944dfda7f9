"""Autoscalers that look at the wrong number.

A GPU server is busy while its CPUs are idle, so an autoscaler that looks at CPU, or at memory,
never moves or moves at random. Memory of the GPU is no better: servers reserve it all when they
start and never give it back, so such an autoscaler only ever adds. The share of time in which a GPU
did anything is 100 % for a server with one request as for one with a hundred, and under MIG there
is no such number. What tells is the queue: requests waiting or running, or the use of the KV cache.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import api_group
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import Entry, World

HPA = "autoscaling/HorizontalPodAutoscaler"
KEDA = "keda.sh/ScaledObject"
HOST = frozenset({"cpu", "memory"})
FRAMEBUFFER = ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE")
UTILISATION = ("DCGM_FI_DEV_GPU_UTIL",)
OF_A_METRIC = ("pods", "object", "external")


def check_host(entry: Entry, world: World) -> Iterator[Hit]:
    """Find autoscalers of GPU workloads that look at cpu and memory only."""
    looked_at = list(_resources(entry))
    if not looked_at or any(name not in HOST for name, _ in looked_at):
        return
    target = _target(entry, world)
    if target is not None and target.workload is not None and target.workload.asks_gpus:
        names = " and ".join(dict.fromkeys(name for name, _ in looked_at))
        yield Hit(
            looked_at[0][1],
            f"{target.title} computes on GPUs, but is scaled by {names} alone",
        )


def check_framebuffer(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find autoscalers that look at the memory of GPUs."""
    for path, text in _queries(entry):
        found = next((name for name in FRAMEBUFFER if name in text), None)
        if found:
            yield Hit(path, f"{found} does not fall when load does", of="value")


def check_utilisation(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find autoscalers that look at the busy time of GPUs."""
    for path, text in _queries(entry):
        if any(name in text for name in UTILISATION):
            yield Hit(
                path,
                f"{UTILISATION[0]} is near 100 % with one request as with many, and missing under "
                "MIG",
                of="value",
            )


def _resources(entry: Entry) -> Iterator[tuple[str, Path]]:
    """Return what an autoscaler looks at: a resource of the node, or "" for anything else."""
    if entry.get("spec", "targetCPUUtilizationPercentage") is not None:
        yield "cpu", ("spec", "targetCPUUtilizationPercentage")
    for index, metric in entry.mappings("spec", "metrics"):
        kind = plain.text(metric, "type")
        field = kind[:1].lower() + kind[1:]
        path: Path = ("spec", "metrics", index, field, "name")
        is_host = field in {"resource", "containerResource"}
        yield plain.text(metric, field, "name") if is_host else "", path
    for index, trigger in entry.mappings("spec", "triggers"):
        yield plain.text(trigger, "type"), ("spec", "triggers", index, "type")


def _queries(entry: Entry) -> Iterator[tuple[Path, str]]:
    """Return the names of metrics and the queries of an autoscaler."""
    for index, metric in entry.mappings("spec", "metrics"):
        for field in OF_A_METRIC:
            name = plain.text(metric, field, "metric", "name")
            if name:
                yield ("spec", "metrics", index, field, "metric", "name"), name.upper()
    for index, trigger in entry.mappings("spec", "triggers"):
        query = plain.text(trigger, "metadata", "query")
        if query:
            yield ("spec", "triggers", index, "metadata", "query"), query


def _target(entry: Entry, world: World) -> Entry | None:
    named: Mapping[str, object] = entry.mapping("spec", "scaleTargetRef")
    kind = plain.text(named, "kind") or "Deployment"  # KEDA's default
    group = api_group(plain.text(named, "apiVersion") or "apps/v1")
    return world.named(f"{group}/{kind}" if group else kind, plain.text(named, "name"), entry)


_SERVER = """\
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
          image: registry.example/vllm:0.11
          resources:
            limits:
              nvidia.com/gpu: 1
---
"""
_HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: llm
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}
  maxReplicas: 8
  metrics:
"""
_QUEUE = """\
    - type: Pods
      pods:
        metric:
          name: vllm:num_requests_waiting
        target: {type: AverageValue, averageValue: "5"}
"""
_SOURCE = "GKE documentation, Best practices for autoscaling LLM inference workloads with GPUs"

RULES = (
    Rule(
        id="HPA-CPU",
        severity="warning",
        title="A GPU server is not scaled by CPU or memory",
        why="Its load is on the GPU. CPU hardly moves with it and memory not at all, so replicas "
        "are added too late or never.",
        remedy="scale by the queue: requests waiting or running, or KV cache use, of the server",
        source=_SOURCE,
        scope="object",
        kinds=(HPA, KEDA),
        check=check_host,
        failing=_SERVER
        + _HPA
        + """\
    - type: Resource
      resource:
        name: cpu # <- here
        target: {type: Utilization, averageUtilization: 60}
""",
        passing=_SERVER + _HPA + _QUEUE,
    ),
    Rule(
        id="HPA-GPU-MEMORY",
        severity="warning",
        title="A GPU server is not scaled by the memory of its GPU",
        why="Model servers reserve the memory of a GPU when they start and keep it. The number "
        "only rises, so replicas are added and never taken away.",
        remedy="scale by the queue: requests waiting or running, or KV cache use, of the server",
        source=_SOURCE,
        scope="object",
        kinds=(HPA, KEDA),
        check=check_framebuffer,
        failing=_HPA
        + """\
    - type: External
      external:
        metric:
          name: dcgm_fi_dev_fb_used # <- here
        target: {type: Value, value: "60000"}
""",
        passing=_HPA + _QUEUE,
    ),
    Rule(
        id="HPA-GPU-BUSY",
        severity="info",
        title="A model server is not scaled by the busy time of its GPU",
        why="The number says that something ran, not how much: one long answer keeps it at 100 %. "
        "Replicas are added long before they are needed, and on MIG instances it does not exist.",
        remedy="scale by the queue: requests waiting or running, or KV cache use, of the server",
        source=f"{_SOURCE}; NVIDIA/DCGM #80",
        scope="object",
        kinds=(HPA, KEDA),
        check=check_utilisation,
        failing="""\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: llm
spec:
  scaleTargetRef: {name: llm}
  triggers:
    - type: prometheus
      metadata:
        query: avg(DCGM_FI_DEV_GPU_UTIL{pod=~"llm-.*"}) # <- here
        threshold: "80"
""",
        passing="""\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: llm
spec:
  scaleTargetRef: {name: llm}
  triggers:
    - type: prometheus
      metadata:
        query: sum(vllm:num_requests_waiting)
        threshold: "10"
""",
    ),
)
