"""Whether a label selector of one object selects the pods of another.

The selector is read by `gpuyard.dialects` and answered by `gpuyard.scheduling`, as in a decision:
lint has no rule of its own for it. A selector with a wrong type in it selects nothing.
"""

from collections.abc import Mapping

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import label_selector
from gpuyard.dialects.wire import DialectError
from gpuyard.scheduling.shapes import matches


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector, as it stands in an object, selects `labels`.

    As for a PodDisruptionBudget of policy/v1, an empty selector selects everything, none nothing.
    """
    if not isinstance(selector, Mapping):
        return False
    try:
        read = label_selector(msgspec.convert(selector, wire.LabelSelector))
    except (DialectError, msgspec.ValidationError):
        return False
    return matches(read, dict(labels))
