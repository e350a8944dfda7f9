"""One volume for several pods that may not share it.

``ReadWriteOnce`` lets one *node* mount a volume: further pods start only on that node, and where it
has no GPU left they wait in ContainerCreating with a Multi-Attach error. ``ReadWriteOncePod`` lets
in one *pod*. A Deployment that starts the replacement before it stops the old replica meets the
same wall with a single replica.

A StatefulSet's ``volumeClaimTemplates`` make a claim for each pod and are no such case.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.scaling.targets import replicas
from gpuyard.lint.rules.serving.roll_out import spare_pods
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

CLAIM = "PersistentVolumeClaim"
ONE_NODE = frozenset({"ReadWriteOnce"})
ONE_POD = frozenset({"ReadWriteOncePod"})
DAEMONS = 2  # as many as there are nodes


def check_node(workload: Workload, world: World) -> Iterator[Hit]:
    """Find several pods with a volume of one node."""
    for claim, pods, path in _shared(workload, world):
        if _modes(claim) == ONE_NODE:
            yield Hit(
                path,
                f"{count(pods, 'pod')} share the claim {claim.name}, which only one node can mount "
                "(ReadWriteOnce)",
            )


def check_pod(workload: Workload, world: World) -> Iterator[Hit]:
    """Find several pods with a volume of one pod."""
    for claim, pods, path in _shared(workload, world):
        if _modes(claim) == ONE_POD:
            yield Hit(
                path,
                f"{count(pods, 'pod')} share the claim {claim.name}, which only one pod can mount "
                "(ReadWriteOncePod)",
            )


def check_roll_out(workload: Workload, world: World) -> Iterator[Hit]:
    """Find roll-outs that wait for a volume that the old replica holds."""
    if workload.pods[0].count != 1 or not spare_pods(workload):
        return
    for path, claim in _claims(workload.pods[0], world):
        modes = _modes(claim)
        if modes in (ONE_NODE, ONE_POD):
            yield Hit(
                path,
                f"a roll-out starts a second pod with the claim {claim.name} "
                f"({', '.join(sorted(modes))}) before it stops the first",
            )


def _shared(workload: Workload, world: World) -> Iterator[tuple[Entry, int, Path]]:
    """Return the claims that several pods of a workload mount, and how many do."""
    if not world.of_kind(CLAIM):
        return
    pods: dict[str, int] = {}
    places: dict[str, tuple[Entry, Path]] = {}
    for pod in workload.pods:
        number = DAEMONS if workload.row.lifetime == "daemon" else _most(pod, world)
        for path, claim in _claims(pod, world):
            pods[claim.name] = pods.get(claim.name, 0) + number
            places.setdefault(claim.name, (claim, path))
    for name, number in pods.items():
        if number > 1:
            claim, path = places[name]
            yield claim, number, path


def _most(pod: PodView, world: World) -> int:
    """Return how many pods a template makes, at most where an autoscaler changes that."""
    if len(pod.workload.pods) > 1:
        return pod.count or 0
    return replicas(pod.workload, world)[1] or 0


def _claims(pod: PodView, world: World) -> Iterator[tuple[Path, Entry]]:
    for index, volume in pod.spec.mappings("volumes"):
        name = plain.text(volume, "persistentVolumeClaim", "claimName")
        claim = world.named(CLAIM, name, world.entry(pod)) if name else None
        if claim is not None:
            path = pod.spec.at("volumes", index, "persistentVolumeClaim", "claimName")
            yield path, claim


def _modes(claim: Entry) -> frozenset[str]:
    return frozenset(word for _, word in plain.words(claim.value, "spec", "accessModes"))


_SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: llm}}
{strategy}\
  template:
    metadata:
      labels: {{app: llm}}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          volumeMounts:
            - {{name: models, mountPath: /models}}
          resources:
            limits:
              nvidia.com/gpu: 1
      volumes:
        - name: models
          persistentVolumeClaim:
            claimName: models{mark}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: models
spec:
  accessModes: [{mode}]
  resources:
    requests: {{storage: 200Gi}}
"""
_RECREATE = "  strategy: {type: Recreate}\n"
_HERE = " # <- here"
_SOURCE = "Kubernetes documentation, Persistent Volumes, Access Modes"

RULES = (
    Rule(
        id="PVC-ONE-NODE",
        severity="warning",
        title="Pods that share a volume may do so from several nodes",
        why="A ReadWriteOnce volume is mounted by one node at a time. Pods that are placed on "
        "another stay in ContainerCreating with a Multi-Attach error.",
        remedy="use a claim with ReadWriteMany or ReadOnlyMany, or a StatefulSet with "
        "volumeClaimTemplates",
        source=f"{_SOURCE}; LLMKube #728",
        scope="workload",
        check=check_node,
        failing=_SERVER.format(replicas=4, strategy="", mark=_HERE, mode="ReadWriteOnce"),
        passing=_SERVER.format(replicas=4, strategy="", mark="", mode="ReadWriteMany"),
    ),
    Rule(
        id="PVC-ONE-POD",
        severity="error",
        title="A volume for one pod is used by one pod",
        why="With ReadWriteOncePod the scheduler leaves every further pod that mounts the claim "
        "pending for as long as the first one lives.",
        remedy="use a claim with ReadWriteMany or ReadOnlyMany, or a StatefulSet with "
        "volumeClaimTemplates",
        source=_SOURCE,
        scope="workload",
        check=check_pod,
        failing=_SERVER.format(replicas=4, strategy="", mark=_HERE, mode="ReadWriteOncePod"),
        passing=_SERVER.format(replicas=1, strategy=_RECREATE, mark="", mode="ReadWriteOncePod"),
    ),
    Rule(
        id="PVC-ROLLOUT",
        severity="warning",
        title="A roll-out does not wait for a volume that is still held",
        why="The replacement starts first, on another node as often as not, and cannot mount the "
        "volume that the old replica holds; the old one is kept until the replacement is ready. "
        "Neither moves.",
        remedy="set strategy.type: Recreate",
        source=f"{_SOURCE}; Kubernetes documentation, Deployments, Strategy",
        scope="workload",
        check=check_roll_out,
        failing=_SERVER.format(replicas=1, strategy="", mark=_HERE, mode="ReadWriteOnce"),
        passing=_SERVER.format(replicas=1, strategy=_RECREATE, mark="", mode="ReadWriteOnce"),
    ),
)
