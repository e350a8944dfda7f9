"""Whether the pods of some pod sets could run on the nodes of a flavor at all.

A flavor stands for nodes that all carry its labels and taints. The pods must tolerate the taints
(the flavor brings tolerations of its own), and their node selector and required node affinity must
agree with its labels. Conditions on labels that the flavor does not name say nothing about it: an
affinity term without any other condition holds, and with it the whole list.

Pods that want a topology need a flavor that has one with the levels they name; pods that do not
want one are kept out of such flavors, for there everybody's place is counted. A flavor of a
resource group that covers nothing of what the pods themselves ask for (quota for a derived
resource) needs no topology.

Semantics: Kueue v0.19.2, pkg/scheduler/flavorassigner (checkFlavorForPodSets, flavorSelector,
checkPodSetAndFlavorMatchForTAS). A selector that cannot be parsed is refused by the API server;
here it matches nothing.
"""

from collections.abc import Iterable

from gpuyard.model.constraints import Constraints, NodeSelectorTerm
from gpuyard.model.queues import ResourceFlavor, ResourceGroup
from gpuyard.model.workloads import PodSet
from gpuyard.scheduling.feasibility.taint_toleration import REPELLING, is_tolerated
from gpuyard.scheduling.flavors.question import Question, asks_for_topology
from gpuyard.scheduling.flavors.reasons import FlavorReason, FlavorReasonCode
from gpuyard.scheduling.shapes import holds
from gpuyard.scheduling.topology.requests import has_levels


def objection(
    question: Question, name: str, pod_sets: Iterable[PodSet], group: ResourceGroup
) -> FlavorReason | None:
    """Return why the flavor `name` cannot be used by all of `pod_sets`, `None` where it can."""
    flavor = question.queues.flavors.get(name)
    if flavor is None:
        return FlavorReason(code="FlavorNotFound", flavor=name)
    for pod_set in pod_sets:
        code = _topology_objection(question, pod_set, flavor, group)
        if code is not None:
            return FlavorReason(code=code, flavor=name)
        constraints = pod_set.template.constraints
        tolerations = (*constraints.tolerations, *flavor.tolerations)
        for taint in flavor.node_taints:
            if taint.effect in REPELLING and not is_tolerated(taint, tolerations):
                return FlavorReason(code="UntoleratedTaint", flavor=name, taint=taint)
        if not agrees(constraints, dict(flavor.node_labels)):
            return FlavorReason(code="NodeAffinityMismatch", flavor=name)
    return None


def agrees(constraints: Constraints, labels: dict[str, str]) -> bool:
    """Tell whether selector and required node affinity leave nodes with these labels in."""
    if any(labels.get(key, value) != value for key, value in constraints.node_selector):
        return False
    terms = constraints.required_nodes or ()
    return not terms or any(_allows(term, labels) for term in terms)


def _allows(term: NodeSelectorTerm, labels: dict[str, str]) -> bool:
    return all(holds(each, labels) for each in term.expressions if each.key in labels)


def _topology_objection(
    question: Question, pod_set: PodSet, flavor: ResourceFlavor, group: ResourceGroup
) -> FlavorReasonCode | None:
    if not question.rules.topology_aware:
        return None
    if not question.wants_topology(pod_set):
        return "TopologyOnly" if flavor.topology else None
    if not asks_for_topology(pod_set):
        return None  # implied: all flavors of the queue have a topology
    if not flavor.topology:
        asked = {name for name, _ in pod_set.template.request.resources.amounts}
        return "TopologyUnsupported" if asked & set(group.covered_resources) else None
    levels = question.topologies.levels(flavor.name)
    if levels is None:
        return "TopologyUnknown"
    return None if has_levels(levels, pod_set.topology) else "TopologyLevelMissing"
