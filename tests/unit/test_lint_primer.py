"""What every introduction to GPUs on Kubernetes shows, and what becomes of it on a given cloud.

Each snippet is understood: it is read without a complaint where it works, and where it falls short
the advice says what to write there.
"""

import textwrap

import pytest

from gpuyard.dialects.documents import read
from gpuyard.dialects.workloads import workload
from tests.small_findings import findings, rules

GPU_LIMIT = """
apiVersion: v1
kind: Pod
metadata: {name: cuda-test}
spec:
  restartPolicy: Never
  containers:
    - name: cuda
      image: nvidia/cuda:12.4.1-base-ubuntu22.04
      resources:
        limits:
          nvidia.com/gpu: 1
"""
NODE_SELECTOR = GPU_LIMIT.replace(
    "  restartPolicy: Never\n",
    "  restartPolicy: Never\n  nodeSelector:\n    nvidia.com/gpu.product: PRODUCT\n",
)
TOLERATING = GPU_LIMIT.replace(
    "  restartPolicy: Never\n",
    """\
  restartPolicy: Never
  tolerations:
    - key: nvidia.com/gpu
      operator: Equal
      value: "true"
      effect: NoSchedule
""",
)
ONE_PER_HOST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  replicas: 2
  selector: {matchLabels: {app: llm}}
  template:
    metadata: {labels: {app: llm}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - labelSelector: {matchLabels: {app: llm}}
              topologyKey: kubernetes.io/hostname
      containers:
        - name: server
          image: vllm/vllm-openai:v0.11.0
          resources: {limits: {nvidia.com/gpu: 1}}
"""
PRIORITIES = """
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: inference-critical}
value: 1000000
globalDefault: false
description: Serving that users wait for.
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: training-preemptible}
value: 1000
globalDefault: false
preemptionPolicy: Never
description: Training that may wait.
"""
MIG_VALUES = """
# gpuyard:chart gpu-operator v25.10.1
mig:
  strategy: STRATEGY
migManager:
  enabled: true
  config:
    default: all-1g.10gb
"""
MIG_POD = GPU_LIMIT.replace("nvidia.com/gpu: 1", "nvidia.com/mig-1g.10gb: 1")


def node(name, labels="", taint="", gpus="nvidia.com/gpu: '8'"):
    taints = f"[{taint}]" if taint else "[]"
    return textwrap.dedent(
        f"""
        ---
        apiVersion: v1
        kind: Node
        metadata:
          name: {name}
          labels: {{kubernetes.io/hostname: {name}{", " + labels if labels else ""}}}
        spec: {{taints: {taints}}}
        status: {{allocatable: {{cpu: "96", memory: 1000Gi, pods: "110", {gpus}}}}}
        """
    )


GKE_LABEL = "cloud.google.com/gke-accelerator: nvidia-h100-80gb"
GKE_TAINT = "{key: nvidia.com/gpu, value: present, effect: NoSchedule}"
EKS_TAINT = "{key: nvidia.com/gpu, value: 'true', effect: NoSchedule}"
AKS_TAINT = "{key: sku, value: gpu, effect: NoSchedule}"
PRODUCT = "nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3"


def severe(text, **more):
    """Return the findings that are no mere advice about this snippet's surroundings."""
    watched = ("FIT", "MIG", "CLOUD", "TOLERATION", "OPERATOR", "GPU-LIMITS", "LINT")
    return rules(text, *watched, **more)


@pytest.mark.parametrize(
    "text",
    [
        GPU_LIMIT,
        NODE_SELECTOR.replace("PRODUCT", "NVIDIA-H100-80GB-HBM3"),
        ONE_PER_HOST,
        PRIORITIES,
    ],
)
def test_a_snippet_is_read_without_complaint(text):
    assert severe(text) == []


def test_what_each_asks_for_is_understood():
    (document,) = read(ONE_PER_HOST, "a.yaml").documents
    found = workload(document.value)
    assert (found.pods_total, found.gpus_total) == (2, 2)
    (document,) = read(MIG_POD, "a.yaml").documents
    (ask,) = workload(document.value).pods[0].gpu_asks
    assert (ask.resource.profile, ask.resource.sharing, ask.count) == ("1g.10gb", "partition", 1)


