"""What a rule is, and what it finds.

A rule is one row: an id that never changes, how bad it is, what it says, why that matters, what to
do, where the knowledge comes from, a function that looks, and two examples that prove it. The
engine (`gpuyard.lint.run`) decides whom the function is shown:

=========  ==================  ===================================================================
scope      subject             shown
=========  ==================  ===================================================================
pod        `PodView`           each pod template that asks for a GPU (all pods: ``gpu_only=False``)
workload   `Workload`          each workload with such a pod template (likewise)
object     `Entry`             each object of the rule's `kinds`
values     `Values`            each set of Helm values
world      `World`             once, when everything has been read
text       nothing             found while reading or reporting; the function is never called
=========  ==================  ===================================================================

A function answers with hits: a path in the subject's object and one sentence with the numbers. It
knows nothing of files, lines, suppression or severities; the engine makes findings of hits.

A rule that needs the cluster names in `reads` the kinds whose absence would make it guess; it is
silent unless objects of each of them were given (DESIGN, law 5: blind means still).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from gpuyard.dialects.plain import Path

Severity = Literal["error", "warning", "info"]
Scope = Literal["pod", "workload", "object", "values", "world", "text"]
Needs = Literal["documents", "cluster", "node"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")  # the worst first
ID_SHAPE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
TITLE_CHARS_MAX = 70


class Set(msgspec.Struct, frozen=True, tag=True):
    """Give the key at `path` this value; mappings that are missing on the way are made."""

    path: Path
    value: Any


class Append(msgspec.Struct, frozen=True, tag=True):
    """Add an item at the end of the list at `path`; the list is made where it is missing."""

    path: Path
    value: Any


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Take away the key or item at `path`."""

    path: Path


Edit = Set | Append | Remove


class Hit(msgspec.Struct, frozen=True):
    """One thing that a rule found.

    `path` is absolute in the object that `on` names (default: the subject's object), and may go
    deeper than the object does: then the place is the deepest key that is there. `of` chooses the
    key or its value. `remedy` replaces the rule's where the case allows a sharper one.
    """

    path: Path
    message: str
    of: Literal["key", "value"] = "key"
    remedy: str | None = None
    on: Any = None  # an Entry of the World; a rule of scope "world" must say it
    edits: tuple[Edit, ...] = ()  # what `--fix` may do; only where it is safe without asking


class CelRule(msgspec.Struct, frozen=True):
    """The same rule in CEL; true where the PodSpec ``variables.spec`` is fine.

    `except_kinds` are kinds that the rule leaves alone whatever their pods say, ``ray.io/RayJob``.
    """

    expression: str
    except_kinds: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule; the module's head tells what the fields are for.

    `failing` is YAML in which exactly one place is wrong, marked by a comment ``# <- here`` on its
    line; `passing` is YAML with nothing for this rule. Both are shown on the rule's page.
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    source: str
    scope: Scope
    check: Callable[[Any, Any], Iterable[Hit]]
    failing: str
    passing: str
    needs: Needs = "documents"
    kinds: tuple[str, ...] = ()  # "apps/Deployment", core kinds bare: "Service"; scope "object"
    reads: tuple[str, ...] = ()  # kinds without which the rule is silent; not with "documents"
    gpu_only: bool = True  # scopes "pod" and "workload": only those that ask for a GPU
    has_fix: bool = False  # its hits may carry edits; the failing example's does
    cel: CelRule | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says; the fields are DESIGN's JSON contract and in its order."""

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    object: str  # "Deployment default/llm"; "" where it is about no object
    message: str
    remedy: str


def place_order(finding: Finding) -> tuple[str, int, int, str, str]:
    """Return what findings are sorted by: file, place, rule."""
    return (finding.file, finding.line, finding.column, finding.rule, finding.message)


def is_at_least(severity: Severity, threshold: Severity) -> bool:
    """Say whether `severity` is as bad as `threshold` or worse."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
