"""Which objects select a pod by its labels.

The selector is read by `gpuyard.dialects` and answered by `gpuyard.scheduling`, as in a decision:
lint has no rule of its own for it. A selector with a wrong type in it selects nothing.

A folder may hold a thousand workloads and a thousand budgets; to ask each about each would take
longer than everything else. Selectors are therefore read once and filed under a label that they
demand, so that a pod meets only those that may select it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from gpuyard.dialects import wire
from gpuyard.dialects.core.constraints import label_selector
from gpuyard.dialects.plain import Path
from gpuyard.dialects.wire import DialectError
from gpuyard.model.constraints import LabelSelector
from gpuyard.scheduling.shapes import matches

if TYPE_CHECKING:
    from gpuyard.lint.world import Entry

Label = tuple[str, str]


class Selectors:
    """The selectors that lie at one path in some objects."""

    def __init__(self, entries: "Iterable[Entry]", path: Path) -> None:
        """Read the selectors of all `entries` at `path`; a plain mapping of labels is one too."""
        self._filed: dict[Label | None, list[tuple[Entry, LabelSelector]]] = defaultdict(list)
        for entry in entries:
            selector = read_selector(entry.get(*path))
            if selector is not None:
                self._filed[_demanded(selector)].append((entry, selector))

    def selecting(self, labels: Mapping[str, str]) -> "Iterator[Entry]":
        """Return the objects whose selector selects a pod with `labels`."""
        own = dict(labels)
        for label in (None, *own.items()):
            for entry, selector in self._filed.get(label, ()):
                if matches(selector, own):
                    yield entry


def read_selector(value: object) -> LabelSelector | None:
    """Return the LabelSelector that stands in an object, or the labels a Service selects by.

    `None`, which selects nothing, where there is none or it cannot be read. An empty LabelSelector
    selects everything, as policy/v1 and networking.k8s.io/v1 mean it.
    """
    if not isinstance(value, Mapping):
        return None
    is_plain = bool(value) and not value.keys() & {"matchLabels", "matchExpressions"}
    given = {"matchLabels": value} if is_plain else value
    try:
        return label_selector(msgspec.convert(given, wire.LabelSelector))
    except (DialectError, msgspec.ValidationError):
        return None


def _demanded(selector: LabelSelector) -> Label | None:
    """Return a label that every selected pod has, `None` where none is demanded."""
    for one in selector.requirements:
        if one.operator == "In" and len(one.values) == 1:
            return one.key, one.values[0]
    return None
