"""The words of reading documents: positions, problems, limits."""

from typing import Literal

import msgspec

Code = Literal[
    "syntax",
    "template",
    "duplicate-key",
    "key",
    "alias",
    "tag",
    "number",
    "not-a-mapping",
    "encoding",
    "binary",
    "too-large",
    "too-deep",
    "too-many",
]


SHOWN_CHARS_MAX = 60


def shown(text: str) -> str:
    """Return `text` short enough for a sentence."""
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a text, as editors count: from 1, columns in characters."""

    line: int
    column: int


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a text, a document or a part of one could not be taken as it is."""

    source: str
    position: Position
    code: Code
    message: str
    is_read: bool = False
    """The document was read nevertheless, as Kubernetes would (a key that stands there twice)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is read before a text is refused."""

    yaml_size_max: int = 16 * 2**20
    """Bytes or characters; YAML takes 0.2 s a megabyte, and commonly ten times its size."""
    yaml_values_max: int = 2_000_000
    """Values in one YAML document, and documents of a file together; 16 MiB hold 1.4 million."""
    json_size_max: int = 128 * 2**20
    """Bytes; JSON takes 0.03 s a megabyte, and commonly five times its size."""
    json_values_max: int = 16_000_000
    """Values in a JSON text, judged by its punctuation before anything is decoded."""
    documents_max: int = 250_000
    """Documents in one text; what stands behind them is not read."""
    depth_max: int = 256
    """Nested mappings and lists; who walks through a document may recurse."""
    alias_nodes_max: int = 200_000
    """Values that aliases and merge keys add to a document beyond what is written in it."""
    problems_max: int = 100
    """Problems in one text; what stands behind them is not read."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One comment ``# gpuyard:ignore RULE[,RULE]: reason``."""

    position: Position
    rules: tuple[str, ...]
    """As written; empty where none is named."""
    reason: str
    """"" where none is given."""
    is_alone: bool = False
    """It has its line to itself, and so speaks of the line below."""
