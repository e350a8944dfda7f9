"""The reference of the layers as Markdown, from the tables that recognise them."""

from collections.abc import Iterable, Iterator

from gpuyard.platform.layers.checks import CHECKS
from gpuyard.platform.layers.clouds import BUILT_IN, CLOUDS
from gpuyard.platform.layers.signatures import SIGNATURES, Signature
from gpuyard.platform.layers.words import LAYERS

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\*_[]<>#|~"})


CLOUD_WORDS = """\
The first row that fits counts. Without one: self-managed where the node has a provider id, else
bare metal."""
BUILT_IN_WORDS = """\
No object in the cluster shows it. *Sure* is what a label or the name of the image proves; the rest
is offered as a guess, and nothing is concluded from it."""
SIGNATURE_WORDS = """\
In a DaemonSet or a Deployment, by the first row of a layer that fits. An image is compared from its
end, so that a mirror fits too."""


def tables() -> str:
    """Return the checks, and by what layers, clouds and what they bring along are recognised."""
    signatures = ("layer", "product", "images", "names", "else", "source")
    parts = (
        "## Checks",
        _table(("check", "what should hold", "source"), _checks()),
        "## Whose nodes",
        CLOUD_WORDS,
        _table(("distribution", "label that names the pool", "source"), _clouds()),
        "## What comes with a node",
        BUILT_IN_WORDS,
        _table(("distribution", "by", "layers", "sure", "source"), _built_in()),
        "## By what a layer is recognised",
        SIGNATURE_WORDS,
        _table(signatures, _signatures()),
    )
    return "\n\n".join(parts) + "\n"


def _checks() -> Iterator[tuple[str, ...]]:
    for check in CHECKS:
        yield f"`{check.id}`", check.title, check.source


def _clouds() -> Iterator[tuple[str, ...]]:
    for cloud in CLOUDS:
        yield cloud.name, _listed(cloud.pools), cloud.source


def _built_in() -> Iterator[tuple[str, ...]]:
    for row in BUILT_IN:
        layers = ", ".join(LAYERS[layer] for layer in row.layers)
        yield row.cloud, row.by, layers, "yes" if row.is_sure else "no", row.source


def _signatures() -> Iterator[tuple[str, ...]]:
    for row in SIGNATURES:
        names, images = _listed(row.names), _listed(row.images)
        yield LAYERS[row.layer], row.product, images, names, _else(row), row.source


def _else(row: Signature) -> str:
    said = [
        ("command", row.commands),
        ("container", row.containers),
        ("not called", row.but_not),
    ]
    return "; ".join(f"{word} {_listed(values)}" for word, values in said if values)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{one}`" for one in values)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Return `text` so that nothing outside code is taken for markup, and nothing ends the row."""
    pieces = text.split("`")
    return "`".join(
        piece if index % 2 else piece.translate(_SPECIAL) for index, piece in enumerate(pieces)
    )
