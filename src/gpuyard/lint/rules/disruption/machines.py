"""What a manifest says of the machines it wants: spot or not, whose cloud, which autoscaler.

The signs are labels in ``nodeSelector``, required affinity and tolerations. A toleration alone
allows spot machines; a selector or affinity wants them.

Sources: GKE (``cloud.google.com/gke-spot``, ``gke-preemptible``, ``gke-provisioning``), Karpenter
v1.8 (``karpenter.sh/capacity-type``), EKS (``eks.amazonaws.com/capacityType``), AKS
(``kubernetes.azure.com/scalesetpriority``); notice times: AWS 120 s, GKE 15 s for pods (30 s in
all, more can be configured from 1.35), Azure 30 s.
"""

from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import PodView

REQUIRED = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
# Key, values that mean a machine that may be taken away, whose, seconds of notice that pods get
_SPOT: tuple[tuple[str, frozenset[str], str, int], ...] = (
    ("karpenter.sh/capacity-type", frozenset({"spot"}), "a spot instance", 120),
    ("eks.amazonaws.com/capacityType", frozenset({"SPOT"}), "an EC2 spot instance", 120),
    ("cloud.google.com/gke-spot", frozenset({"true"}), "a GKE spot VM", 15),
    ("cloud.google.com/gke-preemptible", frozenset({"true"}), "a GKE preemptible VM", 15),
    ("cloud.google.com/gke-provisioning", frozenset({"spot"}), "a GKE spot VM", 15),
    ("kubernetes.azure.com/scalesetpriority", frozenset({"spot"}), "an Azure spot VM", 30),
)


class Spot(msgspec.Struct, frozen=True):
    """Where a pod asks for machines that may be taken away, and how soon they are."""

    what: str
    notice: int
    path: Path


def spot(pod: PodView) -> Spot | None:
    """Return the demand of a pod for spot machines; `None` where it only allows them."""
    for key, value, path in _wanted(pod):
        for label, values, what, notice in _SPOT:
            if key == label and value in values:
                return Spot(what, notice, path)
    return None


def has_key(pod: PodView, *prefixes: str) -> bool:
    """Tell whether a selector, affinity or toleration names a key that begins like this."""
    tolerated = (plain.text(one, "key") for _, one in pod.spec.mappings("tolerations"))
    wanted = (key for key, _, _ in _wanted(pod))
    return any(key.startswith(prefixes) for key in (*tolerated, *wanted))


def _wanted(pod: PodView) -> Iterator[tuple[str, str, Path]]:
    for key, value in plain.texts(pod.spec.value, "nodeSelector").items():
        yield key, value, pod.spec.at("nodeSelector", key)
    terms = pod.spec.mappings(*REQUIRED, "nodeSelectorTerms")
    for number, term in terms if len(terms) == 1 else ():
        yield from _of_term(term, pod.spec.at(*REQUIRED, "nodeSelectorTerms", number))


def _of_term(term: Mapping[str, object], path: Path) -> Iterator[tuple[str, str, Path]]:
    for at, expression in plain.mappings(term, "matchExpressions"):
        values = [value for _, value in plain.words(expression, "values")]
        if expression.get("operator") == "In" and len(values) == 1:
            place = (*path, "matchExpressions", at, "values")
            yield plain.text(expression, "key"), values[0], place
        elif expression.get("operator") == "Exists":
            yield plain.text(expression, "key"), "", (*path, "matchExpressions", at)
