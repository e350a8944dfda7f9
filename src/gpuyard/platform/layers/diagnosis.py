"""One look at a cluster: its pools, the table, the findings, and what was not seen."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gpuyard.platform.layers.checks import CHECKS
from gpuyard.platform.layers.checks.check import Case
from gpuyard.platform.layers.components import components
from gpuyard.platform.layers.facts import NEEDED, Facts
from gpuyard.platform.layers.pools import Pool, gpu_nodes, pools
from gpuyard.platform.layers.rows import Row, cluster_rows, rows
from gpuyard.platform.layers.words import Finding, Severity

ORDER: Final[dict[Severity, int]] = {"error": 0, "warning": 1, "info": 2}


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster's GPUs stand on."""

    pools: Sequence[Pool]
    rows: Sequence[Row]
    findings: Sequence[Finding]
    unseen: Sequence[str]
    """Kinds that were not listed everywhere: what depends on them is not said."""
    node_count: int
    """Nodes that were listed, with GPUs or without."""

    @property
    def is_blind(self) -> bool:
        """Tell whether a kind is missing without which there is hardly an answer."""
        return bool(NEEDED & set(self.unseen))

    @property
    def is_fine(self) -> bool:
        """Tell whether nothing was found that somebody should do something about."""
        return all(one.severity == "info" for one in self.findings)


def examine(facts: Facts) -> Diagnosis:
    """Return what is known of the layers of a cluster, the worst findings first."""
    nodes = gpu_nodes(facts)
    found = components(facts, nodes)
    made = pools(nodes, found)
    case = Case(facts=facts, pools=made, components=found)
    findings = [one for check in CHECKS for one in check.look(check, case)]
    findings.sort(key=lambda one: (ORDER[one.severity], one.check, one.pool, one.object))
    return Diagnosis(
        pools=made,
        rows=[
            *(row for pool in made for row in rows(facts, pool)),
            *cluster_rows(facts, found),
        ],
        findings=findings,
        unseen=facts.unseen,
        node_count=len(facts.of("Node")),
    )
