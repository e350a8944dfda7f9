"""A node's taints repel every pod that does not tolerate them.

Only ``NoSchedule`` and ``NoExecute`` turn a pod away; ``PreferNoSchedule`` costs points
(`scores.taint_toleration`). A toleration without an effect is for every effect, one without a key
for every key. ``Lt`` and ``Gt`` compare the taint's value with the toleration's as integers; an API
server admits them only where the feature gate TaintTolerationComparisonOperators is on.

Semantics: k8s.io/api v0.36.3, core/v1/toleration.go; k8s.io/kubernetes v1.36.3,
plugins/tainttoleration/taint_toleration.go.
"""

import re
from typing import TYPE_CHECKING

from gpuyard.model.constraints import Taint, Toleration
from gpuyard.model.reasons import Rejection
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.node_facts import TAINTS
from gpuyard.scheduling.rules import Filter, always, saying
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot

NAME = "TaintToleration"
REJECTION = Rejection(filter=NAME, text="node(s) had untolerated taint(s)", resolvable=False)
REPELLING = ("NoSchedule", "NoExecute")
DECIMAL_INTEGER = re.compile(r"0|-?[1-9][0-9]*")  # no leading zeros, as the API demands


def passes(snapshot: "Snapshot", shape: Shape, slots: IntArray) -> BoolArray:
    """Tell for each of `slots` whether `shape` tolerates what repels there."""
    tolerations = shape.constraints.tolerations

    def endures(taints: tuple[Taint, ...] | None) -> bool:
        repelling = (taint for taint in taints or () if taint.effect in REPELLING)
        return all(is_tolerated(taint, tolerations) for taint in repelling)

    return snapshot.facts.ask(TAINTS, slots, endures)


def is_tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Tell whether any of `tolerations` endures `taint`."""
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return toleration.value == taint.value
        case "Lt" | "Gt":
            return _compares(toleration, taint)


def _compares(toleration: Toleration, taint: Taint) -> bool:
    if not all(DECIMAL_INTEGER.fullmatch(value) for value in (toleration.value, taint.value)):
        return False
    have, bound = int(taint.value), int(toleration.value)
    return have < bound if toleration.operator == "Lt" else have > bound


FILTER = Filter(NAME, reads="labels", concerns=always, passes=passes, reasons=saying(REJECTION))
