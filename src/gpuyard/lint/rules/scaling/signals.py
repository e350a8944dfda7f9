"""Signals that say little about how busy a GPU server is.

Its CPU is idle while the GPU works; its memory holds the weights whether anybody asks or not. The
utilisation of a GPU is the share of time in which some kernel ran: one request keeps it at 100.
Framebuffer use goes up once, when the engine takes what it may have, and never down.
"""

import re
from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import HPA, SCALED_OBJECT, number, scaled, signals
from gpuyard.lint.world import Entry, World

UTILISATION = re.compile(r"DCGM_FI_DEV_(GPU_UTIL|MEM_COPY_UTIL)\b", re.IGNORECASE)
MEMORY = re.compile(r"DCGM_FI_DEV_FB_(USED|FREE|USED_PERCENT)\b", re.IGNORECASE)
GONE = {
    "gpu_cache_usage_perc": ("vllm:kv_cache_usage_perc", "0.12"),
    "cpu_cache_usage_perc": ("vllm:kv_cache_usage_perc", "0.12"),
    "time_per_output_token_seconds": ("vllm:inter_token_latency_seconds", "0.13"),
}
"""Metrics that vLLM had, what took their place, and the version that has them no more."""
_VLLM = re.compile(r"vllm[:_](?P<name>" + "|".join(GONE) + r")(?![a-z])")
_SHARES = re.compile(
    r"(vllm[:_](kv|gpu)_cache_usage_perc|sglang[:_]token_usage|DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    r"|DCGM_FI_PROF_PIPE_TENSOR_ACTIVE|DCGM_FI_PROF_DRAM_ACTIVE)"
)
_SCALED_UP = re.compile(r"\*\s*100\b|\b100\s*\*|\bsum\b|\bcount\b")
BUSY = frozenset({"cpu", "memory"})


def check_busy(entry: Entry, world: World) -> Iterator[Hit]:
    """Find GPU workloads that are scaled by nothing but CPU or memory."""
    given = list(signals(entry))
    if not given or not all(one.name in BUSY for one in given):
        return
    workload = scaled(entry, world)
    if workload is not None:
        for one in given:
            yield Hit(
                one.path,
                f"{workload.title} asks for {_gpus(workload.gpu_pods[0].gpus)} per pod and is "
                f"scaled by {one.name} alone",
            )


