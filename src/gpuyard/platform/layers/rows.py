"""The table: for each pool and layer, who provides it, in which version, and how ready it is.

A layer that nobody is seen to provide has a row too, and the row says what that means: that it is
missing, that it is on the node where no API shows it, or that we were not allowed to look.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from gpuyard.platform.layers.clouds import built_in
from gpuyard.platform.layers.components import Component
from gpuyard.platform.layers.facts import DAEMON_SET, DEPLOYMENT, Facts
from gpuyard.platform.layers.pools import Pool
from gpuyard.platform.layers.words import NODE_LAYERS, OPTIONAL, Layer

NOT_SEEN = "not seen"
NOBODY = "nobody"
NONE = "none"
ON_NODE = "on the node"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One layer in one pool, or in the whole cluster where `pool` is empty."""

    pool: str
    layer: Layer
    by: str
    installer: str = ""  # what kind of installer: cloud, operator, helm, olm, …
    installer_version: str = ""  # of an operator or a chart, not of the layer
    product: str = ""
    version: str = ""
    ready: int | None = None
    desired: int | None = None
    object: str = ""


def rows(facts: Facts, pool: Pool) -> list[Row]:
    """Return the rows of a pool, in the order of the layers."""
    return [row for layer in NODE_LAYERS for row in _of_layer(facts, pool, layer)]


def cluster_rows(facts: Facts, found: Sequence[Component]) -> list[Row]:
    """Return what runs once for the whole cluster: queues and schedulers, operators."""
    made = [
        Row(
            pool="",
            layer=one.layer,
            by=one.installer.text,
            installer=one.installer.kind,
            installer_version=one.installer.version,
            product=one.product,
            version=one.version,
            ready=one.ready,
            desired=one.desired,
            object=one.title,
        )
        for one in found
        if not one.is_daemon
    ]
    if not any(row.layer == "queue" for row in made):
        by = NONE if facts.sees(DEPLOYMENT) else NOT_SEEN
        made.append(Row(pool="", layer="queue", by=by))
    return made


def _of_layer(facts: Facts, pool: Pool, layer: Layer) -> Iterator[Row]:
    found = pool.on_some(layer)
    for one in found:
        yield _of_component(pool, one)
    brought = Counter(row.by for node in pool.nodes if (row := pool.built_in(node, layer)))
    for by, count in sorted(brought.items()):
        yield Row(
            pool=pool.name,
            layer=layer,
            by=by,
            installer="cloud",
            product="with the node",
            version=drivers(pool) if layer == "driver" else "",
            desired=count,
        )
    if not found and not brought:
        yield _of_nobody(facts, pool, layer)


def _of_component(pool: Pool, one: Component) -> Row:
    wanted = [node.name for node in pool.nodes if one.is_on(node.name) or node.name in one.barred]
    ready = None if one.running is None else sum(one.running.get(name, False) for name in wanted)
    seen = drivers(pool) if one.layer == "driver" else ""
    return Row(
        pool=pool.name,
        layer=one.layer,
        by=one.installer.text,
        installer=one.installer.kind,
        installer_version=one.installer.version,
        product=one.product,
        version=seen or one.version,
        ready=ready,
        desired=len(wanted),
        object=one.title,
    )


def _of_nobody(facts: Facts, pool: Pool, layer: Layer) -> Row:
    """Return the row of a layer for which nothing was found in this pool."""
    by, product, version = NOBODY, "", ""
    if not facts.sees(DAEMON_SET):
        by = NOT_SEEN
    elif layer == "driver" and (drivers(pool) or pool.gpus):
        by, product, version = ON_NODE, _guess(pool, layer), drivers(pool)
    elif layer == "toolkit" and pool.gpus:
        by, product = ON_NODE, _guess(pool, layer)
    elif layer == "device-plugin" and pool.gpus:
        by, product = ON_NODE, "GPUs are offered; by whom no API shows"
    elif layer == "labels" and any("nvidia.com/gpu.product" in one.labels for one in pool.nodes):
        product = "labels that nobody here writes"
    elif layer in OPTIONAL:
        by = NONE
    return Row(pool=pool.name, layer=layer, by=by, product=product, version=version)


def _guess(pool: Pool, layer: Layer) -> str:
    row = built_in(pool.nodes[0], layer, sure=False)
    return f"with {row.by}, or by hand" if row else "with its image, or by hand"


def drivers(pool: Pool) -> str:
    """Return the versions of the driver that labels of its nodes tell."""
    return ", ".join(sorted({node.driver for node in pool.nodes if node.driver}))
