"""GPU nodes in pools, each with what is on its nodes.

What is asked of a layer is asked of each node and answered for a pool: who provides it there, by an
object in the cluster or along with the node.
"""

from collections.abc import Sequence

import msgspec

from gpuyard.platform.layers.clouds import BuiltIn, built_in, cloud_of, pool_of
from gpuyard.platform.layers.components import Component
from gpuyard.platform.layers.facts import Facts
from gpuyard.platform.layers.nodes import GpuNode
from gpuyard.platform.layers.words import Layer


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes with GPUs that are called by one name in one distribution."""

    name: str
    cloud: str
    nodes: Sequence[GpuNode]
    components: Sequence[Component]  # of the whole cluster

    @property
    def gpus(self) -> int:
        """Return how many GPUs, partitions and shares its nodes offer."""
        return sum(sum(node.offers.values()) for node in self.nodes)

    @property
    def products(self) -> tuple[str, ...]:
        """Return the models of its GPUs as labels call them."""
        return tuple(sorted({node.product for node in self.nodes if node.product}))

    def on_some(self, layer: Layer) -> list[Component]:
        """Return the components of a layer that are on some of its nodes, or want to be."""
        names = {node.name for node in self.nodes}
        return [
            one
            for one in self.components
            if one.layer == layer
            and one.is_daemon
            and any(one.is_on(name) or name in one.barred for name in names)
        ]

    def on(self, node: GpuNode, layer: Layer) -> list[Component]:
        """Return the components of a layer that are on a node, or about to be."""
        return [one for one in self.components if one.layer == layer and one.is_on(node.name)]

    def built_in(self, node: GpuNode, layer: Layer) -> BuiltIn | None:
        """Return what brings a layer along with a node, unless the cloud's own object shows it."""
        row = built_in(node, layer)
        if row is not None and any(one.installer.kind == "cloud" for one in self.on(node, layer)):
            return None
        return row

    def lacks(self, layer: Layer) -> list[GpuNode]:
        """Return the nodes on which nobody provides a layer, as far as can be seen."""
        return [
            node
            for node in self.nodes
            if not self.on(node, layer) and built_in(node, layer) is None
        ]


def pools(nodes: Sequence[GpuNode], found: Sequence[Component]) -> list[Pool]:
    """Return the pools of a cluster, the largest first."""
    by_name: dict[tuple[str, str], list[GpuNode]] = {}
    for node in nodes:
        by_name.setdefault((cloud_of(node), pool_of(node)), []).append(node)
    made = [
        Pool(name=name, cloud=cloud, nodes=members, components=found)
        for (cloud, name), members in by_name.items()
    ]
    return sorted(made, key=lambda one: (-len(one.nodes), one.name))


def gpu_nodes(facts: Facts) -> list[GpuNode]:
    """Return the nodes that have GPUs, by name."""
    nodes = [GpuNode(value) for value in facts.of("Node")]
    return sorted((node for node in nodes if node.has_gpus), key=lambda node: node.name)
