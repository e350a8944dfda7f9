"""Topologies, what pod sets ask of them, and the places that they were given.

Three functions, each from one object to one struct: `topology` (a Topology), `topology_request`
(``topologyRequest`` of a PodSet) and `topology_assignment` (``topologyAssignment`` of an
admission).

An assignment has two forms. v1beta1 lists domains with their values and counts. v1beta2 folds them
into slices: in each, a value or a count that all domains share is written once (``universal``),
others one by one (``individual``), without the beginning and the end that they share.

Slices of pods have two forms as well: one layer (``podSetSliceRequiredTopology`` with
``podSetSliceSize``) or several (``podsetSliceRequiredTopologyConstraints``), which count where both
are given. A size that is missing is read as 0 and refused where places are looked for.

Semantics: Kueue v0.19.2, apis/kueue/v1beta1 and v1beta2 (workload_types.go, topology_types.go),
pkg/util/tas (tas.go, tas_assignment.go). Not read: ``podIndexLabel``, ``subGroupIndexLabel`` and
``subGroupCount``, which tell who takes which of the places.
"""

from collections.abc import Sequence
from typing import TypeVar

from gpuyard.dialects import wire
from gpuyard.dialects.wire import DialectError, Wire
from gpuyard.model import topology as words

Each = TypeVar("Each", str, int)


def topology(source: wire.Source) -> words.Topology:
    """Return a Topology. Raises DialectError."""
    read = wire.decode(Topology, source)
    if not read.metadata.name:
        raise DialectError("Topology: metadata.name: it has no name")
    levels = tuple(level.node_label for level in read.spec.levels or ())
    if not levels or "" in levels:
        raise DialectError(f"Topology {read.metadata.name}: spec.levels: each needs a nodeLabel")
    return words.Topology(name=read.metadata.name, levels=levels)


def topology_request(source: wire.Source | None) -> words.TopologyRequest | None:
    """Return what a pod set asks for, `None` where it asks for nothing. Raises DialectError."""
    if source is None:
        return None
    read = wire.decode(PodSetTopologyRequest, source)
    mode, level = _mode(read)
    slices, group = _slices(read), read.pod_set_group_name or ""
    if mode is None and not slices and not group:
        return None
    return words.TopologyRequest(
        mode=mode or "unconstrained",
        level=level,
        slices=slices,
        group=group,
        only_groups=mode is None and not slices,
    )


def topology_assignment(source: wire.Source | None) -> words.TopologyAssignment | None:
    """Return where pods were placed, `None` where nobody said. Raises DialectError."""
    if source is None:
        return None
    read = wire.decode(TopologyAssignment, source)
    levels = tuple(read.levels or ())
    domains = [words.DomainCount(tuple(one.values), one.count) for one in read.domains or ()]
    for index, part in enumerate(read.slices or ()):
        domains += _unfolded(part, len(levels), f"topologyAssignment.slices[{index}]")
    for domain in domains:
        if len(domain.values) != len(levels):
            raise DialectError(
                f"topologyAssignment: {len(domain.values)} values of a domain for "
                f"{len(levels)} levels"
            )
    return words.TopologyAssignment(levels, tuple(domains))


def _mode(read: "PodSetTopologyRequest") -> tuple[words.TopologyMode | None, str]:
    if read.required is not None:
        return "required", read.required
    if read.preferred is not None:
        return "preferred", read.preferred
    return ("unconstrained" if read.unconstrained else None), ""


def _slices(read: "PodSetTopologyRequest") -> tuple[words.SliceRequest, ...]:
    layers = read.podset_slice_required_topology_constraints
    if layers:
        return tuple(words.SliceRequest(layer.topology, layer.size) for layer in layers)
    if read.pod_set_slice_required_topology is None:
        return ()
    return (words.SliceRequest(read.pod_set_slice_required_topology, read.pod_set_slice_size or 0),)


def _unfolded(part: "Slice", levels: int, place: str) -> list[words.DomainCount]:
    """Return the domains of one slice of an assignment."""
    if len(part.values_per_level) != levels:
        raise DialectError(
            f"{place}.valuesPerLevel: {len(part.values_per_level)} entries for {levels} levels"
        )
    count = part.domain_count
    columns = [
        _values(given, count, f"{place}.valuesPerLevel[{level}]")
        for level, given in enumerate(part.values_per_level)
    ]
    pods = part.pod_counts.individual
    if part.pod_counts.universal is not None:
        pods = [part.pod_counts.universal] * count
    counts = _as_many(pods, count, f"{place}.podCounts")
    paths = zip(*columns, strict=True)
    return [words.DomainCount(path, pods) for path, pods in zip(paths, counts, strict=True)]


def _values(given: "LevelValues", count: int, place: str) -> Sequence[str]:
    if given.universal is not None:
        return [given.universal] * count
    own = given.individual or IndividualValues()
    begin, end = own.prefix or "", own.suffix or ""
    return [f"{begin}{root}{end}" for root in _as_many(own.roots, count, place)]


def _as_many(given: Sequence[Each] | None, count: int, place: str) -> Sequence[Each]:
    """Return `given`, one for each of `count` domains."""
    if len(given or ()) != count:
        raise DialectError(f"{place}: {len(given or ())} entries for {count} domains")
    return given or ()


# -- the fields that are read, as they are on the wire


class TopologyLevel(Wire, frozen=True):
    """TopologyLevel."""

    node_label: str = ""


class TopologySpec(Wire, frozen=True):
    """TopologySpec."""

    levels: list[TopologyLevel] | None = None


class Topology(Wire, frozen=True):
    """Topology."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: TopologySpec = TopologySpec()


class SliceConstraint(Wire, frozen=True):
    """PodsetSliceRequiredTopologyConstraint."""

    topology: str = ""
    size: int = 0


class PodSetTopologyRequest(Wire, frozen=True):
    """PodSetTopologyRequest."""

    required: str | None = None
    preferred: str | None = None
    unconstrained: bool | None = None
    pod_set_group_name: str | None = None
    pod_set_slice_required_topology: str | None = None
    pod_set_slice_size: int | None = None
    podset_slice_required_topology_constraints: list[SliceConstraint] | None = None


class IndividualValues(Wire, frozen=True):
    """TopologyAssignmentSliceLevelIndividualValues."""

    prefix: str | None = None
    suffix: str | None = None
    roots: list[str] | None = None


class LevelValues(Wire, frozen=True):
    """TopologyAssignmentSliceLevelValues."""

    universal: str | None = None
    individual: IndividualValues | None = None


class PodCounts(Wire, frozen=True):
    """TopologyAssignmentSlicePodCounts."""

    universal: int | None = None
    individual: list[int] | None = None


class Slice(Wire, frozen=True):
    """TopologyAssignmentSlice."""

    domain_count: int
    values_per_level: list[LevelValues]
    pod_counts: PodCounts


class Domain(Wire, frozen=True):
    """TopologyDomainAssignment of v1beta1."""

    values: list[str]
    count: int


class TopologyAssignment(Wire, frozen=True):
    """TopologyAssignment: `domains` in v1beta1, `slices` in v1beta2."""

    levels: list[str] | None = None
    domains: list[Domain] | None = None
    slices: list[Slice] | None = None
