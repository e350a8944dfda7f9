"""PodDisruptionBudgets (policy/v1) as the model sees them.

How many disruptions are allowed now is in the status, where the disruption controller counts it;
a budget without a status allows none. A selector that no API server would admit selects nobody.
"""

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import label_selector
from gpuyard.model.disruption import DisruptionBudget


def disruption_budget(source: wire.Source) -> DisruptionBudget:
    """Return a PodDisruptionBudget. Raises DialectError."""
    read = wire.decode(PodDisruptionBudget, source)
    namespace = read.metadata.namespace
    prefix = f"{namespace}/" if namespace else ""
    return DisruptionBudget(
        namespace=namespace,
        name=read.metadata.name,
        selector=label_selector(read.spec.selector),
        allowed=read.status.disruptions_allowed,
        disrupted=frozenset(prefix + name for name in read.status.disrupted_pods or ()),
    )


class PodDisruptionBudgetSpec(wire.Wire, frozen=True):
    """PodDisruptionBudgetSpec."""

    selector: wire.LabelSelector | None = None


class PodDisruptionBudgetStatus(wire.Wire, frozen=True):
    """PodDisruptionBudgetStatus."""

    disruptions_allowed: int = 0
    disrupted_pods: dict[str, str] | None = None


class PodDisruptionBudget(wire.Wire, frozen=True):
    """PodDisruptionBudget."""

    metadata: wire.ObjectMeta = wire.ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
