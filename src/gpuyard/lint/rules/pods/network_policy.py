"""Ranks that may not talk to each other.

A NetworkPolicy that selects a pod lets in only what one of the policies names. Ranks of a job find
each other at one port and then open others at random, so what has to be let in is *every* port from
the pods of the same job. Without it the job hangs in its rendezvous until the timeout, and no log
says why.

The rule is silent where it cannot be sure: a peer is chosen by labels that controllers add, by
namespace, or by address.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.selecting import read_selector
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World
from gpuyard.scheduling.shapes import matches

POLICY = "networking.k8s.io/NetworkPolicy"
PEERS_MIN = 2


def check(workload: Workload, world: World) -> Iterator[Hit]:
    """Find jobs of several pods that policies cut apart."""
    if not world.knows(POLICY) or (workload.together or 0) < PEERS_MIN:
        return
    pods = [pod for pod in workload.gpu_pods if not pod.spec.is_true("hostNetwork")]
    for pod in pods:
        policies = [
            one
            for one in world.selecting(POLICY, ("spec", "podSelector"), pod)
            if _is_for_ingress(one)
        ]
        if policies and not any(_may_let_in(one, pod) for one in policies):
            yield Hit(
                pod.metadata_path,
                f"{_named(policies)} and lets in no pod of the same job on all ports, "
                f"which {count(workload.together or 0, 'pod')} need",
                on=None,
            )
            return


def _named(policies: list[Entry]) -> str:
    if len(policies) == 1:
        return f"NetworkPolicy {policies[0].name} selects its pods"
    return f"of {len(policies)} NetworkPolicies that select its pods none is for them,"


def _is_for_ingress(policy: Entry) -> bool:
    types = [word for _, word in plain.words(policy.value, "spec", "policyTypes")]
    return not types or "Ingress" in types


def _may_let_in(policy: Entry, pod: PodView) -> bool:
    """Tell whether a rule lets pods like this one in on every port, or may do so."""
    return any(
        not rule.get("ports") and _may_be_peer(rule, pod)
        for _, rule in policy.mappings("spec", "ingress")
    ) or any(rule == {} for _, rule in policy.mappings("spec", "ingress"))


def _may_be_peer(rule: Mapping[str, object], pod: PodView) -> bool:
    peers = [peer for _, peer in plain.mappings(rule, "from")]
    return not peers or any(_is_peer(peer, pod) for peer in peers)


def _is_peer(peer: Mapping[str, object], pod: PodView) -> bool:
    selector = peer.get("podSelector")
    if "ipBlock" in peer or "namespaceSelector" in peer or not isinstance(selector, Mapping):
        return True  # by address or namespace: not known here
    read = read_selector(selector)
    if read is None:
        return False
    known = set(pod.labels)
    asked = {requirement.key for requirement in read.requirements}
    return not asked <= known or matches(read, pod.labels)


_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  parallelism: 4
  completions: 4
  completionMode: Indexed
  template:
    metadata:{mark}
      labels: {{app: train}}
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources:
            limits:
              nvidia.com/gpu: 1
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
spec:
  podSelector: {{}}
  policyTypes: [Ingress]
"""

RULES = (
    Rule(
        id="NETPOL-RANKS",
        severity="warning",
        title="Network policies let the pods of a job talk to each other",
        why="Ranks meet at one port and then use others at random. A policy that lets in less "
        "makes the job hang in its rendezvous until the timeout, with all its GPUs.",
        remedy="add a NetworkPolicy that selects the job's pods and lets them in from a "
        "podSelector with the same labels, without ports",
        source="NCCL user guide, Networking, IP ports; Kubernetes documentation, Network Policies",
        scope="workload",
        check=check,
        failing=_JOB.format(mark=" # <- here"),
        passing=_JOB.format(mark="")
        + """\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: train
spec:
  podSelector:
    matchLabels: {app: train}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels: {app: train}
""",
    ),
)
