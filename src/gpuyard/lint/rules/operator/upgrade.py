"""Driver upgrades that stand still, and drivers that do not come up.

The operator upgrades nodes one by one and counts those that are away: cordoned or not ready. As
soon as they are as many as ``maxUnavailable`` allows it starts no further node, whoever cordoned
them and why. A driver pod that does not come up leaves its node without a GPU.
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import POLICY
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

STATE = "nvidia.com/gpu-driver-upgrade-state"
DRIVER_PODS = frozenset({"nvidia-driver-daemonset", "nvidia-driver"})
FAILING = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"})
ALLOWED_AWAY = "25%"
BRANCH = "nvidia.com/gpu.present"


def check_stalled(policy: Entry, world: World) -> Iterator[Hit]:
    """Find upgrades for which too many nodes are away already."""
    if policy.get("spec", "driver", "upgradePolicy", "autoUpgrade") is False:
        return
    managed = [node for node in world.of_kind("Node") if STATE in node.labels]
    waiting = [node for node in managed if node.labels[STATE] == "upgrade-required"]
    away = [node for node in managed if _is_away(node)]
    written = policy.get("spec", "driver", "upgradePolicy", "maxUnavailable")
    allowed = _allowed(ALLOWED_AWAY if written is None else written, len(managed))
    if waiting and allowed is not None and len(away) >= allowed:
        yield Hit(
            ("spec", "driver", "upgradePolicy", "maxUnavailable"),
            f"{count(len(waiting), 'node')} {'waits' if len(waiting) == 1 else 'wait'} for a new "
            f"driver, but {len(away)} of {len(managed)} are cordoned or not ready, and "
            f"maxUnavailable allows {allowed}",
        )


def check_failed(node: Entry, _world: World) -> Iterator[Hit]:
    """Find nodes on which an upgrade failed."""
    if node.labels.get(STATE) == "upgrade-failed":
        yield Hit(("metadata", "labels", STATE), "the upgrade of its driver failed")


def check_driver_pod(pod: Entry, _world: World) -> Iterator[Hit]:
    """Find driver pods that do not come up."""
    labels = {pod.labels.get("app"), pod.labels.get("app.kubernetes.io/component")}
    if not labels & DRIVER_PODS:
        return
    for field in ("initContainerStatuses", "containerStatuses"):
        for index, one in pod.mappings("status", field):
            reason = plain.text(one, "state", "waiting", "reason")
            if reason in FAILING:
                yield Hit(
                    ("status", field, index),
                    f"the driver of node {pod.text('spec', 'nodeName')} does not come up: "
                    f"{plain.text(one, 'name')} is in {reason}",
                )
                return


def check_kernels(policy: Entry, world: World) -> Iterator[Hit]:
    """Find several kernels where drivers are built ahead for one."""
    if not policy.is_true("spec", "driver", "usePrecompiled"):
        return
    kernels = {
        node.text("status", "nodeInfo", "kernelVersion")
        for node in world.of_kind("Node")
        if node.labels.get(BRANCH) == "true"
    } - {""}
    if len(kernels) > 1:
        yield Hit(
            ("spec", "driver", "usePrecompiled"),
            f"GPU nodes run {len(kernels)} kernels ({', '.join(sorted(kernels)[:3])}), and each "
            "needs a driver image of its own",
        )


def _is_away(node: Entry) -> bool:
    """Tell whether the operator counts a node as unavailable."""
    if node.is_true("spec", "unschedulable"):
        return True
    return any(
        plain.text(one, "type") == "Ready" and one.get("status") != "True"
        for _, one in node.mappings("status", "conditions")
    )


def _allowed(written: object, nodes: int) -> int | None:
    """Return how many nodes may be away: a number, or a share rounded up."""
    if isinstance(written, int) and not isinstance(written, bool):
        return written
    if isinstance(written, str) and written.removesuffix("%").isdecimal():
        number = int(written.removesuffix("%"))
        return -(-number * nodes // 100) if written.endswith("%") else number
    return None


OPERATOR = """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  driver:
    usePrecompiled: true
    upgradePolicy:
      autoUpgrade: true
      maxUnavailable: 1
"""
NODES = "".join(
    f"""\
