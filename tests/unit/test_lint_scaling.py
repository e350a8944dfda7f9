"""Autoscalers of GPU servers: what each rule finds, and whom it leaves alone."""

import textwrap

import pytest

from tests.small_findings import findings, rules

SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  template:
    spec:
      containers:
        - name: vllm
          resources: {limits: {RESOURCE: 1}}
          PROBE
---
"""
GPU_SERVER = SERVER.replace("RESOURCE", "nvidia.com/gpu").replace("PROBE", "tty: false")
WEB = SERVER.replace("RESOURCE", "cpu").replace("PROBE", "tty: false")
SLOW = SERVER.replace("RESOURCE", "nvidia.com/gpu").replace(
    "PROBE", "startupProbe: {periodSeconds: 10, failureThreshold: 60}"
)


def hpa(metrics, behavior="", name="llm"):
    return (
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
        f"metadata: {{name: {name}}}\nspec:\n"
        "  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}\n"
        f"  maxReplicas: 4\n  metrics: [{metrics}]\n" + textwrap.indent(behavior, "  ") + "\n---\n"
    )


def keda(query, *, metadata='ignoreNullValues: "false"', spec="minReplicaCount: 1", trigger=""):
    return (
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: llm}\nspec:\n"
        f"  scaleTargetRef: {{name: llm}}\n{textwrap.indent(spec, '  ')}\n  triggers:\n"
        f"    - type: prometheus\n{textwrap.indent(trigger, '      ')}\n      metadata:\n"
        f"        query: '{query}'\n        threshold: '10'\n"
        f"        {metadata}\n---\n"
    )


CPU = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}"
RUNNING = "{type: Pods, pods: {metric: {name: 'vllm:num_requests_running'}, target: TARGET}}"


def by(name, target="{type: AverageValue, averageValue: 5}"):
    return f"{{type: Pods, pods: {{metric: {{name: '{name}'}}, target: {target}}}}}"


@pytest.mark.parametrize(
    ("server", "scaler", "expected"),
    [
        pytest.param(GPU_SERVER, hpa(CPU), 1, id="by CPU alone"),
        pytest.param(GPU_SERVER, hpa(f"{CPU}, {by('vllm:num_requests_running')}"), 0, id="beside"),
        pytest.param(WEB, hpa(CPU), 0, id="no GPU"),
        pytest.param("", hpa(CPU), 0, id="its target was not given"),
        pytest.param(
            GPU_SERVER,
            "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\n"
            "spec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}\n"
            "  targetCPUUtilizationPercentage: 80\n",
            1,
            id="the first version of the API",
        ),
        pytest.param(
            GPU_SERVER,
            keda("x").replace("type: prometheus", "type: cpu"),
            1,
            id="KEDA's trigger cpu",
        ),
    ],
)
def test_by_cpu(server, scaler, expected):
    assert len(rules(server + scaler, "HPA-CPU")) == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", ["HPA-GPU-UTIL"]),
        ("dcgm_fi_dev_gpu_util", ["HPA-GPU-UTIL"]),
        ("DCGM_FI_DEV_FB_USED", ["HPA-GPU-MEMORY"]),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", ["HPA-UNIT"]),
        ("vllm:gpu_cache_usage_perc", ["HPA-METRIC-GONE", "HPA-UNIT"]),
        ("vllm:kv_cache_usage_perc", ["HPA-UNIT"]),
        ("vllm:num_requests_waiting", []),
        ("vllm_time_per_output_token_seconds", ["HPA-METRIC-GONE"]),
        ("sglang:token_usage", ["HPA-UNIT"]),
    ],
)
def test_metrics_by_name(metric, expected):
    text = GPU_SERVER + hpa(by(metric))
    watched = ("HPA-GPU", "HPA-UNIT", "HPA-METRIC")
    assert sorted(rules(text, *watched)) == expected


@pytest.mark.parametrize(
    ("query", "threshold", "expected"),
    [
        ("avg(vllm:kv_cache_usage_perc)", "80", 1),
        ("avg(vllm:kv_cache_usage_perc)", "0.8", 0),
        ("avg(vllm:kv_cache_usage_perc) * 100", "80", 0),
        ("100 * avg(vllm:kv_cache_usage_perc)", "80", 0),
        pytest.param("sum(vllm:kv_cache_usage_perc)", "8", 0, id="a sum may exceed 1"),
        ("sum(vllm:num_requests_running)", "32", 0),
    ],
)
def test_units(query, threshold, expected):
    text = GPU_SERVER + keda(query).replace("'10'", f"'{threshold}'")
    assert len(rules(text, "HPA-UNIT")) == expected


@pytest.mark.parametrize(
    ("query", "more", "expected"),
    [
        ("sum(vllm:num_requests_running)", {}, []),
        ("sum(vllm:num_requests_running)", {"metadata": "a: b"}, ["KEDA-SILENCE"]),
        (
            "sum(vllm:num_requests_running)",
            {"metadata": "a: b", "spec": "minReplicaCount: 1\nfallback: {replicas: 2}"},
            ["KEDA-FALLBACK", "KEDA-SILENCE"],
        ),
        (
            "sum(vllm:num_requests_running)",
            {"spec": "minReplicaCount: 1\nfallback: {replicas: 2}"},
            [],
        ),
        ("sum(vllm:num_requests_running) or vector(0)", {}, ["KEDA-OR-ZERO"]),
        ("sum(vllm:num_requests_running) or on() vector(0)", {}, ["KEDA-OR-ZERO"]),
        ("sum(vllm:num_requests_running) or vector(0)", {"metadata": "a: b"}, ["KEDA-OR-ZERO"]),
        ("sum(rate(http_requests_total[1m])) or vector(0)", {}, []),
        ("vllm:num_requests_waiting", {}, ["KEDA-SERIES"]),
        ("sum by (pod) (vllm:num_requests_waiting)", {}, ["KEDA-SERIES"]),
        ("vllm:num_requests_waiting", {"spec": "minReplicaCount: 1\nmaxReplicaCount: 1"}, []),
        ("max(vllm:num_requests_waiting)", {}, ["KEDA-AVERAGE"]),
        ("avg(vllm:num_requests_waiting)", {}, ["KEDA-AVERAGE"]),
        ("max(vllm:num_requests_waiting)", {"trigger": "metricType: Value"}, []),
        ("sum(vllm:num_requests_waiting) by (pod)", {}, ["KEDA-SERIES"]),
        ("histogram_quantile(0.9, sum by (le) (rate(vllm:x_bucket[5m])))", {}, []),
    ],
)
def test_queries_of_keda(query, more, expected):
    text = GPU_SERVER + keda(query, **more)
    assert sorted(rules(text, "KEDA")) == expected


@pytest.mark.parametrize(
    ("spec", "query", "expected"),
    [
        ("minReplicaCount: 0", "sum(vllm:num_requests_waiting)", 1),
        ("maxReplicaCount: 4", "sum(vllm:num_requests_waiting)", 1),
        ("minReplicaCount: 1", "sum(vllm:num_requests_waiting)", 0),
        pytest.param(
            "minReplicaCount: 0",
            "sum(inference_extension_flow_control_queue_size)",
            0,
            id="a gateway exports it",
        ),
        pytest.param(
            "minReplicaCount: 0",
            "sum(vllm:num_requests_waiting) + sum(rate(istio_requests_total[1m]))",
            0,
            id="with a gateway beside",
        ),
    ],
)
def test_servers_that_nothing_wakes(spec, query, expected):
    assert len(rules(GPU_SERVER + keda(query, spec=spec), "KEDA-ASLEEP")) == expected


@pytest.mark.parametrize(
    ("server", "spec", "expected"),
    [
        (SLOW, "minReplicaCount: 0\ncooldownPeriod: 60", 1),
        (SLOW, "minReplicaCount: 0", 1),
        (SLOW, "minReplicaCount: 0\ncooldownPeriod: 900", 0),
        (SLOW, "minReplicaCount: 1\ncooldownPeriod: 60", 0),
        pytest.param(GPU_SERVER, "minReplicaCount: 0\ncooldownPeriod: 60", 0, id="no probe"),
    ],
)
def test_cooldown(server, spec, expected):
    assert len(rules(server + keda("sum(x)", spec=spec), "KEDA-COOLDOWN")) == expected


@pytest.mark.parametrize(
    ("server", "behavior", "expected"),
    [
        (SLOW, "", ["HPA-UP"]),
        (SLOW, "behavior: {scaleDown: {stabilizationWindowSeconds: 60}}", ["HPA-DOWN", "HPA-UP"]),
        (SLOW, "behavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 300}]}}", []),
        (GPU_SERVER, "behavior: {scaleDown: {stabilizationWindowSeconds: 0}}", []),
        (WEB, "behavior: {scaleDown: {stabilizationWindowSeconds: 0}}", []),
    ],
)
def test_pace(server, behavior, expected):
    text = server + hpa(by("vllm:num_requests_running"), behavior)
    assert sorted(rules(text, "HPA-DOWN", "HPA-UP")) == expected


def test_two_autoscalers():
    two = hpa(by("a")) + keda("sum(x)")
    assert rules(GPU_SERVER + two, "HPA-TWICE") == ["HPA-TWICE"]
    assert rules(WEB + two, "HPA-TWICE") == []


def test_the_autoscaler_that_keda_makes_is_kedas():
    owner = "apiVersion: keda.sh/v1alpha1, kind: ScaledObject, name: llm, controller: true"
    owner = f"ownerReferences: [{{{owner}}}]"
    made = hpa(by("a")).replace("{name: llm}\nspec", f"{{name: keda-hpa-llm, {owner}}}\nspec")
    assert rules(GPU_SERVER + keda("sum(x)") + made, "HPA-TWICE") == []


def test_two_overlays_of_one_workload_are_no_two_autoscalers():
    two = hpa(by("a")).replace("{name: llm}\nspec", "{name: llm, namespace: a}\nspec") + hpa(
        by("a")
    ).replace("{name: llm}\nspec", "{name: llm, namespace: b}\nspec")
    assert rules(GPU_SERVER + two, "HPA-TWICE") == []


def test_replicas_are_the_autoscalers():
    server = GPU_SERVER.replace("spec:\n  template", "spec:\n  replicas: 2\n  template")
    text = server + hpa(by("a"))
    ((rule, line, _),) = findings(text, "HPA-REPLICAS")
    assert (rule, line) == ("HPA-REPLICAS", 5)
    assert rules(text, "HPA-REPLICAS", origin="cluster") == []


KNATIVE = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: llm}
spec:
  template:
    metadata: {annotations: {NOTES}}
    spec:
      containers:
        - {name: c, resources: {limits: {RESOURCE: 1}}}
"""


@pytest.mark.parametrize(
    ("notes", "resource", "expected"),
    [
        ("a: b", "nvidia.com/gpu", ["KNATIVE-ZERO"]),
        ("a: b", "cpu", []),
        ('autoscaling.knative.dev/min-scale: "1"', "nvidia.com/gpu", []),
        ('autoscaling.knative.dev/minScale: "0"', "nvidia.com/gpu", []),
        (
            'autoscaling.knative.dev/min-scale: "1", autoscaling.knative.dev/metric: cpu',
            "nvidia.com/gpu",
            ["KNATIVE-CPU"],
        ),
    ],
)
def test_knative(notes, resource, expected):
    text = KNATIVE.replace("NOTES", notes).replace("RESOURCE", resource)
    assert rules(text, "KNATIVE") == expected
