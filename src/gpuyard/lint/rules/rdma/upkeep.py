"""Upkeep of the network that stops what runs, and networks that are not ready.

The driver container of the network operator can be upgraded node by node. With ``drain.force`` or
``deleteEmptyDir`` the drain takes pods that an ordinary one would leave: those without a
controller, those with data in an emptyDir. The SR-IOV operator reports per node whether its
configuration was applied; where that failed, the node offers no virtual functions, or old ones.

Multus runs for each pod that starts. Its manifest limits it to 50 MiB, and when hundreds of pods
start at once it is killed at that limit, and every pod on the node waits.

Sources: NVIDIA network-operator v26.1 (DriverUpgradePolicySpec: drain.enable is true by default),
sriov-network-operator v1.6 (SriovNetworkNodeState.status.syncStatus) and #225; multus-cni #1346,
#1383, #1093, #1221.
"""

from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.rdma.nics import NETWORKS
from gpuyard.lint.rules.samples import POD, changed, together
from gpuyard.lint.world import Entry, World
from gpuyard.model.quantity import parse_quantity

UPGRADE = ("spec", "ofedDriver", "upgradePolicy")
MULTUS_BYTES_MIN = 200 * 2**20


def check_drain(policy: Entry, _world: World) -> Iterator[Hit]:
    """Find driver upgrades that drain nodes of what an ordinary drain leaves."""
    drain = (*UPGRADE, "drain")
    if not policy.is_true(*UPGRADE, "autoUpgrade") or policy.get(*drain, "enable") is False:
        return
    switches = [name for name in ("force", "deleteEmptyDir") if policy.is_true(*drain, name)]
    if switches and not policy.mapping(*UPGRADE, "waitForCompletion"):
        yield Hit(
            (*drain, switches[0]),
            f"automatic upgrades of the network driver drain nodes with {' and '.join(switches)}, "
            "and wait for no job",
        )


def check_sync(state: Entry, _world: World) -> Iterator[Hit]:
    """Find nodes to which the SR-IOV configuration could not be applied."""
    if state.text("status", "syncStatus") == "Failed":
        why = state.text("status", "lastSyncError")
        yield Hit(
            ("status", "syncStatus"),
            f"the SR-IOV configuration of node {state.name} failed{': ' if why else ''}{why[:90]}",
            of="value",
        )


def check_multus(daemon: Entry, world: World) -> Iterator[Hit]:
    """Find a Multus with little memory, where GPU pods have second networks."""
    pod = daemon.workload.pods[0] if daemon.workload and daemon.workload.pods else None
    if pod is None or not _has_gpus_on_networks(world):
        return
    for container in pod.containers:
        limit = container.limits.get("memory")
        size = _size(limit)
        if "multus" in container.image and size is not None and size < MULTUS_BYTES_MIN:
            yield Hit(
                (*container.resources_path, "limits", "memory"),
                f"container {container.name} of Multus is limited to {limit}",
                of="value",
            )


def _has_gpus_on_networks(world: World) -> bool:
    return any(
        pod.asks_gpus and NETWORKS in pod.annotations
        for entry in world.looked_at
        if entry.workload is not None
        for pod in entry.workload.pods
    )


def _size(written: object) -> int | None:
    if not isinstance(written, str | int):
        return None
    try:
        return parse_quantity(written)
    except ValueError:
        return None


_POLICY = """\
apiVersion: mellanox.com/v1alpha1
kind: NicClusterPolicy
metadata:
  name: nic-cluster-policy
spec:
  ofedDriver:
    upgradePolicy:
      autoUpgrade: true
      drain:
        enable: true
        deleteEmptyDir: false
"""
_STATE = """\
apiVersion: sriovnetwork.openshift.io/v1
kind: SriovNetworkNodeState
metadata:
  name: gpu-0
status:
  syncStatus: Succeeded
"""
_MULTUS = together(
    changed(
        POD,
        "  name: rank-0\n",
        "  name: rank-0\n  annotations:\n    k8s.v1.cni.cncf.io/networks: rail-0\n",
    ),
    """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-multus-ds
  namespace: kube-system
spec:
  selector:
    matchLabels: {name: multus}
  template:
    metadata:
      labels: {name: multus}
    spec:
      containers:
        - name: kube-multus
          image: ghcr.io/k8snetworkplumbingwg/multus-cni:v4.2.2-thick
          resources:
            limits:
              memory: 400Mi
""",
)

RULES = (
    Rule(
        id="RDMA-DRIVER-DRAIN",
        severity="warning",
        title="An upgrade of the network driver spares running jobs",
        why="With force or deleteEmptyDir a node is emptied of training pods too, and their "
        "progress since the last checkpoint is lost, on each node in turn.",
        remedy="leave force and deleteEmptyDir out, or let waitForCompletion.podSelector name the "
        "jobs",
        source="NVIDIA network-operator v26.1, DriverUpgradePolicySpec; Mellanox/network-operator "
        "#1084",
        scope="object",
        kinds=("mellanox.com/NicClusterPolicy",),
        check=check_drain,
        failing=changed(_POLICY, "deleteEmptyDir: false", "deleteEmptyDir: true # <- here"),
        passing=_POLICY,
    ),
    Rule(
        id="RDMA-SRIOV-SYNC",
        severity="warning",
        title="The SR-IOV configuration of a node is applied",
        why="A node on which it failed offers no virtual functions or those of the last "
        "configuration. Pods with RDMA do not start there.",
        remedy="read status.lastSyncError and the log of sriov-network-config-daemon on the node",
        source="sriov-network-operator v1.6, api/v1 SriovNetworkNodeState; #225",
        scope="object",
        kinds=("sriovnetwork.openshift.io/SriovNetworkNodeState",),
        check=check_sync,
        failing=changed(_STATE, "syncStatus: Succeeded", "syncStatus: Failed # <- here"),
        passing=_STATE,
    ),
    Rule(
        id="RDMA-MULTUS-MEMORY",
        severity="warning",
        title="Multus has memory for a job that starts at once",
        why="Multus works for every pod that starts on the node. With the 50 MiB of its manifest "
        "it is killed when a large job starts, and all pods of the node wait in ContainerCreating.",
        remedy="raise limits.memory of Multus to 400Mi or more",
        source="multus-cni #1346, #1383, #1093, #1221; deployments/multus-daemonset-thick.yml v4.2",
        scope="object",
        kinds=("apps/DaemonSet",),
        check=check_multus,
        failing=changed(_MULTUS, "memory: 400Mi", "memory: 50Mi # <- here"),
        passing=_MULTUS,
    ),
)