@pytest.mark.parametrize(
    ("text", "nodes", "expected"),
    [
        pytest.param(GPU_LIMIT, node("gpu-0"), [], id="bare metal without taints"),
        pytest.param(
            GPU_LIMIT, node("gpu-0", GKE_LABEL, GKE_TAINT), [], id="GKE tolerates for who asks"
        ),
        pytest.param(GPU_LIMIT, node("gpu-0", "", EKS_TAINT), ["FIT-TAINT"], id="EKS: tolerate it"),
        pytest.param(
            GPU_LIMIT, node("gpu-0", "", AKS_TAINT), ["FIT-TAINT"], id="AKS: tolerate sku"
        ),
        pytest.param(TOLERATING, node("gpu-0", "", EKS_TAINT), [], id="the value of EKS' examples"),
        pytest.param(TOLERATING, node("gpu-0", GKE_LABEL, GKE_TAINT), [], id="GKE adds its own"),
        pytest.param(
            TOLERATING, node("gpu-0", "", AKS_TAINT), ["FIT-TAINT"], id="another key on AKS"
        ),
        pytest.param(
            TOLERATING,
            node("gpu-0", "", "{key: nvidia.com/gpu, effect: NoSchedule}"),
            ["FIT-TAINT"],
            id="OpenShift or RKE2, where the taint has no value",
        ),
    ],
)
def test_taint_and_toleration_on_each_cloud(text, nodes, expected):
    assert severe(text, background=nodes) == expected


def test_the_toleration_gets_advice_without_a_cluster():
    ((rule, line, message),) = findings(TOLERATING, "TOLERATION")
    assert (rule, line) == ("TOLERATION-VALUE", 8)
    assert "GKE's is 'present'" in message


@pytest.mark.parametrize(
    ("value", "nodes", "expected"),
    [
        ("NVIDIA-H100-80GB-HBM3", node("gpu-0", PRODUCT), []),
        ("NVIDIA-H100-80GB-HBM3", node("gpu-0", PRODUCT + "-SHARED"), ["FIT-SELECTOR"]),
        pytest.param(
            "NVIDIA-H100-80GB-HBM3",
            node("gpu-0", GKE_LABEL),
            ["FIT-SELECTOR"],
            id="GKE's own label",
        ),
        ("H100", node("gpu-0", PRODUCT), ["CLOUD-LABEL", "FIT-SELECTOR"]),
    ],
)
def test_the_node_selector(value, nodes, expected):
    text = NODE_SELECTOR.replace("PRODUCT", value)
    assert sorted(severe(text, background=nodes)) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(node("gpu-0") + node("gpu-1"), []), (node("gpu-0"), ["FIT-REPLICAS"])],
)
def test_one_replica_per_host(nodes, expected):
    assert severe(ONE_PER_HOST, background=nodes) == expected


@pytest.mark.parametrize("strategy", ["single", "mixed"])
def test_the_operator_takes_no_profile_as_the_default(strategy):
    text = MIG_VALUES.replace("STRATEGY", strategy)
    documents, _ = read(text, "values.yaml")
    assert len(documents) == 1
    ((rule, line, message),) = findings(text, "OPERATOR", "HELM", "MIG")
    assert (rule, line) == ("OPERATOR-VALUE", 8)
    assert "takes only all-disabled or nothing" in message


@pytest.mark.parametrize(("strategy", "expected"), [("single", ["MIG-STRATEGY"]), ("mixed", [])])
def test_a_slice_by_its_name(strategy, expected):
    text = MIG_VALUES.replace("STRATEGY", strategy) + "---" + MIG_POD
    assert rules(text, "MIG") == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(
            node("gpu-0", "nvidia.com/mig.strategy: mixed", gpus="nvidia.com/mig-1g.10gb: '7'"),
            [],
            id="an 80 GB GPU, mixed",
        ),
        pytest.param(
            node("gpu-0", "nvidia.com/mig.strategy: single", gpus="nvidia.com/gpu: '7'"),
            ["MIG-NO-SLICE"],
            id="single: the slice is called nvidia.com/gpu",
        ),
        pytest.param(
            node("gpu-0", "nvidia.com/mig.strategy: mixed", gpus="nvidia.com/mig-1g.18gb: '7'"),
            ["MIG-NO-SLICE"],
            id="an H200 has 1g.18gb",
        ),
        pytest.param(
            node(
                "gpu-0",
                "cloud.google.com/gke-gpu-partition-size: 1g.10gb",
                gpus="nvidia.com/gpu: '7'",
            ),
            ["MIG-NO-SLICE"],
            id="GKE calls slices nvidia.com/gpu",
        ),
    ],
)
def test_a_slice_on_each_kind_of_node(nodes, expected):
    assert severe(MIG_POD, background=nodes) == expected


def test_on_gke_the_advice_is_gkes():
    nodes = node("gpu-0", "cloud.google.com/gke-gpu-partition-size: 1g.10gb")
    ((_, _, message),) = findings(MIG_POD, "MIG-NO-SLICE", background=nodes)
    assert "cloud.google.com/gke-gpu-partition-size" in message
