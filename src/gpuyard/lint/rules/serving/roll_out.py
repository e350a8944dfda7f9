"""A new replica before the old one goes.

A Deployment starts replacements first: a quarter more pods than asked for, rounded up, and a
quarter fewer available, rounded down. With three replicas and fewer that means one more and none
less, so a roll-out needs the GPUs of a whole replica free. In a fleet that is full it stops there:
the new pod waits for a GPU that only the old one could give up.
"""

from collections.abc import Iterator

from gpuyard.dialects.workloads import Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

KINDS = frozenset({"Deployment"})
QUARTER = "25%"


def check(workload: Workload, _world: World) -> Iterator[Hit]:
    """Find Deployments that cannot be rolled out without spare GPUs."""
    pod = workload.pods[0]
    surge = spare_pods(workload)
    if surge and pod.count and pod.gpus:
        yield Hit(
            ("spec", "strategy"),
            f"a roll-out of {count(pod.count, 'replica')} starts {surge} more before it stops one: "
            f"it needs {count(surge * pod.gpus, 'spare GPU')}",
        )


def spare_pods(workload: Workload) -> int:
    """Return how many pods a roll-out adds before it may stop one; 0 where it stops one first."""
    if workload.kind not in KINDS or workload.text("spec", "strategy", "type") == "Recreate":
        return 0
    replicas = workload.pods[0].count
    if not replicas:
        return 0
    rolling = workload.mapping("spec", "strategy", "rollingUpdate")
    surge = _pods(rolling.get("maxSurge", QUARTER), replicas, up=True)
    fewer = _pods(rolling.get("maxUnavailable", QUARTER), replicas, up=False)
    return surge if surge and fewer == 0 else 0


def _pods(written: object, replicas: int, *, up: bool) -> int | None:
    """Return how many pods a number or a percentage is, `None` where it is neither."""
    if isinstance(written, int) and not isinstance(written, bool):
        return written
    if isinstance(written, str) and written.endswith("%") and written[:-1].isdecimal():
        hundredths = int(written[:-1]) * replicas
        return -(-hundredths // 100) if up else hundredths // 100
    return None


_SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:{mark}
  replicas: 2
{strategy}\
  selector:
    matchLabels: {{app: llm}}
  template:
    metadata:
      labels: {{app: llm}}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          resources:
            limits:
              nvidia.com/gpu: 1
"""
_ROLLING = """\
  strategy:
    rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
"""

RULES = (
    Rule(
        id="ROLLOUT-SURGE",
        severity="info",
        title="A roll-out needs no GPUs that nobody has",
        why="The default starts a replacement before it stops a replica. Where no GPU is free, "
        "the replacement waits for ever and the roll-out never moves.",
        remedy="set strategy.rollingUpdate to maxSurge: 0 and maxUnavailable: 1, or keep that "
        "many GPUs free",
        source="k8s.io/api 1.37, apps/v1 RollingUpdateDeployment; k8s.io/kubernetes v1.36 "
        "deployment util ResolveFenceposts",
        scope="workload",
        check=check,
        failing=_SERVER.format(mark=" # <- here", strategy=""),
        passing=_SERVER.format(mark="", strategy=_ROLLING),
    ),
)
