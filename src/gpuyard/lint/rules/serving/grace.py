"""Thirty seconds for an answer that takes longer.

A pod that is to go gets ``terminationGracePeriodSeconds``, 30 where nothing is said, and is then
killed. A model server has streams open by then; a long answer, or a long prompt, takes minutes.
What is cut off is an error to somebody and has been computed for nothing.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.servers import engine_of
from gpuyard.lint.world import World

DEFAULT_S = 30


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find model servers with the default grace or less."""
    if pod.workload.row.lifetime != "service" or not pod.is_complete:
        return
    given = pod.spec.whole("terminationGracePeriodSeconds")
    if given is not None and given > DEFAULT_S:
        return
    serving = next((one for one in pod.containers if one.gpu_asks and engine_of(one)), None)
    if serving is not None:
        seconds = f"{DEFAULT_S} s, the default," if given is None else f"{given} s"
        yield Hit(
            pod.spec.at("terminationGracePeriodSeconds"),
            f"the model server {serving.name} has {seconds} to finish its streams before it is "
            "killed",
        )


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
      terminationGracePeriodSeconds: 300
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          command: [vllm, serve, /models/llm]
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="SERVE-GRACE",
        severity="info",
        title="A model server has time to finish its streams",
        why="Every roll-out, drain and scale-down ends replicas. Streams that are still open when "
        "the grace period is over are cut off.",
        remedy="set terminationGracePeriodSeconds to the longest answer you promise, 300 for "
        "instance",
        source="Kubernetes documentation, Pod Lifecycle, Termination of Pods",
        scope="pod",
        check=check,
        failing=_SERVER.replace(
            "    spec:\n      terminationGracePeriodSeconds: 300\n", "    spec: # <- here\n"
        ),
        passing=_SERVER,
    ),
)
