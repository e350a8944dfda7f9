"""A whole large GPU for a small model.

How many parameters a model has often stands in its name (``example/llama-1b``), and which GPU a pod
gets in its node selector. Weights take two bytes for each parameter, less where they are quantised;
with as much again, twice, for the KV cache and for what the server itself needs, a model of one
billion parameters is at home in a tenth of an H100. Where a quarter of the GPU or less would do,
and the GPU can be cut into MIG instances, the rule says which.

Mixtures of experts (``8x7b``, ``30b-a3b``) are left alone.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.dialects.workloads.gpus import NVIDIA_GPU
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.servers import engine_of, model_of
from gpuyard.lint.world import World
from gpuyard.model.catalogue import DeviceModel, UnknownDeviceModel, device_model

PARAMETERS = re.compile(
    r"(?<![a-z0-9.])(?P<billions>[0-9]+(?:\.[0-9]+)?)b(?![a-z0-9])", re.IGNORECASE
)
EXPERTS = re.compile(r"[0-9]x[0-9]+b|-a[0-9.]+b|moe|mixtral", re.IGNORECASE)
BYTES_OF_A_PARAMETER = 2
ROOM = 3  # times the weights
BESIDE_BYTES = 2 * 2**30  # the CUDA context, and graphs
SHARE_MAX = 4  # a quarter of the GPU
PRODUCT_LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
ON_GKE = {
    "nvidia-tesla-a100": "A100-40",
    "nvidia-a100-80gb": "A100-80",
    "nvidia-h100-80gb": "H100",
    "nvidia-h100-mega-80gb": "H100",
    "nvidia-h200-141gb": "H200",
    "nvidia-b200": "B200",
}


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find small models on a whole GPU that could be cut."""
    product = next(
        (value for key in PRODUCT_LABELS if (value := pod.spec.text("nodeSelector", key))), ""
    )
    gpu = _model_of_gpu(product)
    if gpu is None or not gpu.memory_bytes or pod.devices != {NVIDIA_GPU: 1}:
        return
    for container in pod.containers:
        engine = engine_of(container) if container.gpus else None
        model = model_of(container, engine) if engine else ""
        weights = _weights_bytes(model)
        slice_ = _slice_for(gpu, weights * ROOM + BESIDE_BYTES) if weights else None
        if slice_ is not None:
            yield Hit(
                container.gpu_asks[0].path,
                f"{model} has weights of about {max(1, round(weights / 2**30))} GiB, the "
                f"{gpu.name} has {gpu.memory_bytes // 2**30} GiB; a MIG instance {slice_} would do",
            )


def _model_of_gpu(product: str) -> DeviceModel | None:
    if not product:
        return None
    try:
        return device_model(ON_GKE.get(product, product))
    except UnknownDeviceModel:
        return None


def _weights_bytes(model: str) -> int:
    """Return the bytes of a model's weights by its name, 0 where it does not say."""
    name = model.rpartition("/")[2]
    if EXPERTS.search(name):
        return 0
    found = [float(match["billions"]) for match in PARAMETERS.finditer(name)]
    return int(max(found) * 10**9 * BYTES_OF_A_PARAMETER) if found else 0


def _slice_for(gpu: DeviceModel, needed_bytes: int) -> str | None:
    """Return the smallest profile with so much memory, `None` where that is no small part."""
    whole = gpu.memory_bytes or 0
    slices = gpu.mig_memory_slices
    fitting = [
        profile
        for profile in gpu.mig_profiles
        if not profile.media and whole * profile.memory_slices // slices >= needed_bytes
    ]
    smallest = min(fitting, key=lambda one: (one.memory_slices, one.compute_slices), default=None)
    if smallest is None or smallest.memory_slices * SHARE_MAX > slices:
        return None
    return smallest.name


_SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 1
  selector:
    matchLabels: {{app: llm}}
  template:
    metadata:
      labels: {{app: llm}}
    spec:
      nodeSelector:
        nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3{product}
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          command: [vllm, serve, /models/llama-1b]
          resources:
            limits:
              nvidia.com/{gpu}: 1{mark}
"""

RULES = (
    Rule(
        id="GPU-TOO-BIG",
        severity="info",
        title="A small model does not take a whole large GPU",
        why="A model of a few gigabytes leaves most of an H100 or A100 empty, and nobody else can "
        "use what is left. A MIG instance has its own memory and its own share of the GPU.",
        remedy="ask for the MIG profile, on nodes that offer it, or choose a smaller GPU",
        source="NVIDIA MIG user guide, Supported MIG profiles; counted with 2 bytes for each "
        "parameter",
        scope="pod",
        check=check,
        failing=_SERVER.format(product="", gpu="gpu", mark=" # <- here"),
        passing=_SERVER.format(product="-MIG-1g.10gb", gpu="mig-1g.10gb", mark=""),
    ),
)
