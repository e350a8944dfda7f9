"""Which pods stand in whose domain."""

from typing import TYPE_CHECKING

from gpuyard.model.workloads import Assignment, PodTemplate
from gpuyard.scheduling.shapes import HeldTerm, Shape

if TYPE_CHECKING:
    from gpuyard.scheduling.snapshot import Snapshot


class Terms:
    """Counts of pods by term and node, kept current by `Snapshot`."""

    def __init__(self, snapshot: "Snapshot") -> None:
        """Start with no pods."""
        self._snapshot = snapshot
        self.held: dict[HeldTerm, int] = {}

    def shape(self, template: PodTemplate) -> Shape:
        """Return what placement can see of `template`."""
        return Shape(request=template.request, constraints=template.constraints)

    def bound(self, slot: int, assignment: Assignment) -> None:
        """Count a pod in."""

    def gone(self, slot: int, assignment: Assignment) -> None:
        """Count a pod out."""

    def namespaces_changed(self) -> None:
        """Forget what depends on namespaces' labels."""
