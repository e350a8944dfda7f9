"""Network policies between the ranks of a job.

A policy that selects a pod for ingress turns everything away that it does not allow. Ranks talk
over the port of the rendezvous and over others that NCCL and Gloo choose at the start, so nothing
less than all ports from each other will do. What is turned away is not refused but dropped: the
rendezvous or the first collective hangs.

Whether a rule lets the job's own pods in is told by their labels; a rule by address may do it and
is taken for one that does. A pod on the host's network is not subject to policies.

Sources: Kubernetes documentation, Network Policies; k8s.io/api 1.37, networking/v1; NCCL user
guide 2.28, Networking troubleshooting, IP ports.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.launch.torchrun import is_distributed
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.selecting import read_selector
from gpuyard.lint.world import Entry, World
from gpuyard.scheduling.shapes import matches

POLICY = "networking.k8s.io/NetworkPolicy"
SEVERAL = 2
# Labels that controllers add to pods, and which a policy may select them by
_ADDED = {"Job": ("job-name", "batch.kubernetes.io/job-name")}


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find trainings whose ranks a policy keeps from each other."""
    if not world.of_kind(POLICY) or (pod.count or 0) < SEVERAL or pod.spec.is_true("hostNetwork"):
        return
    if not is_distributed(pod):
        return
    labels = {
        **pod.labels,
        **dict.fromkeys(_ADDED.get(pod.workload.kind, ()), pod.workload.name),
    }
    near = world.beside(POLICY, world.entry(pod))
    closing = [one for one in near if _selects(one, labels) and _is_for_ingress(one)]
    if closing and not any(_lets_in(one, labels) for one in closing):
        yield Hit(
            ("spec", "ingress"),
            f"NetworkPolicy {closing[0].name} selects the ranks of {pod.workload.title} and lets "
            "none of them reach another on all ports",
            on=closing[0],
        )


def _selects(policy: Entry, labels: dict[str, str]) -> bool:
    selector = read_selector(policy.get("spec", "podSelector"))
    return selector is not None and matches(selector, labels)


def _is_for_ingress(policy: Entry) -> bool:
    types = [word for _, word in plain.words(policy.value, "spec", "policyTypes")]
    return "Ingress" in types or not types


def _lets_in(policy: Entry, labels: dict[str, str]) -> bool:
    return any(
        _is_for_all_ports(rule) and _is_from(rule, labels)
        for _, rule in policy.mappings("spec", "ingress")
    )


def _is_for_all_ports(rule: Mapping[str, object]) -> bool:
    """Tell whether a rule is for all TCP ports; a range that begins low counts as such."""
    ports = [one for _, one in plain.mappings(rule, "ports")]
    return not ports or any(
        plain.get(one, "port") is None or plain.whole(one, "endPort") is not None for one in ports
    )


def _is_from(rule: Mapping[str, object], labels: dict[str, str]) -> bool:
    peers = [one for _, one in plain.mappings(rule, "from")]
    return not peers or any(_is_peer(one, labels) for one in peers)


def _is_peer(peer: Mapping[str, object], labels: dict[str, str]) -> bool:
    if "ipBlock" in peer or "podSelector" not in peer:
        return True  # by address or by namespace: it may well be ours
    selector = read_selector(peer["podSelector"])
    return selector is None or matches(selector, labels)


_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: closed
spec:
  podSelector:
    matchLabels: {job-name: train}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels: {job-name: train}
"""

RULES = (
    Rule(
        id="LAUNCH-NETWORK-POLICY",
        severity="warning",
        title="Network policies let the ranks of a job reach each other",
        why="NCCL and Gloo choose ports when they start. A policy that lets less in than all ports "
        "from the job's own pods drops their packets, and the job hangs at its first collective.",
        remedy="allow ingress from the pods of the job, without ports",
        source="Kubernetes documentation, Network Policies; NCCL user guide 2.28, Networking "
        "troubleshooting, IP ports",
        scope="pod",
        check=check,
        failing=together(
            changed(
                _POLICY,
                "  ingress:\n    - from:\n",
                "  ingress: # <- here\n    - ports: [{port: 29500}]\n      from:\n",
            ),
            TRAIN,
        ),
        passing=together(_POLICY, TRAIN),
    ),
)
