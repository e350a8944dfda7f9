"""Probes and a model that takes minutes to load.

A server of a large model answers nothing until its weights are read, its kernels are compiled and
its graphs are captured; four minutes and more are usual. A liveness probe that runs out of patience
before kills the container, which starts again from nothing: it never comes up, and the log shows
only an interrupt. A startup probe holds the liveness probe back until the server has answered once.
Without a readiness probe the pod gets requests as soon as its process runs.

Only known model servers are looked at. The patience of a probe is its initial delay and, for each
failure that is allowed, one period.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.servers import engine_of
from gpuyard.lint.world import World

PATIENCE_MIN_S = 180
SERVES = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})


def check_liveness(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find probes that kill a server while it loads."""
    for container in pod.containers:
        for name in ("startupProbe", "livenessProbe"):
            probe = container.get(name)
            if not isinstance(probe, dict) or not engine_of(container):
                continue
            patience = patience_s(container, name)
            if patience < PATIENCE_MIN_S:
                yield Hit(
                    container.at(name),
                    f"the {name} of container {container.name} kills it {patience} s after its "
                    "start, while it may still load its model",
                )
            break  # a startup probe holds the other back


def check_readiness(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find servers that get requests while they load."""
    if pod.workload.kind not in SERVES:
        return
    for container in pod.containers:
        if container.gpu_asks and container.get("readinessProbe") is None and engine_of(container):
            yield Hit(
                container.at("readinessProbe"),
                f"container {container.name} has no readinessProbe and counts as ready while it "
                "loads its model",
            )


def patience_s(container: ContainerView, probe: str) -> int:
    """Return the seconds after which a probe that never succeeds kills the container."""
    value = container.mapping(probe)

    def number(field: str, default: int) -> int:
        found = plain.whole(value, field)
        return default if found is None else found

    delay = number("initialDelaySeconds", 0)
    return delay + number("periodSeconds", 10) * number("failureThreshold", 3)


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
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          command: [vllm, serve, /models/llm]
          resources:
            limits:
              nvidia.com/gpu: 1
"""
_READY = """\
          readinessProbe:
            httpGet: {path: /health, port: 8000}
"""

RULES = (
    Rule(
        id="SERVE-LIVENESS",
        severity="warning",
        title="Probes wait until a model is loaded",
        why="A server that is killed while it loads starts again from the beginning and never "
        "comes up. It shows as restarts and an interrupt in the log, not as a failed probe.",
        remedy="add a startupProbe with failureThreshold × periodSeconds above the load time, "
        "60 × 10 s for instance",
        source="vLLM documentation, Using Kubernetes, Startup probe failure; kserve #5062, #5063; "
        "vllm-project/aibrix #772",
        scope="pod",
        check=check_liveness,
        failing=_SERVER
        + """\
          livenessProbe: # <- here
            httpGet: {path: /health, port: 8000}
            initialDelaySeconds: 60
            periodSeconds: 10
"""
        + _READY,
        passing=_SERVER
        + """\
          startupProbe:
            httpGet: {path: /health, port: 8000}
            periodSeconds: 10
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /health, port: 8000}
"""
        + _READY,
    ),
    Rule(
        id="SERVE-READINESS",
        severity="warning",
        title="A model server has a readiness probe",
        why="Without one a pod is ready as soon as its process runs. Requests go to a server that "
        "is still loading, and a roll-out replaces working replicas by such.",
        remedy="add a readinessProbe on the server's health path",
        source="Kubernetes documentation, Configure Liveness, Readiness and Startup Probes; vLLM "
        "documentation, Using Kubernetes",
        scope="pod",
        check=check_readiness,
        failing=_SERVER.replace("- name: vllm", "- name: vllm # <- here"),
        passing=_SERVER + _READY,
    ),
)
