"""Where a pod may go: selectors, affinity, tolerations, ports, spread, volumes.

The words and the matching rules are those of Kubernetes (k8s.io/api v1.36, core/v1). Everything
that the API leaves to defaults (an empty namespace list, ``matchLabelKeys``, a missing effect) is
resolved by the dialect, so that a rule in the core reads exactly one meaning.
"""

from typing import Literal

import msgspec

SelectorOperator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
TolerationOperator = Literal["Equal", "Exists", "Lt", "Gt"]
WhenUnsatisfiable = Literal["DoNotSchedule", "ScheduleAnyway"]
Labels = tuple[tuple[str, str], ...]  # sorted by key; keys are unique


class Requirement(msgspec.Struct, frozen=True, cache_hash=True):
    """One condition on a label (or, in `NodeSelectorTerm.fields`, on ``metadata.name``)."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, cache_hash=True):
    """All requirements hold; without any it selects everything. `None` in its place: nothing."""

    requirements: tuple[Requirement, ...] = ()


class NodeSelectorTerm(msgspec.Struct, frozen=True, cache_hash=True):
    """All expressions and fields hold; a term with neither matches no node."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


class PreferredNodes(msgspec.Struct, frozen=True, cache_hash=True):
    """A node selector term that is worth `weight` (1..100) where it matches."""

    weight: int
    term: NodeSelectorTerm


class Taint(msgspec.Struct, frozen=True, cache_hash=True):
    """What a node repels pods with."""

    key: str
    value: str
    effect: TaintEffect


class Toleration(msgspec.Struct, frozen=True, cache_hash=True):
    """What a pod endures: with an empty key and ``Exists`` all, without an effect every effect."""

    key: str = ""
    operator: TolerationOperator = "Equal"
    value: str = ""
    effect: TaintEffect | Literal[""] = ""


class HostPort(msgspec.Struct, frozen=True, cache_hash=True):
    """A port taken on the node itself; ``0.0.0.0`` collides with every address."""

    port: int
    protocol: str = "TCP"
    address: str = "0.0.0.0"  # noqa: S104  the API's own default, nothing is bound here


class PodTerm(msgspec.Struct, frozen=True, cache_hash=True):
    """Pods that match `selector` in these namespaces, counted per value of `topology_key`.

    A pod is in scope when its namespace is in `namespaces` or carries labels that
    `namespace_selector` matches (`None` matches no namespace, an empty selector every one).
    """

    topology_key: str
    selector: LabelSelector | None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None


class PreferredPods(msgspec.Struct, frozen=True, cache_hash=True):
    """A pod term worth `weight`: positive draws near, negative (anti-affinity) pushes away."""

    weight: int
    term: PodTerm


class SpreadConstraint(msgspec.Struct, frozen=True, cache_hash=True):
    """Topology spread: matching pods of the pod's own namespace differ by at most `max_skew`.

    `is_default` marks one that the cluster gives to pods without their own: in the scores it does
    not shut out nodes that lack one of the topology keys.
    """

    max_skew: int
    topology_key: str
    when_unsatisfiable: WhenUnsatisfiable
    selector: LabelSelector | None
    min_domains: int | None = None
    honor_node_affinity: bool = True
    honor_node_taints: bool = False
    is_default: bool = False


class Volume(msgspec.Struct, frozen=True, cache_hash=True):
    """A volume and the nodes from which it can be reached.

    `nodes` are the alternatives of its node affinity; `None` means reachable from everywhere.
    A volume that is not `bound` is provisioned after the choice of a node (late binding).
    """

    name: str
    nodes: tuple[NodeSelectorTerm, ...] | None = None
    bound: bool = True


class Constraints(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """Everything but amounts that decides where a pod may and would like to run."""

    node_name: str = ""
    node_selector: Labels = ()
    required_nodes: tuple[NodeSelectorTerm, ...] | None = None  # alternatives; () matches no node
    preferred_nodes: tuple[PreferredNodes, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    required_pods: tuple[PodTerm, ...] = ()
    forbidden_pods: tuple[PodTerm, ...] = ()
    preferred_pods: tuple[PreferredPods, ...] = ()  # affinity > 0, anti-affinity < 0
    spread: tuple[SpreadConstraint, ...] = ()
    volumes: tuple[Volume, ...] = ()
    enforced_nodes: tuple[NodeSelectorTerm, ...] | None = None  # the scheduler's addedAffinity


UNCONSTRAINED = Constraints()
