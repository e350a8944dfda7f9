"""Documents of objects that stand in no text: an API server sent them.

They have a source, which says where they were seen, and no places: whoever asks where something is
written hears line 0, column 0, which no text has.
"""

from collections.abc import Iterable

from gpuyard.dialects.documents.document import Document, File
from gpuyard.dialects.documents.model import Position
from gpuyard.dialects.documents.places import Node

NOWHERE = Position(0, 0)


class UnwrittenPiece:
    """Where everything is that was never written."""

    nodes = (Node(0, 0),)

    def position(self, _mark: int) -> Position:
        """Return the place that no text has."""
        return NOWHERE


def unwritten(values: Iterable[dict[str, object]], source: str) -> list[Document]:
    """Return a document for each object; `source` is what findings name as their file."""
    file, piece = File(source), UnwrittenPiece()
    return [Document(file, value, piece) for value in values]
