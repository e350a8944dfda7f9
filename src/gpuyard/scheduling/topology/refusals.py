"""Why pods get no places in a topology: a code and its numbers, and one function for the sentence.

The sentences are Kueue's, so that whoever searches for one finds the answers of its users. They
have Kueue's surprises: a group of which the leader does not fit hears how many workers would, and
may read "only 4 out of 4".

Semantics and sentences: Kueue v0.19.2, pkg/cache/scheduler/tas_flavor_snapshot.go (notFitMessage,
multiLayerNotFitMessage, formatReasons).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import msgspec

from gpuyard.model.topology import TopologyAssignment

RefusalCode = Literal[
    "no-room",  # `have` of `needed` slices (or pods) fit
    "no-room-for-layers",  # the same, layer by layer: `layers`
    "no-way-down",  # it fits into a domain as a whole, not into its parts
    "no-domains",  # no node has the labels of the topology
    "no-level",  # the topology does not have `level`
    "no-slice-level",
    "no-layer-level",
    "no-slice-size",
    "no-whole-slices",  # `needed` pods do not come in slices of `have`
    "slice-above-pod-set",  # slices of `level` are wider than the pods' own `other_level`
    "layer-not-below",  # `level` is not inside `other_level`
    "layer-does-not-divide",  # slices of `needed` do not add up to `have`
    "no-group",  # a group is a leader and its workers
    "stale",  # pods stand in `domain`, which is gone
    "no-replacement",  # there is nothing in the place of `domain`
]


class LayerRoom(msgspec.Struct, frozen=True):
    """How many slices of one layer fit, and how many there are."""

    level: str
    have: int
    needed: int


class Exclusions(msgspec.Struct, frozen=True, kw_only=True):
    """How many leaves cannot take a single pod, by the first thing that keeps it away.

    `taints` and `resources` by their text and name; `others` by the name of the filter.
    """

    leaves: int = 0
    node_selector: int = 0
    affinity: int = 0
    topology_domain: int = 0
    taints: tuple[tuple[str, int], ...] = ()
    resources: tuple[tuple[str, int], ...] = ()
    others: tuple[tuple[str, int], ...] = ()

    def reasons(self) -> list[str]:
        """Return what keeps pods away, each with its number, in the order of the text."""
        return sorted(f"{reason}: {count}" for reason, count in self._counts() if count)

    def _counts(self) -> Iterator[tuple[str, int]]:
        yield "nodeSelector", self.node_selector
        yield "affinity", self.affinity
        yield "topologyDomain", self.topology_domain
        yield from ((f'taint "{taint}"', count) for taint, count in self.taints)
        yield from ((f'resource "{name}"', count) for name, count in self.resources)
        yield from self.others


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why these pod sets get no places. Which numbers count is said beside each code.

    `placed` are the pod sets before them, with the places that they would have got.
    """

    code: RefusalCode
    pod_sets: tuple[str, ...]
    topology: str
    level: str = ""
    other_level: str = ""
    domain: str = ""
    needed: int = 0
    have: int = 0
    in_slices: bool = False
    layers: tuple[LayerRoom, ...] = ()
    excluded: Exclusions = Exclusions()
    placed: tuple[tuple[str, TopologyAssignment], ...] = ()


def sentence(refusal: Refusal) -> str:
    """Return one sentence on `refusal`, in Kueue's words where it has some."""
    if refusal.code in ("no-room", "no-room-for-layers"):
        return _room(refusal) + _excluded(refusal.excluded)
    return _SENTENCES[refusal.code].format(
        level=refusal.level,
        other_level=refusal.other_level,
        domain=refusal.domain,
        topology=refusal.topology,
        needed=refusal.needed,
        have=refusal.have,
    )


def _room(refusal: Refusal) -> str:
    topology = f'topology "{refusal.topology}"'
    if refusal.code == "no-room-for-layers":
        by_layer = "".join(
            f"; {layer.have}/{layer.needed} slice(s) fit on level {layer.level}"
            for layer in refusal.layers
        )
        return f"{topology} doesn't allow to fit{by_layer}"
    unit = "slice(s)" if refusal.in_slices else "pod(s)"
    if refusal.have == 0:
        return f"{topology} doesn't allow to fit any of {refusal.needed} {unit}"
    return f"{topology} allows to fit only {refusal.have} out of {refusal.needed} {unit}"


def _excluded(excluded: Exclusions) -> str:
    reasons = excluded.reasons()
    if not reasons:
        return ""
    return f". Total nodes: {excluded.leaves}; excluded: {', '.join(reasons)}"


def counted(found: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return `found` as the sorted pairs of an `Exclusions`."""
    return tuple(sorted(found.items()))


_SENTENCES: dict[RefusalCode, str] = {
    "no-way-down": (
        'topology "{topology}" has room for {needed} pod(s), but not in the parts of its domains'
    ),
    "no-domains": "no topology domains at level: {level}",
    "no-level": "no requested topology level: {level}",
    "no-slice-level": "no requested topology level for slices: {level}",
    "no-layer-level": "no requested topology level for additional slice layer: {level}",
    "no-slice-size": "slice topology requested, but slice size not provided",
    "no-whole-slices": "{needed} pod(s) do not come in whole slices of {have}",
    "slice-above-pod-set": (
        "podset slice topology {level} is above the podset topology {other_level}"
    ),
    "layer-not-below": (
        "additional slice layer topology {level} must be at a lower level than {other_level}"
    ),
    "layer-does-not-divide": (
        "additional slice layer size {needed} must evenly divide parent layer size {have}"
    ),
    "no-group": "podset group {level} must be one leader pod and one podset of workers",
    "stale": (
        "Cannot replace the node, because the existing topologyAssignment is invalid, as it "
        "contains the stale domain {domain}"
    ),
    "no-replacement": "cannot find replacement assignment for unhealthy node: {domain}",
}
