"""KEDA's Prometheus trigger: silence that counts as zero, and numbers that mean something else.

KEDA asks Prometheus and hands the answer to a HorizontalPodAutoscaler. No answer is zero unless
``ignoreNullValues`` is false; several series are an error; and under ``AverageValue``, the default,
the answer is divided by the number of replicas. At zero replicas nothing exports the metrics of the
server itself, so that they cannot wake it.

Source: kedacore/keda v2.21, pkg/scalers/prometheus_scaler.go, pkg/scaling/executor,
apis/keda/v1alpha1.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import (
    SCALED_OBJECT,
    Signal,
    load_seconds,
    number,
    scaled,
    signals,
)
from gpuyard.lint.world import Entry, World

COOLDOWN_SECONDS = 300
_OR_ZERO = re.compile(r"\bor\b(\s+on\s*\([^)]*\))?\s+(vector\s*\(\s*0(\.0+)?\s*\)|absent)")
_ONE_SERIES = re.compile(
    r"\b(sum|avg|max|min|count|scalar|vector|absent|histogram_quantile|quantile|topk|bottomk|group)\b"
)
_GROUPED = re.compile(
    r"\s*(sum|avg|max|min|count)\s*((by|without)\s*\(\s*\w|.*\)\s*(by|without)\s*\(\s*\w[^()]*\)\s*$)",
    re.DOTALL,
)
_ENGINE = re.compile(r"\b(vllm|sglang|tgi|trtllm|nv_inference|nv_trt_llm|llamacpp)[:_]\w+")
_ALREADY_AVERAGE = re.compile(r"^\s*\(*\s*(avg|max|min)\s*(by|without|\()")


def check_silence(entry: Entry, world: World) -> Iterator[Hit]:
    """Find triggers for which no answer is zero load, beside queries that never have none."""
    if scaled(entry, world) is None:
        return
    for one, metadata in _prometheus(entry):
        if _is_quiet(metadata) and not _OR_ZERO.search(one.name):
            yield Hit(
                one.path,
                'without ignoreNullValues: "false" an empty answer is zero load, and the server '
                f"is scaled to {_least(entry)}",
            )


def check_zero(entry: Entry, world: World) -> Iterator[Hit]:
    """Find queries that make zero of no answer by themselves."""
    if scaled(entry, world) is None:
        return
    for one, _ in _prometheus(entry):
        if _OR_ZERO.search(one.name) and _ENGINE.search(one.name):
            yield Hit(
                one.path,
                "the query answers 0 where the metric is missing: an outage of Prometheus or of "
                f"the scraping looks like no load, and the server is scaled to {_least(entry)}",
            )


def check_fallback(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find a fallback that missing metrics never reach."""
    if not entry.mapping("spec", "fallback"):
        return
    given = _prometheus(entry)
    if given and all(_is_quiet(metadata) for _, metadata in given):
        yield Hit(
            ("spec", "fallback"),
            "a metric that is missing is zero and no failure (ignoreNullValues), so that the "
            "fallback is not used for it",
        )


