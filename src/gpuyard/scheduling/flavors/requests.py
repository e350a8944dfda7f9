"""What a workload asks its queue for: per pod set an amount of each resource, for all its pods.

That is what the pods ask for, unless the cluster counts some of it differently: resources can be
left out by their prefix, and one resource can be counted as others (`transformations`), for
instance a MIG slice as the memory it has. Places in a topology are always counted as the pods ask.

A workload that holds quota and seeks only a place (its node failed, or the place was to be found
later) asks for exactly what it was given.

Semantics: Kueue v0.19.2, pkg/workload/workload.go (totalRequestsFromPodSets,
totalRequestsFromAdmission, applyResourceTransformations, ScaledTo).
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import msgspec

from gpuyard.model.quantity import NANO_PER_UNIT
from gpuyard.model.queues import Admitted
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.topology import TopologyAssignment
from gpuyard.model.workloads import PodSet, Workload
from gpuyard.scheduling.flavors.rules import FlavorRules, ResourceTransformation

MILLI_PER_CORE = 1000


class QuotaRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `count` pods of a pod set ask for together.

    `flavors` (by resource) and `topology` are what it holds already.
    """

    pod_set: PodSet
    count: int
    total: Resources
    flavors: tuple[tuple[str, str], ...] = ()
    topology: TopologyAssignment | None = None

    def scaled_to(self, count: int) -> "QuotaRequest":
        """Return the request of `count` pods; what has a place already stays as it is."""
        if self.topology is not None or self.count in (0, count):
            return self
        each = self.total.divided_by(self.count)
        return msgspec.structs.replace(self, count=count, total=times(each, count))


def of_pending(
    workload: Workload, rules: FlavorRules, counts: Sequence[int] | None = None
) -> tuple[QuotaRequest, ...]:
    """Return what a workload without quota asks for, with all its pods or with `counts` of them."""
    asked = tuple(
        QuotaRequest(
            pod_set=pod_set,
            count=pod_set.count,
            total=times(counted(pod_set.template.request.resources, rules), pod_set.count),
        )
        for pod_set in workload.pod_sets
    )
    if not counts:
        return asked
    return tuple(each.scaled_to(count) for each, count in zip(asked, counts, strict=True))


def of_admitted(admitted: Admitted) -> tuple[QuotaRequest, ...]:
    """Return what a workload with quota asks for: what it was given."""
    given = {each.name: each for each in admitted.admission.pod_sets}
    return tuple(
        QuotaRequest(
            pod_set=pod_set,
            count=held.count,
            total=held.usage,
            flavors=held.flavors,
            topology=held.topology,
        )
        for pod_set in admitted.workload.pod_sets
        if (held := given.get(pod_set.name)) is not None
    )


def counted(asked: Resources, rules: FlavorRules) -> Resources:
    """Return what counts against quota where a pod asks for `asked`; nothing is below zero."""
    kept = {
        name: amount
        for name, amount in asked.amounts
        if not name.startswith(rules.excluded_resource_prefixes)
    }
    by_input = {each.input: each for each in rules.transformations}
    if by_input.keys() & kept.keys():
        kept = _transformed(kept, by_input)
    return Resources.of({name: max(0, amount) for name, amount in kept.items()})


def times(each: Resources, count: int) -> Resources:
    """Return `count` times as much."""
    return Resources(tuple((name, amount * count) for name, amount in each.amounts))


def _transformed(
    asked: dict[str, int], by_input: dict[str, ResourceTransformation]
) -> dict[str, int]:
    """Return the amounts after the transformations, exact until the last step, then rounded up.

    Outputs of the same name add up, negative ones too (an allowance), but together they are never
    negative: they cannot reduce what the pods themselves ask for under that name.
    """
    total = {
        name: amount
        for name, amount in asked.items()
        if name not in by_input or by_input[name].strategy == "Retain"
    }
    made: dict[str, Fraction] = {}
    for name in sorted(asked.keys() & by_input.keys()):
        rule = by_input[name]
        base = Fraction(asked[name], _per_base_unit(name))
        if rule.multiply_by in asked:
            base *= Fraction(asked[rule.multiply_by], _per_base_unit(rule.multiply_by))
        for output, factor_nano in rule.outputs:
            made[output] = made.get(output, Fraction()) + base * factor_nano / NANO_PER_UNIT
    for output, amount in made.items():
        total[output] = total.get(output, 0) + max(0, ceil(amount * _per_base_unit(output)))
    return total


def _per_base_unit(resource: str) -> int:
    """Return how many of our units make a core, a byte or a piece."""
    return MILLI_PER_CORE if resource == CPU else 1
