"""Where one Pod may go, with everything that the API leaves to defaults filled in.

Filled in here: a toleration without operator means ``Equal``; an inter-pod term without namespaces
means the Pod's own; label keys (``matchLabelKeys``) become conditions on the Pod's own values;
``hostNetwork`` makes every container port a port of the node; a spread constraint honours node
affinity and ignores taints unless it says otherwise. What the API server has already filled in is
not added twice, so a manifest and the stored Pod that came of it give the same constraints.

A label value that no label can have makes a node term hold nowhere, and an inter-pod term an error,
as in kube-scheduler; an API server refuses both.

Semantics: k8s.io/kubernetes v1.36.3: pkg/scheduler/framework (types.go, plugins/podtopologyspread/
common.go), pkg/scheduler/util (GetHostPorts), pkg/registry/core/pod (label keys of inter-pod terms)
and the defaults of core/v1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from gpuyard.dialects import wire
from gpuyard.dialects.core.requests import is_sidecar
from gpuyard.model.constraints import (
    Constraints,
    HostPort,
    Labels,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    PreferredNodes,
    PreferredPods,
    Requirement,
    SelectorOperator,
    SpreadConstraint,
    Toleration,
    Volume,
)

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
HOLDS_NOWHERE = NodeSelectorTerm()


def pod_constraints(pod: wire.Pod, volumes: tuple[Volume, ...] = ()) -> Constraints:
    """Return the constraints of `pod`; its `volumes` have been resolved by the caller."""
    spec = pod.spec
    affinity = spec.affinity or wire.Affinity()
    nodes = affinity.node_affinity or wire.NodeAffinity()
    near = affinity.pod_affinity or wire.PodAffinity()
    far = affinity.pod_anti_affinity or wire.PodAffinity()
    return Constraints(
        node_name=spec.node_name,
        node_selector=labels(spec.node_selector),
        required_nodes=node_alternatives(nodes.required),
        preferred_nodes=tuple(
            PreferredNodes(weight=term.weight, term=_node_term(term.preference))
            for term in nodes.preferred or ()
        ),
        tolerations=tuple(_toleration(toleration) for toleration in spec.tolerations or ()),
        host_ports=tuple(_host_ports(spec)),
        required_pods=tuple(_pod_term(pod, term) for term in near.required or ()),
        forbidden_pods=tuple(_pod_term(pod, term) for term in far.required or ()),
        preferred_pods=(
            *_preferred_pods(pod, near.preferred, sign=1),
            *_preferred_pods(pod, far.preferred, sign=-1),
        ),
        spread=tuple(_spread(pod, rule) for rule in spec.topology_spread_constraints or ()),
        volumes=volumes,
    )


def labels(given: Mapping[str, str] | None) -> Labels:
    """Return labels in the model's order."""
    return tuple(sorted((given or {}).items()))


def node_alternatives(selector: wire.NodeSelector | None) -> tuple[NodeSelectorTerm, ...] | None:
    """Return the alternatives of a node selector; `None` where there is none at all."""
    if selector is None:
        return None
    return tuple(_node_term(term) for term in selector.node_selector_terms or ())


def _node_term(term: wire.NodeSelectorTerm) -> NodeSelectorTerm:
    if any(_impossible_values(one) for one in term.match_expressions or ()):
        return HOLDS_NOWHERE
    return NodeSelectorTerm(
        expressions=_requirements(term.match_expressions),
        fields=_requirements(term.match_fields),
    )


def _requirements(
    given: Iterable[wire.SelectorRequirement] | None,
) -> tuple[Requirement, ...]:
    return tuple(Requirement(one.key, one.operator, tuple(one.values or ())) for one in given or ())


def _impossible_values(given: wire.SelectorRequirement) -> list[str]:
    """Return what is wrong with each value that no label can have, in Kubernetes' words."""
    if given.operator not in {"In", "NotIn"}:
        return []
    return [
        f'values[{index}][{given.key}]: Invalid value: "{value}"'
        for index, value in enumerate(given.values or ())
        if not LABEL_VALUE.fullmatch(value)
    ]


def label_selector(selector: wire.LabelSelector | None) -> LabelSelector | None:
    """Return a label selector; `None`, which selects nothing, where there is none at all."""
    if selector is None:
        return None
    equal = (Requirement(key, "In", (value,)) for key, value in labels(selector.match_labels))
    return LabelSelector((*equal, *_requirements(selector.match_expressions)))


def _toleration(given: wire.Toleration) -> Toleration:
    return Toleration(
        key=given.key or "",
        operator=given.operator or "Equal",
        value=given.value or "",
        effect=given.effect or "",
    )


def _host_ports(spec: wire.PodSpec) -> Iterator[HostPort]:
    """Yield the node's ports that the Pod takes for as long as it runs, sidecars first."""
    sidecars = filter(is_sidecar, spec.init_containers or ())
    for container in (*sidecars, *(spec.containers or ())):
        for port in container.ports or ():
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number > 0:
                default = HostPort(number)
                yield HostPort(
                    number,
                    protocol=port.protocol or default.protocol,
                    address=port.host_ip or default.address,
                )


def _pod_term(pod: wire.Pod, term: wire.PodAffinityTerm) -> PodTerm:
    for one in (term.label_selector and term.label_selector.match_expressions) or ():
        for wrong in _impossible_values(one):
            place = wire.describe("Pod", pod.metadata)
            raise wire.DialectError(f"{place}: spec.affinity: labelSelector: {wrong}")
    namespaces = tuple(sorted(set(term.namespaces or ())))
    if not namespaces and term.namespace_selector is None:
        namespaces = (pod.metadata.namespace,)
    selector = label_selector(term.label_selector)
    if selector is not None:  # no selector matches nothing, and label keys leave it so
        selector = _with_own_values(selector, pod, term.match_label_keys, "In")
        selector = _with_own_values(selector, pod, term.mismatch_label_keys, "NotIn")
    return PodTerm(
        topology_key=term.topology_key,
        selector=selector,
        namespaces=namespaces,
        namespace_selector=label_selector(term.namespace_selector),
    )


def _with_own_values(
    selector: LabelSelector, pod: wire.Pod, keys: Iterable[str] | None, operator: SelectorOperator
) -> LabelSelector:
    """Add a condition on the Pod's own value of each key; a key that it lacks is ignored."""
    own = pod.metadata.labels or {}
    added = (Requirement(key, operator, (own[key],)) for key in keys or () if key in own)
    new = tuple(one for one in added if one not in selector.requirements)
    return LabelSelector(selector.requirements + new)


def _preferred_pods(
    pod: wire.Pod, terms: Iterable[wire.WeightedPodAffinityTerm] | None, *, sign: int
) -> Iterator[PreferredPods]:
    for term in terms or ():
        yield PreferredPods(sign * term.weight, _pod_term(pod, term.pod_affinity_term))


def _spread(pod: wire.Pod, rule: wire.TopologySpreadConstraint) -> SpreadConstraint:
    selector = label_selector(rule.label_selector)
    merged = _with_own_values(selector or LabelSelector(), pod, rule.match_label_keys, "In")
    if merged.requirements:  # unlike inter-pod terms, label keys alone make a selector here
        selector = merged
    return SpreadConstraint(
        max_skew=rule.max_skew,
        topology_key=rule.topology_key,
        when_unsatisfiable=rule.when_unsatisfiable,
        selector=selector,
        min_domains=rule.min_domains,
        honor_node_affinity=rule.node_affinity_policy != "Ignore",
        honor_node_taints=rule.node_taints_policy == "Honor",
    )
