"""The objects of a live cluster through all rules, as far as one may see it.

Who has few rights sees some kinds in one namespace only, the one of the kubeconfig's context. A
rule that asked such a half-seen kind whether something is missing would get a wrong answer for
every other namespace. The cluster is therefore looked at twice: once as a whole, without the kinds
that were not seen whole, and once for that namespace, with all that was seen there. Each object is
reported on in one of the two.

Nodes are judged by what runs on them. Where the pods of other namespaces are hidden, a full node
looks empty; then nodes are treated as not seen (DESIGN, law 5: blind means still).
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.documents import Document, unwritten
from gpuyard.lint.config import Settings
from gpuyard.lint.rule import place_order
from gpuyard.lint.run import Outcome, examine

NODE, POD = "Node", "Pod"

Object = dict[str, object]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one could see of a cluster; kinds are written as in `gpuyard.lint.world`."""

    source: str
    """What findings name in place of a file: ``context prod``."""
    listed: Mapping[str, Sequence[Object]]
    absent: frozenset[str] = frozenset()
    """Kinds that the cluster does not have."""
    only_here: frozenset[str] = frozenset()
    """Kinds of which only `namespace` was seen."""
    namespace: str = ""
    """The namespace that is looked at; "" where it is the whole cluster."""

    @property
    def blind_for(self) -> frozenset[str]:
        """Kinds that were listed and cannot be judged by."""
        return frozenset({NODE} if POD in self.only_here and NODE in self.listed else ())


def background(seen: Seen) -> tuple[list[Document], frozenset[str]]:
    """Return what is known of the whole cluster, and the kinds of which that is everything."""
    whole = _whole(seen)
    return _documents(seen, whole), whole | seen.absent


def examine_cluster(
    seen: Seen, *, settings: Settings | None = None, is_whole: bool = True
) -> Outcome:
    """Show what was seen to all rules; where not `is_whole`, report of `namespace` alone."""
    whole, narrow = _whole(seen), seen.only_here - seen.blind_for
    known = whole | seen.absent
    elsewhere: list[Document] = []
    here: list[Document] = []
    for one in _documents(seen, whole):
        (here if seen.namespace and one.namespace == seen.namespace else elsewhere).append(one)
    parts = []
    if is_whole:
        parts.append(_examined(elsewhere, here, known, settings))
    here_too = [*here, *_documents(seen, narrow)]
    if here_too:
        parts.append(_examined(here_too, elsewhere, known | narrow, settings))
    found = [each for part in parts for each in part.found]
    return Outcome(
        sorted(found, key=lambda one: place_order(one.finding)),
        sum(part.objects for part in parts),
        sum(part.suppressed for part in parts),
    )


def _examined(
    documents: Sequence[Document],
    beside: Sequence[Document],
    listed: Iterable[str],
    settings: Settings | None,
) -> Outcome:
    return examine(
        documents,
        settings=settings,
        background=beside,
        origin="cluster",
        listed=listed,
        with_places=False,
    )


def _whole(seen: Seen) -> frozenset[str]:
    return frozenset(seen.listed) - seen.only_here - seen.blind_for


def _documents(seen: Seen, kinds: Iterable[str]) -> list[Document]:
    values = [value for kind in sorted(kinds) for value in seen.listed.get(kind, ())]
    values.sort(key=_where)
    return unwritten(values, seen.source)


def _where(value: Object) -> tuple[str, str]:
    """Return what objects of a cluster are sorted by; their order there means nothing."""
    return plain.text(value, "metadata", "namespace"), plain.text(value, "metadata", "name")
