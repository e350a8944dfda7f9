r"""Text to documents: YAML and JSON as Kubernetes reads them, each value with its place.

`read(text, source)` takes what stands in a file (or on standard input) and returns its documents
and its problems, in the order in which they stand there. It never raises: whatever is wrong with a
text is a problem with a line and a column, and what can be read around it is returned. Whoever
finds something in a document asks it for the place: ``document.position(("spec", "replicas"))``.

    >>> found = read("kind: Pod\napiVersion: v1\nmetadata: {name: a, name: b}\n", "pod.yaml")
    >>> [document.title for document in found.documents]
    ['Pod b']
    >>> found.documents[0].position(("metadata", "name"), of="value")
    Position(line=3, column=27)
    >>> [(problem.position.line, problem.code, problem.is_read) for problem in found.problems]
    [(3, 'duplicate-key', True)]

What counts as what: `reader` (languages, Lists, templates), `scalars` (``yes`` and ``0777``),
`yaml_reader` (aliases, merge keys, bounds), `json_reader` (bundles of a hundred megabytes),
`comments` (``# gpuyard:ignore``), `unwritten` (objects that an API server sent), `model.Limits`
(how much is read).

This room uses PyYAML for its binding of libyaml's parser; no other part of ``dialects`` does.
"""

from gpuyard.dialects.documents.document import Document
from gpuyard.dialects.documents.model import Code, Limits, Position, Problem, Suppression
from gpuyard.dialects.documents.reader import Read, read
from gpuyard.dialects.documents.unwritten import unwritten
from gpuyard.dialects.plain import Path

__all__ = [
    "Code",
    "Document",
    "Limits",
    "Path",
    "Position",
    "Problem",
    "Read",
    "Suppression",
    "read",
    "unwritten",
]
