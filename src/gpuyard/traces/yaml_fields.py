"""YAML mappings as fields that know their line: bounded, never a bare exception.

In: a path. Out: one `Fields`, the mapping at the top of the file; it hands out what is below it. A
field is read by asking for what it must be (`whole`, `quantity`, `text`, `choice`, `each`). One
that is not that, a key that nobody knows, and one that stands there twice raise `TraceError` with
their line.

A number is what is written, not what YAML makes of it: ``20`` and ``"20"`` are the same quantity,
and ``0o17``, ``1_000`` or ``yes`` are no numbers. Anchors and aliases are refused: a few bytes of
them stand for any number of fields.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar

import yaml

from gpuyard.model.quantity import parse_quantity
from gpuyard.traces.rows import TEXT_CHARS_MAX, read_text, shown, suggestion
from gpuyard.traces.trace import FilePath, TraceError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it
Value = TypeVar("Value", bound=str)

YAML_CHARS_MAX = 1_000_000
WHOLE = re.compile(r"-?[0-9]{1,18}")
MERGE = "<<"


class Fields(NamedTuple):
    """One mapping: its fields by key, where it begins, and what to call it."""

    path: str
    line: int
    place: str  # "cohorts[0].queuesSets[1]"; empty for the whole file
    nodes: Mapping[str, yaml.Node]
    lines: Mapping[str, int]  # of the keys

    def error(self, sentence: str, key: str = "") -> TraceError:
        """Return an error that blames the field `key`, or the whole mapping."""
        line = self.lines.get(key, self.line)
        return TraceError(self.path, line, f"{self._named(key)}: {sentence}")

    def check_keys(self, known: Collection[str]) -> None:
        """Raise `TraceError` for the first key that is not `known`."""
        for key in self.nodes:
            if key not in known:
                raise self.error(f"there is no such field{suggestion(key, known)}", key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; `default` where the field is missing or empty."""
        value = self._scalar(key, default)
        if not value and default is not None:
            return default
        if not value or len(value) > TEXT_CHARS_MAX or not value.isprintable():
            raise self.error(
                f"{shown(value)} is no name; write printable text of 1 to "
                f"{TEXT_CHARS_MAX} characters",
                key,
            )
        return value

    def choice(self, key: str, allowed: Collection[Value], default: Value) -> Value:
        """Return one of `allowed`; `default` where the field is missing or empty."""
        value = self._scalar(key, default)
        for each in allowed:
            if each == (value or default):
                return each
        raise self.error(f"{shown(value)} is none of its values{suggestion(value, allowed)}", key)

    def whole(self, key: str, minimum: int, maximum: int, default: int | None = None) -> int:
        """Return a whole number in [`minimum`, `maximum`]."""
        value = self._scalar(key, None if default is None else str(default))
        if WHOLE.fullmatch(value) and minimum <= int(value) <= maximum:
            return int(value)
        raise self.error(f"{shown(value)}; write a whole number from {minimum} to {maximum}", key)

    def quantity(
        self, key: str, default: str | None = None, parse: Callable[[str], int] = parse_quantity
    ) -> int:
        """Return a Kubernetes quantity of at least 0, in the unit of `parse`."""
        value = self._scalar(key, default)
        try:
            amount = parse(value)
        except ValueError as error:
            raise self.error(str(error), key) from None
        if amount < 0:
            raise self.error(f"{value} is less than nothing; give at least 0", key)
        return amount

    def each(self, key: str) -> "list[Fields]":
        """Return the mappings of a list; none where the field is missing."""
        node = self.nodes.get(key)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.error("write a list: one entry per line, each after a dash", key)
        return [
            _fields(self.path, f"{self._named(key)}[{index}]", child)
            for index, child in enumerate(node.value)
        ]

    def below(self, key: str) -> "Fields | None":
        """Return a mapping, `None` where the field is missing."""
        node = self.nodes.get(key)
        return None if node is None else _fields(self.path, self._named(key), node)

    def _scalar(self, key: str, default: str | None) -> str:
        node = self.nodes.get(key)
        if node is None:
            if default is None:
                raise self.error(f"{key} is missing; write it")
            return default
        if not isinstance(node, yaml.ScalarNode):
            raise self.error("write one value here", key)
        return str(node.value)

    def _named(self, key: str) -> str:
        return ".".join(part for part in (self.place, key) if part) or "the file"


def read_fields(path: FilePath) -> Fields:
    """Return the mapping that is the YAML file at `path`. Raises TraceError."""
    text = read_text(path)
    if len(text) > YAML_CHARS_MAX:
        raise TraceError(path, None, f"more than {YAML_CHARS_MAX} characters; split the file")
    try:
        for event in yaml.parse(text, Loader=Loader):
            if getattr(event, "anchor", None) is not None:
                sentence = "an anchor or alias; write the fields out"
                raise TraceError(path, _line(event), sentence)
        root = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "no YAML"
        line = None if mark is None else mark.line + 1
        raise TraceError(path, line, f"{said}; correct the YAML") from None
    except (yaml.YAMLError, RecursionError):
        raise TraceError(path, None, "no YAML that can be read; correct the file") from None
    if root is None:
        raise TraceError(path, None, "the file has no fields; write some")
    return _fields(str(path), "", root)


def _fields(path: str, place: str, node: yaml.Node) -> Fields:
    found: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    if not isinstance(node, yaml.MappingNode):
        raise TraceError(
            path, _line(node), f"{place or 'the file'}: write fields, each `key: value`"
        )
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == MERGE:
            raise TraceError(path, _line(key), f"{place or 'the file'}: a key is one plain word")
        if key.value in found:
            raise TraceError(
                path,
                _line(key),
                f"{place or 'the file'}: {shown(key.value)} stands there twice; keep one",
            )
        found[key.value] = value
        lines[key.value] = _line(key)
    return Fields(path, _line(node), place, found, lines)


def _line(node: yaml.Node | yaml.Event) -> int:
    return 1 if node.start_mark is None else node.start_mark.line + 1