def check_series(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find queries with an answer per pod."""
    if (number(entry.get("spec", "maxReplicaCount")) or 100) < 2:  # noqa: PLR2004
        return
    for one, _ in _prometheus(entry):
        if _ENGINE.search(one.name) and (
            not _ONE_SERIES.search(one.name) or _GROUPED.match(one.name)
        ):
            yield Hit(
                one.path,
                "the query has one answer per pod, and KEDA takes one in all: from the second "
                "replica on the trigger fails",
            )


def check_average(entry: Entry, _world: World) -> Iterator[Hit]:
    """Find averages that are divided by the number of replicas once more."""
    for one, _ in _prometheus(entry):
        found = _ALREADY_AVERAGE.match(one.name)
        if found and one.is_average and _ENGINE.search(one.name):
            yield Hit(
                one.path,
                f"{found[1]}() is a value per pod already, and metricType AverageValue divides it "
                "by the number of replicas once more",
            )


def check_asleep(entry: Entry, world: World) -> Iterator[Hit]:
    """Find servers that go to sleep and have nothing that would wake them."""
    workload = scaled(entry, world)
    given = list(signals(entry))
    if workload is None or not given or _least(entry) != 0:
        return
    if all(one.kind == "prometheus" and _wakes_nobody(one) for one in given):
        yield Hit(
            ("spec", "minReplicaCount"),
            f"{workload.title} goes to 0 replicas, and every trigger asks for metrics that only "
            "its own pods export: nothing starts it again",
        )


def check_cooldown(entry: Entry, world: World) -> Iterator[Hit]:
    """Find servers that go to sleep sooner than they can wake."""
    workload = scaled(entry, world)
    if workload is None or _least(entry) != 0:
        return
    cooldown = plain.whole(entry.value, "spec", "cooldownPeriod")
    cooldown = COOLDOWN_SECONDS if cooldown is None else cooldown
    load = load_seconds(workload)
    if cooldown < load:
        yield Hit(
            ("spec", "cooldownPeriod"),
            f"the last replica goes {cooldown} s after the last request, but a start is allowed "
            f"{load} s by its startup probe",
        )


def _prometheus(entry: Entry) -> list[tuple[Signal, dict[str, object]]]:
    triggers = entry.mappings("spec", "triggers")
    return [
        (one, dict(plain.mapping(trigger, "metadata")))
        for one, (_, trigger) in zip(signals(entry), triggers, strict=True)
        if one.kind == "prometheus"
    ]


def _is_quiet(metadata: dict[str, object]) -> bool:
    """Tell whether no answer counts as zero."""
    return str(metadata.get("ignoreNullValues", "true")).lower() != "false"


def _least(entry: Entry) -> int:
    return plain.whole(entry.value, "spec", "minReplicaCount") or 0


def _wakes_nobody(one: Signal) -> bool:
    """Tell whether a query asks for the engine's metrics alone."""
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*[{\[)]|\s*$)", one.name)
    metrics = [name for name in names if ":" in name or name.count("_") > 1]
    return bool(metrics) and all(_ENGINE.fullmatch(name) for name in metrics)


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
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: llm
spec:
  scaleTargetRef:
    name: llm
  minReplicaCount: 1
  maxReplicaCount: 4
  cooldownPeriod: 900
  fallback:
    failureThreshold: 3
    replicas: 2
  triggers:
    - type: prometheus
      metadata:
        serverAddress: http://prometheus.monitoring:9090
        query: sum(vllm:num_requests_running{namespace="llm"})
        threshold: "32"
        ignoreNullValues: "false"
"""
GOOD = SERVER + SCALER
QUERY = 'query: sum(vllm:num_requests_running{namespace="llm"})'


def _with_query(query: str) -> str:
    return GOOD.replace(QUERY, f"query: {query} # <- here")


WITHOUT_FALLBACK = SCALER.replace("  fallback:\n    failureThreshold: 3\n    replicas: 2\n", "")
SOURCE = "kedacore/keda v2.21, "

RULES = (
    Rule(
        id="KEDA-SILENCE",
        severity="warning",
        title="A KEDA trigger does not take silence for zero load",
        why="When Prometheus or the scraping is down the answer is empty. By default KEDA takes "
        "that for 0 and scales busy GPU servers down, in the middle of their requests.",
        remedy='set ignoreNullValues: "false" in the trigger\'s metadata, and a fallback',
        source=SOURCE + "pkg/scalers/prometheus_scaler.go; #965, #3065, #4249",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_silence,
        failing=SERVER
        + WITHOUT_FALLBACK.replace('        ignoreNullValues: "false"\n', "")
        .replace("query: sum", "query: sum")
        .replace('"llm"})', '"llm"}) # <- here'),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-OR-ZERO",
        severity="warning",
        title="A query does not make zero of a missing metric",
        why="`or vector(0)` turns every outage of the metrics into a load of 0. The server is "
        "scaled down, and neither a fallback nor an alert about the trigger sees anything.",
        remedy='take the `or` away, set ignoreNullValues: "false" and a fallback',
        source=SOURCE + "pkg/scalers/prometheus_scaler.go, pkg/fallback; #4249",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_zero,
        failing=_with_query("sum(vllm:num_requests_running) or vector(0)"),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-FALLBACK",
        severity="warning",
        title="A KEDA fallback is used when metrics are missing",
        why="The fallback is for triggers that fail. An empty answer is no failure unless "
        "ignoreNullValues is false: the server is scaled down and the fallback does not help.",
        remedy='set ignoreNullValues: "false" in the metadata of the Prometheus triggers',
        source=SOURCE + "pkg/fallback/fallback.go, pkg/scalers/prometheus_scaler.go",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_fallback,
        failing=SERVER
        + SCALER.replace("fallback:", "fallback: # <- here").replace(
            '        ignoreNullValues: "false"\n', ""
        ),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-SERIES",
        severity="warning",
        title="A query of KEDA has one answer",
        why="Engines export their metrics per pod. With a second replica the query has two "
        "answers, which KEDA takes for an error: scaling stops where it is.",
        remedy="put sum() around it",
        source=SOURCE + "pkg/scalers/prometheus_scaler.go",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_series,
        failing=_with_query("vllm:num_requests_running"),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-AVERAGE",
        severity="warning",
        title="A value per pod is not divided by the replicas again",
        why="Under AverageValue, the default, the answer is taken for the total. A value per pod "
        "shrinks with every replica that is added, and scaling stops at two or three.",
        remedy="use sum(), or metricType: Value",
        source=SOURCE + "pkg/scaling; k8s.io/kubernetes v1.36, podautoscaler/replica_calculator.go",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_average,
        failing=_with_query("max(vllm:num_requests_running)"),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-ASLEEP",
        severity="warning",
        title="A server at zero replicas has something that wakes it",
        why="At 0 replicas nobody exports the engine's metrics, so that the trigger stays "
        "inactive. Requests get 503 until somebody scales it by hand. minReplicaCount is 0 unless "
        "it is set.",
        remedy="set minReplicaCount: 1, or add a trigger on the gateway's queue or request rate",
        source=SOURCE + "pkg/scaling/executor/scale_scaledobjects.go; vLLM production-stack, KEDA "
        "autoscaling",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_asleep,
        failing=SERVER + SCALER.replace("minReplicaCount: 1", "minReplicaCount: 0 # <- here"),
        passing=GOOD,
    ),
    Rule(
        id="KEDA-COOLDOWN",
        severity="warning",
        title="A server stays up for longer than it takes to start",
        why="Loading the model takes minutes, on GPUs that serve nobody meanwhile. With a shorter "
        "cooldown a pause in traffic costs a whole start, again and again.",
        remedy="set cooldownPeriod to several times the time of a start, or minReplicaCount: 1",
        source=SOURCE + "pkg/scaling/executor (cooldownPeriod, 300 s by default)",
        scope="object",
        kinds=(SCALED_OBJECT,),
        check=check_cooldown,
        failing=SERVER
        + SCALER.replace("minReplicaCount: 1", "minReplicaCount: 0")
        .replace("cooldownPeriod: 900", "cooldownPeriod: 60 # <- here")
        .replace("vllm:num_requests_running", "gateway_requests_waiting"),
        passing=GOOD,
    ),
)
