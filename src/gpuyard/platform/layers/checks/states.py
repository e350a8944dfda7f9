"""What is installed and does not work, or not everywhere in the same way."""

from collections import Counter
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.platform.layers.checks.check import Case, Check, count, share, title
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.words import LAYERS, Finding, Severity

MIG_CONFIG, MIG_STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
UPGRADE = "nvidia.com/gpu-driver-upgrade-state"
OFED_WAIT = "network.nvidia.com/operator.mofed.wait"
MIG_STATES: dict[str, tuple[Severity, str, str]] = {
    "failed": (
        "error",
        "the last MIG configuration failed",
        "read the MIG manager's log there; pods that hold a GPU are the usual reason",
    ),
    "rebooting": (
        "warning",
        "a reboot for the MIG configuration is under way",
        "wait; if it stays, look at the node",
    ),
    "pending": (
        "warning",
        "the MIG configuration is not applied yet",
        "wait; if it stays, read the MIG manager's log there",
    ),
}
BAD_POLICIES: dict[str, tuple[Severity, str, str]] = {
    "notReady": (
        "warning",
        "the gpu-operator says that it is not ready",
        "look at its conditions: kubectl describe clusterpolicy",
    ),
    "ignored": (
        "error",
        "the gpu-operator ignores it, because there is another ClusterPolicy",
        "merge the two and delete one",
    ),
}


def check_ready(check: Check, case: Case) -> Iterator[Finding]:
    """Find layers that are not ready on nodes where they should be."""
    for pool in case.pools:
        settled = case.settled(pool)
        for one in case.components:
            if one.running is None or not one.is_daemon:
                continue
            nodes = [
                node
                for node in settled
                if one.is_on(node.name) and not one.running.get(node.name, False)
            ]
            if nodes:
                absent = sum(node.name not in one.running for node in nodes)
                there = f", {absent} without a pod of it" if absent else ""
                yield check.found(
                    "warning",
                    f"the {LAYERS[one.layer]} is not ready on {share(nodes, pool)}{there}",
                    f"look at its pods: kubectl describe pod -n {one.namespace} on {nodes[0].name}",
                    pool=pool,
                    on=one.title,
                )


def check_drivers(check: Check, case: Case) -> Iterator[Finding]:
    """Find pools whose nodes have different drivers, and upgrades that failed."""
    for pool in case.pools:
        versions = Counter(node.driver for node in pool.nodes if node.driver)
        if len(versions) > 1:
            shown = ", ".join(
                f"{version} on {number}" for version, number in versions.most_common()
            )
            moving = [node for node in pool.nodes if _is_upgrading(node)]
            yield check.found(
                "info" if moving else "warning",
                f"{len(versions)} versions of the driver in one pool: {shown}"
                + (f"; {count(len(moving), 'node')} in the middle of an upgrade" if moving else ""),
                "wait until the upgrade is over" if moving else "bring the nodes to one version",
                pool=pool,
            )
        failed = [node for node in pool.nodes if node.labels.get(UPGRADE) == "upgrade-failed"]
        if failed:
            yield check.found(
                "error",
                f"the driver upgrade failed on {share(failed, pool)}, which stay cordoned",
                f"read the driver's log there; then remove the label {UPGRADE}",
                pool=pool,
            )


def _is_upgrading(node: GpuNode) -> bool:
    return node.labels.get(UPGRADE, "upgrade-done") not in {"upgrade-done", "upgrade-failed", ""}


def check_mig(check: Check, case: Case) -> Iterator[Finding]:
    """Find MIG configurations that are not in force."""
    for pool in case.pools:
        for state, (severity, sentence, remedy) in MIG_STATES.items():
            nodes = [node for node in pool.nodes if node.labels.get(MIG_STATE) == state]
            if nodes:
                wanted = ", ".join(sorted({node.labels.get(MIG_CONFIG, "") for node in nodes}))
                yield check.found(
                    severity,
                    f"{sentence} on {share(nodes, pool)} (wanted: {wanted or 'nothing'})",
                    remedy,
                    pool=pool,
                )


def check_policy(check: Check, case: Case) -> Iterator[Finding]:
    """Find ClusterPolicies that are not in force."""
    for policy in case.policies:
        state = plain.text(policy, "status", "state")
        if state in BAD_POLICIES:
            severity, sentence, remedy = BAD_POLICIES[state]
            yield check.found(severity, sentence, remedy, on=title("ClusterPolicy", policy))
    others = case.facts.of("nvidia.com/GPUCluster")
    if case.policies and others:
        yield check.found(
            "error",
            "there are a ClusterPolicy and a GPUCluster; the gpu-operator allows one of them",
            "delete one: ClusterPolicy for device plugins, GPUCluster for DRA",
            on=title("GPUCluster", others[0]),
        )


def check_ofed(check: Check, case: Case) -> Iterator[Finding]:
    """Find nodes that wait for the network's driver."""
    for pool in case.pools:
        nodes = [node for node in pool.nodes if node.labels.get(OFED_WAIT) == "true"]
        if nodes:
            yield check.found(
                "warning",
                f"the network operator's OFED driver is not loaded on {share(nodes, pool)}: "
                "RDMA device plugins there do not start",
                "read the log of the mofed pod there",
                pool=pool,
            )


CHECKS = (
    Check(
        id="LAYER-NOT-READY",
        title="Layers are ready on the nodes that they are on",
        source="Kubernetes documentation, DaemonSet status",
        look=check_ready,
    ),
    Check(
        id="DRIVER-SPREAD",
        title="The nodes of a pool have one driver version",
        source="NVIDIA/k8s-device-plugin v0.20.0, internal/lm/nvml.go; NVIDIA/k8s-operator-libs, "
        "pkg/upgrade/consts.go",
        look=check_drivers,
    ),
    Check(
        id="MIG-STATE",
        title="MIG configurations are in force",
        source="NVIDIA/mig-parted, deployments/container/reconfigure-mig.sh",
        look=check_mig,
    ),
    Check(
        id="POLICY-STATE",
        title="The gpu-operator has one policy, and it is in force",
        source="NVIDIA/gpu-operator v26.7.0, api/nvidia/v1/clusterpolicy_types.go and "
        "controllers/nodelabeling_controller.go",
        look=check_policy,
    ),
    Check(
        id="OFED-WAITS",
        title="The network's driver is loaded",
        source="Mellanox/network-operator, pkg/nodeinfo/attributes.go",
        look=check_ofed,
    ),
)
