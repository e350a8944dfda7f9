"""Pods in the network of their node.

Such a pod asks the node's resolver, not the cluster's, unless ``dnsPolicy`` says otherwise: names
of Services and of other pods are unknown, and ranks do not find rank 0. And it shares the node's
ports: two jobs on one node with the same ``MASTER_PORT`` meet. The scheduler keeps them apart if
the port is declared under ``ports``.

Said of pods that look for others; a single server that nobody calls by name works either way.

Source: Kubernetes documentation, DNS for Services and Pods, Pod's DNS Policy; k8s.io/api 1.37,
core/v1 (``ports`` of a pod with hostNetwork are host ports).
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import CelRule, Hit, Rule, Set
from gpuyard.lint.rules.launch.torchrun import is_distributed, launches, number
from gpuyard.lint.rules.samples import TRAIN, changed
from gpuyard.lint.world import World

SEVERAL = 2
NODE_GPUS = 8  # a pod with so many is taken for alone on its node
FITTING = "ClusterFirstWithHostNet"


def check_dns(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find pods on the host's network whose resolver does not know the cluster's names."""
    policy = pod.spec.text("dnsPolicy")
    if not pod.spec.is_true("hostNetwork") or policy not in {"", "ClusterFirst"}:
        return
    if policy == "" and (pod.workload.together or SEVERAL) < SEVERAL and not is_distributed(pod):
        return
    yield Hit(
        pod.spec.at("hostNetwork"),
        f"hostNetwork with dnsPolicy {policy or 'ClusterFirst (the default)'}: names of the "
        "cluster are not resolved",
        edits=(Set(pod.spec.at("dnsPolicy"), FITTING),),
    )


def check_port(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find fixed ports on the host's network that the scheduler does not know of."""
    if not pod.spec.is_true("hostNetwork") or pod.gpus >= NODE_GPUS:
        return
    for container in pod.containers:
        found = _port(pod, container)
        if found is None:
            continue
        port, path = found
        declared = [plain.whole(one, "containerPort") for _, one in container.mappings("ports")]
        if port not in declared:
            yield Hit(
                path,
                f"container {container.name} uses port {port} of its node and does not declare it",
                of="value",
                remedy=f"add containerPort: {port} under ports, or choose the port per job",
            )


def _port(pod: PodView, container: ContainerView) -> tuple[int, Path] | None:
    for launch in launches(pod):
        if launch.container is not container:
            continue
        option = launch.option("master_port")
        port = number(option)
        if option is not None and port:
            return port, option.path
        endpoint = launch.option("rdzv_endpoint")
        written = "" if endpoint is None else endpoint.value.rpartition(":")[2]
        if endpoint is not None and ":" in endpoint.value and written.isdecimal():
            return int(written), endpoint.path
    variable = container.env("MASTER_PORT")
    if variable is not None and (variable.value or "").isdecimal():
        return int(variable.value or "0"), variable.path
    return None


_HOST = changed(
    TRAIN,
    "      subdomain: train\n",
    "      subdomain: train\n      hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet\n",
)
_SMALL = changed(
    changed(changed(_HOST, "nvidia.com/gpu: 8", "nvidia.com/gpu: 4"), "per_node=8", "per_node=4"),
    "- --master_addr=train-0.train",
    "- --master_addr=train-0.train\n            - --master_port=29500",
)

RULES = (
    Rule(
        id="LAUNCH-HOST-DNS",
        severity="warning",
        title="Ranks on the host's network resolve the cluster's names",
        why="With hostNetwork and no dnsPolicy a pod asks the resolver of its node, which knows no "
        "Services. Ranks do not find rank 0, and the rendezvous times out.",
        remedy="set dnsPolicy: ClusterFirstWithHostNet",
        source="Kubernetes documentation, DNS for Services and Pods, Pod's DNS Policy",
        scope="pod",
        check=check_dns,
        has_fix=True,
        cel=CelRule(
            "!has(variables.spec.hostNetwork) || !variables.spec.hostNetwork || "
            "(has(variables.spec.dnsPolicy) && variables.spec.dnsPolicy != 'ClusterFirst')"
        ),
        failing=changed(
            changed(_HOST, "      dnsPolicy: ClusterFirstWithHostNet\n", ""),
            "hostNetwork: true",
            "hostNetwork: true # <- here",
        ),
        passing=_HOST,
    ),
    Rule(
        id="LAUNCH-HOST-PORT",
        severity="info",
        title="A port of the node that a job uses is declared",
        why="Two jobs that share a node also share its ports. If both use the same for their "
        "rendezvous, the second stops with 'address already in use' or joins the first.",
        remedy="declare the port under ports, so that the scheduler keeps the jobs apart",
        source="Kubernetes documentation, Configuration Good Practices; k8s.io/api 1.37, core/v1 "
        "ContainerPort.hostPort",
        scope="pod",
        check=check_port,
        failing=changed(_SMALL, "--master_port=29500", "--master_port=29500 # <- here"),
        passing=changed(
            _SMALL,
            "          resources:\n",
            "          ports:\n            - containerPort: 29500\n          resources:\n",
        ),
    ),
)
