"""What a check is, and what it is shown."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gpuyard.dialects import plain
from gpuyard.platform.layers.components import Component
from gpuyard.platform.layers.facts import POLICY, Facts, Object
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.pools import Pool
from gpuyard.platform.layers.words import Finding, Severity

NAMES_SHOWN_MAX = 3


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as the checks see it."""

    facts: Facts
    pools: Sequence[Pool]
    components: Sequence[Component]

    @property
    def policies(self) -> Sequence[Object]:
        """Return the gpu-operator's ClusterPolicies."""
        return self.facts.of(POLICY)

    def settled(self, pool: Pool) -> list[GpuNode]:
        """Return the nodes of a pool that are up and have been for a while."""
        now_ns = self.facts.now_ns
        return [node for node in pool.nodes if node.is_ready and not node.is_young(now_ns)]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a name that never changes, what it looks for, where that knowledge comes from."""

    id: str
    title: str
    source: str
    look: "Callable[[Check, Case], Iterable[Finding]]"

    def found(
        self,
        severity: Severity,
        message: str,
        remedy: str,
        *,
        pool: Pool | None = None,
        on: str = "",
    ) -> Finding:
        """Return a finding of this check."""
        return Finding(
            check=self.id,
            severity=severity,
            pool=pool.name if pool else "",
            object=on,
            message=message,
            remedy=remedy,
            source=self.source,
        )


def count(number: int, noun: str) -> str:
    """Return ``1 node``, ``2 nodes``."""
    return f"{number} {noun if number == 1 else noun + 's'}"


def share(nodes: Sequence[GpuNode], pool: Pool) -> str:
    """Return ``2 of 8 nodes (gpu-0, gpu-3)``."""
    names = ", ".join(node.name for node in nodes[:NAMES_SHOWN_MAX])
    more = f", and {len(nodes) - NAMES_SHOWN_MAX} more" if len(nodes) > NAMES_SHOWN_MAX else ""
    return f"{len(nodes)} of {count(len(pool.nodes), 'node')} ({names}{more})"


def title(kind: str, value: Object) -> str:
    """Return what to call an object: ``ClusterPolicy cluster-policy``."""
    namespace, name = (plain.text(value, "metadata", key) for key in ("namespace", "name"))
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