---
apiVersion: v1
kind: Node
metadata:
  name: gpu-{number}
  labels:
    nvidia.com/gpu.present: "true"
    nvidia.com/gpu-driver-upgrade-state: {state}
spec:
  taints:
    - {{key: nvidia.com/gpu, value: present, effect: NoSchedule}}
  unschedulable: {away}
status:
  nodeInfo:
    kernelVersion: 5.15.0-139-generic
"""
    for number, state, away in (
        (0, "upgrade-required", "false"),
        (1, "upgrade-done", "true"),
    )
)
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: nvidia-driver-daemonset-x7k2p
  labels:
    app: nvidia-driver-daemonset
spec:
  nodeName: gpu-0
  containers: []
status:
  containerStatuses:
    - name: nvidia-driver-ctr
      state:
        STATE
---
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
"""
SOURCE = "NVIDIA k8s-operator-libs, pkg/upgrade (GetUpgradesAvailable); NVIDIA/gpu-operator #316, "

RULES = (
    Rule(
        id="DRIVER-STALLED",
        severity="warning",
        title="Cordoned nodes leave room for a driver upgrade",
        why="Nodes that are cordoned for any reason count against maxUnavailable. As long as they "
        "are as many, no node gets its new driver, and nothing says so.",
        remedy="uncordon or mend the nodes, or raise driver.upgradePolicy.maxUnavailable",
        source=SOURCE + "#2509",
        scope="object",
        kinds=(POLICY,),
        needs="cluster",
        reads=("Node",),
        check=check_stalled,
        failing=OPERATOR.replace("maxUnavailable: 1", "maxUnavailable: 1 # <- here") + NODES,
        passing=OPERATOR.replace("maxUnavailable: 1", "maxUnavailable: 2") + NODES,
    ),
    Rule(
        id="DRIVER-UPGRADE-FAILED",
        severity="error",
        title="The upgrade of a node's driver succeeds",
        why="The node stays cordoned with its old driver or with none, and counts against "
        "maxUnavailable for all others.",
        remedy="look into the log of the driver pod on the node, then set the label to "
        "upgrade-required to try again",
        source=SOURCE + "GPU Operator documentation, GPU Driver Upgrades, Troubleshooting",
        scope="object",
        kinds=("Node",),
        needs="cluster",
        reads=("Node",),
        check=check_failed,
        failing=NODES.removeprefix("---\n").replace(
            "state: upgrade-done", "state: upgrade-failed # <- here"
        ),
        passing=NODES.removeprefix("---\n"),
    ),
    Rule(
        id="DRIVER-POD",
        severity="error",
        title="The driver of a GPU node comes up",
        why="Without its driver a node offers no GPU. After an automatic kernel update the driver "
        "has to be built anew, which needs headers from the network, or a ready image.",
        remedy="look into the log of the pod; keep kernels from updating by themselves, or use "
        "driver.usePrecompiled with an image for the new kernel",
        source="NVIDIA/gpu-operator #703, #781",
        scope="object",
        kinds=("Pod",),
        needs="cluster",
        reads=("Pod", "Node"),
        check=check_driver_pod,
        failing=POD.replace(
            "- name: nvidia-driver-ctr", "- name: nvidia-driver-ctr # <- here"
        ).replace("STATE", "waiting: {reason: CrashLoopBackOff}"),
        passing=POD.replace("STATE", "running: {}"),
    ),
    Rule(
        id="DRIVER-KERNELS",
        severity="warning",
        title="Precompiled drivers meet one kernel",
        why="A precompiled driver is an image per kernel version. A node whose kernel updated "
        "itself waits for an image that nobody has built, without a GPU.",
        remedy="bring the nodes to one kernel, or make sure of an image for each",
        source="GPU Operator documentation, Precompiled Driver Containers; NVIDIA/gpu-operator "
        "#703",
        scope="object",
        kinds=(POLICY,),
        needs="cluster",
        reads=("Node",),
        check=check_kernels,
        failing=OPERATOR.replace("usePrecompiled: true", "usePrecompiled: true # <- here")
        + NODES.replace("5.15.0-139-generic", "5.15.0-144-generic", 1),
        passing=OPERATOR + NODES,
    ),
)
