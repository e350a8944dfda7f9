"""A model spread over as many GPUs as its container has.

A server is told over how many GPUs it spreads a model: tensor, pipeline and data parallel sizes,
multiplied. More than the container has, and it ends while it starts; fewer, and the rest stay idle
while they are paid for. vLLM takes one GPU where it is told nothing.

Left alone: servers that span several pods, sizes that come from variables or files, scripts that
start more than one server, and GPUs from resource claims.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.servers import World as Spread, engine_of, world_of
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

ALONE = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout", "Pod", "InferenceService"})
VENDORS = frozenset({"nvidia", "amd", "intel", "google"})  # of Neuron, a device has several cores
ELSEWHERE = frozenset({"ray", "CUDA_VISIBLE_DEVICES"})


def check_more(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find servers that spread over more GPUs than they have."""
    for container, spread in _servers(pod):
        if spread.gpus > container.gpus:
            yield Hit(
                spread.path,
                f"{spread.said} spreads the model over {count(spread.gpus, 'GPU')}, but container "
                f"{container.name} has {container.gpus}",
            )


def check_fewer(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find servers that leave GPUs idle."""
    for container, spread in _servers(pod):
        if spread.gpus < container.gpus:
            said = spread.said or "without --tensor-parallel-size the server"
            yield Hit(
                spread.path if spread.said else container.resources_path,
                f"{said} uses {count(spread.gpus, 'GPU')}, but container {container.name} has "
                f"{container.gpus}",
            )


def _servers(pod: PodView) -> Iterator[tuple[ContainerView, Spread]]:
    """Return the containers that serve alone, and over how many GPUs they spread."""
    if pod.workload.kind not in ALONE or pod.workload.get("spec", "predictor", "workerSpec"):
        return
    for container in pod.containers:
        if not container.gpus or container.claims or not _is_plain(container):
            continue
        engine = engine_of(container)
        spread = world_of(container, engine) if engine else None
        if spread is not None:
            yield container, spread


def _is_plain(container: ContainerView) -> bool:
    """Tell whether its GPUs are devices, and its command line starts one server by itself."""
    if any(
        ask.resource.vendor not in VENDORS or ask.resource.sharing != "whole"
        for ask in container.gpu_asks
    ):
        return False
    words = [word for word, _ in container.words]
    if words.count("serve") > 1 or any(name.startswith("RAY_") for name in container.variables):
        return False
    return not any(word.partition("=")[0] in ELSEWHERE for word in words)


_SERVER = """\
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
      volumes:
        - name: dshm
          emptyDir: {medium: Memory}
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
          resources:
            limits:
              nvidia.com/gpu: 4
          command: [vllm, serve, /models/llm]
"""

RULES = (
    Rule(
        id="SERVE-GPUS-SHORT",
        severity="error",
        title="A model is spread over no more GPUs than there are",
        why="The server counts the GPUs it can see and ends with an error when they are fewer "
        "than its parallel sizes need.",
        remedy="make the product of the parallel sizes and the GPU limit equal",
        source="vLLM v0.11 ParallelConfig; SGLang v0.5 server arguments; TGI v3 launcher",
        scope="pod",
        check=check_more,
        failing=_SERVER
        + """\
          args:
            - --tensor-parallel-size=8 # <- here
""",
        passing=_SERVER
        + """\
          args:
            - --tensor-parallel-size=4
""",
    ),
    Rule(
        id="SERVE-GPUS-IDLE",
        severity="warning",
        title="A model server uses all the GPUs it asks for",
        why="GPUs beyond the parallel sizes are never touched. They are allocated and paid for, "
        "and no other pod can have them.",
        remedy="raise the parallel size, or ask for fewer GPUs",
        source="vLLM v0.11 ParallelConfig; SGLang v0.5 server arguments",
        scope="pod",
        check=check_fewer,
        failing=_SERVER
        + """\
          args:
            - --tensor-parallel-size=2 # <- here
""",
        passing=_SERVER
        + """\
          args:
            - --tensor-parallel-size=2
            - --data-parallel-size=2
""",
    ),
)
