"""What several of Kueue's objects have in common: names, instants, amounts, weights, selectors."""

import datetime as dt

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import labels, pod_constraints
from gpuyard.dialects.kueue import objects
from gpuyard.dialects.wire import DialectError
from gpuyard.model import constraints as words
from gpuyard.model.quantity import NANO_PER_MILLI, NANO_PER_UNIT, parse_nano, round_up
from gpuyard.model.queues import QUOTA_MAX, WEIGHT_ONE_NANO
from gpuyard.model.resources import CPU

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CPU_CORES_MAX = QUOTA_MAX // 1000  # from here on millicores are without bound


def name_of(kind: str, metadata: wire.ObjectMeta) -> str:
    """Return the name of an object. Raises DialectError where it has none."""
    if not metadata.name:
        raise DialectError(f"{kind}: metadata.name: it has no name")
    return metadata.name


def key_of(namespace: str, name: str) -> str:
    """Return ``namespace/name``, or the name of what lies in no namespace."""
    return f"{namespace}/{name}" if namespace else name


def nanoseconds(instant: dt.datetime) -> int:
    """Return nanoseconds since 1970."""
    return (instant - EPOCH) // dt.timedelta(microseconds=1) * 1000


def amount_of(resource: str, quantity: wire.Quantity, place: str) -> int:
    """Return an amount in the resource's unit; ``QUOTA_MAX`` for what 64 bits cannot count."""
    try:
        nano = parse_nano(quantity)
    except ValueError as error:
        raise DialectError(f"{place}: {resource}: {error}") from None
    if resource != CPU:
        return round_up(nano, NANO_PER_UNIT)
    if nano >= CPU_CORES_MAX * NANO_PER_UNIT:
        return QUOTA_MAX
    return round_up(nano, NANO_PER_MILLI)


def weight_nano(given: objects.FairSharing | None, place: str) -> int:
    """Return a fair weight in billionths. Raises DialectError."""
    if given is None or given.weight is None:
        return WEIGHT_ONE_NANO
    try:
        return parse_nano(given.weight)
    except ValueError as error:
        raise DialectError(f"{place}.fairSharing.weight: {error}") from None


def selector(given: wire.LabelSelector | None) -> words.LabelSelector | None:
    """Return a label selector; one that is not there selects nothing."""
    if given is None:
        return None
    return words.LabelSelector(
        (
            *(words.Requirement(key, "In", (value,)) for key, value in labels(given.match_labels)),
            *(
                words.Requirement(one.key, one.operator, tuple(one.values or ()))
                for one in given.match_expressions or ()
            ),
        )
    )


def tolerations_of(given: list[wire.Toleration] | None) -> tuple[words.Toleration, ...]:
    """Return tolerations with the defaults that they have in a Pod."""
    return pod_constraints(wire.Pod(spec=wire.PodSpec(tolerations=given))).tolerations