def check_utilisation(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find GPU utilisation as a signal."""
    for one in signals(entry):
        found = UTILISATION.search(one.name)
        if found:
            yield Hit(
                one.path,
                f"{found[0]} is the share of time in which some kernel ran: one request holds it "
                "near 100, and under MIG there is none",
            )


def check_memory(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find GPU memory as a signal."""
    for one in signals(entry):
        found = MEMORY.search(one.name)
        if found:
            yield Hit(
                one.path,
                f"{found[0]} changes when a server starts and takes its memory, and not with load",
            )


def check_gone(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find metrics that vLLM no longer has."""
    for one in signals(entry):
        found = _VLLM.search(one.name)
        if found:
            now, version = GONE[found["name"]]
            yield Hit(
                one.path,
                f"vLLM {version} and later have no {found[0]}",
                remedy=f"use {now}",
            )


def check_unit(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find targets above 1 for what never exceeds 1."""
    for one in signals(entry):
        found = _SHARES.search(one.name)
        target = number(one.target)
        if found and target is not None and target > 1 and not _SCALED_UP.search(one.name):
            yield Hit(
                one.target_path,
                f"{found[0]} goes from 0 to 1, so that the target {one.target} is never reached",
                of="value",
                remedy=f"write the target as a share, {target / 100:g} for {one.target} percent",
            )


def _gpus(number: int) -> str:
    return f"{number} GPU" if number == 1 else f"{number} GPUs"


SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 1
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
"""
BY_CPU = """\
    - type: Resource
      resource: # <- here
        name: cpu
        target: {type: Utilization, averageUtilization: 70}
"""
BY_METRIC = """\
    - type: Pods
      pods: # <- here
        metric: {name: METRIC}
        target:
          type: AverageValue
          averageValue: TARGET
"""
GOOD = (
    SERVER
    + SCALER
    + (
        BY_METRIC.replace("METRIC", '"vllm:num_requests_running"')
        .replace("TARGET", "32")
        .replace(" # <- here", "")
    )
)


def _failing(metric: str, target: str = "80") -> str:
    return SERVER + SCALER + BY_METRIC.replace("METRIC", metric).replace("TARGET", target)


BOTH = (HPA, SCALED_OBJECT)

RULES = (
    Rule(
        id="HPA-CPU",
        severity="warning",
        title="A GPU server is not scaled by CPU or memory alone",
        why="While the GPU works its CPU waits, and its memory holds the weights either way. The "
        "autoscaler never adds a replica, however long the queue is.",
        remedy="scale by requests that run or wait in the engine, vllm:num_requests_running for "
        "instance",
        source="GKE documentation, Best practices for autoscaling LLM inference workloads with "
        "GPUs; k8s.io/api 1.37 autoscaling/v2",
        scope="object",
        kinds=BOTH,
        check=check_busy,
        failing=SERVER + SCALER + BY_CPU,
        passing=GOOD,
    ),
    Rule(
        id="HPA-GPU-UTIL",
        severity="warning",
        title="A GPU server is not scaled by GPU utilisation",
        why="The metric counts time, not work: a single request keeps it near 100 while the GPU "
        "could serve fifty. The autoscaler goes to its maximum and stays there.",
        remedy="scale by requests that run or wait in the engine, or by its KV cache",
        source="NVIDIA/DCGM #80; NVIDIA/dcgm-exporter #269, #301; GKE documentation, Best "
        "practices for autoscaling LLM inference workloads with GPUs",
        scope="object",
        kinds=BOTH,
        check=check_utilisation,
        failing=_failing("DCGM_FI_DEV_GPU_UTIL"),
        passing=GOOD,
    ),
    Rule(
        id="HPA-GPU-MEMORY",
        severity="warning",
        title="A GPU server is not scaled by GPU memory",
        why="An engine takes its share of GPU memory when it starts and keeps it. The value does "
        "not fall when load does, so that replicas are only ever added.",
        remedy="scale by requests that run or wait in the engine, or by its KV cache",
        source="GKE documentation, Best practices for autoscaling LLM inference workloads with "
        "GPUs; vLLM, gpu_memory_utilization",
        scope="object",
        kinds=BOTH,
        check=check_memory,
        failing=_failing("DCGM_FI_DEV_FB_USED", "60000"),
        passing=GOOD,
    ),
    Rule(
        id="HPA-METRIC-GONE",
        severity="warning",
        title="A metric that scales a server exists in its engine",
        why="The query returns nothing after an upgrade of the engine. Depending on the autoscaler "
        "that holds the replicas where they are, or counts as zero load.",
        remedy="use the metric that took its place",
        source="vLLM v0.12 and v0.13, vllm/v1/metrics/loggers.py",
        scope="object",
        kinds=BOTH,
        check=check_gone,
        failing=_failing('"vllm:gpu_cache_usage_perc"', "500m"),
        passing=GOOD,
    ),
    Rule(
        id="HPA-UNIT",
        severity="error",
        title="A target is in the unit of its metric",
        why="The metric is a share between 0 and 1. With a target in percent it is never reached, "
        "and the server is never scaled up.",
        remedy="write the target as a share",
        source="vLLM v0.13 metrics; SGLang metrics; NVIDIA DCGM, profiling field identifiers",
        scope="object",
        kinds=BOTH,
        check=check_unit,
        failing=_failing('"vllm:kv_cache_usage_perc"')
        .replace(" # <- here", "")
        .replace("averageValue: 80", "averageValue: 80 # <- here"),
        passing=GOOD,
    ),
)
