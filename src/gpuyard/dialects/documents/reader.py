"""From a text to its documents and problems: which language it is, what each piece holds."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from gpuyard.dialects.documents.document import Document, File
from gpuyard.dialects.documents.json_reader import Item, JsonError, looks_like_json, read_json
from gpuyard.dialects.documents.model import Code, Limits, Position, Problem
from gpuyard.dialects.documents.pieces import JsonPiece, YamlPiece, yaml_pieces
from gpuyard.dialects.documents.places import Advance, find
from gpuyard.dialects.documents.templates import template_mark
from gpuyard.dialects.documents.yaml_reader import Flaw, read_piece
from gpuyard.dialects.plain import Path

MIB = 2**20
DEFAULT_LIMITS = Limits()

_LIST_LEVELS_MAX = 16  # of paths to objects in lists in lists
_BEGINS_AS_JSON = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\"\[{\]])")
_BROKEN_BY_TEMPLATES = frozenset({"syntax", "key"})


class Read(NamedTuple):
    """What a text contains, in the order in which it stands there."""

    documents: list[Document]
    problems: list[Problem]


def read(text: str | bytes, source: str, *, limits: Limits = DEFAULT_LIMITS) -> Read:
    """Return the documents in `text`, YAML or JSON, and what is wrong with it. Never raises.

    `source` is what problems and documents call the text.
    """
    reading = _Reading(source, limits)
    reading.read(text)
    return Read(reading.documents, reading.problems)


class _Reading:
    def __init__(self, source: str, limits: Limits) -> None:
        self.limits = limits
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self.file = File(source)
        self.seen = 0  # pieces and items, whether they are documents or not
        self.values = 0

    def read(self, given: str | bytes) -> None:
        text = _without_mark(given)
        nul = text.find("\0") if isinstance(text, str) else text.find(b"\0")
        if nul >= 0:
            self.problem("binary", Position(1, 1), f"this is no text: byte {nul} of it is zero")
        elif looks_like_json(text):
            self.json(text)
        else:
            self.yaml(text)

    # --- JSON -----------------------------------------------------------------------------------

    def json(self, text: str | bytes) -> None:
        if self.is_too_large(text, "JSON", self.limits.json_size_max):
            return
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        places = Advance(data)
        values = sum(map(data.count, (b",", b"[", b"{")))
        if values > self.limits.json_values_max:
            message = f"more than {self.limits.json_values_max} values; split the text"
            self.problem("too-large", Position(1, 1), message)
            return
        try:
            for found in read_json(data, self.limits):
                if self.is_enough(found.start if isinstance(found, Item) else found.mark, places):
                    return
                if isinstance(found, Flaw):
                    self.flaw(found, places)
                else:
                    self.json_item(found, data, places)
        except JsonError as error:
            self.no_json(error.flaw, text, places)

    def json_item(self, item: Item, data: bytes, places: Advance) -> None:
        piece = JsonPiece(data, item.start, item.end, places.position(item.start))
        for flaw in item.flaws:
            self.flaw(flaw, places)
        value = item.value
        if item.kind and isinstance(value, dict):
            value = _named(value, item.api_version, item.kind)
        self.add(value, piece, 0)

    def no_json(self, flaw: Flaw, text: str | bytes, places: Advance) -> None:
        """Read as YAML what begins like JSON: a flow mapping, objects cut by ``---``, a template.

        What is broken in both languages hears of the one that it looks like.
        """
        other = _Reading(self.file.source, self.limits)
        if flaw.code == "syntax" and len(text) <= self.limits.yaml_size_max:
            other.yaml(text)
        is_read = bool(other.documents) and all(problem.is_read for problem in other.problems)
        is_template = any(problem.code == "template" for problem in other.problems)
        looks_so = self.documents or _BEGINS_AS_JSON.match(_beginning(text))
        if is_read or is_template or (other.problems and not looks_so):
            self.documents, self.problems = other.documents, other.problems
        else:
            self.flaw(flaw, places)

    # --- YAML -----------------------------------------------------------------------------------

    def yaml(self, given: str | bytes) -> None:
        if self.is_too_large(given, "YAML", self.limits.yaml_size_max):
            return
        text = given.decode("utf-8", "surrogateescape") if isinstance(given, bytes) else given
        for piece in yaml_pieces(text, self.limits):
            if self.is_enough(0, piece):
                return
            self.file.pieces.append(piece)
            self.yaml_piece(piece)

    def yaml_piece(self, piece: YamlPiece) -> None:
        found = read_piece(piece.text, self.limits)
        self.values += found.values
        flaws = found.flaws
        if any(flaw.code in _BROKEN_BY_TEMPLATES and not flaw.is_read for flaw in flaws):
            template = template_mark(piece.text)
            if template is not None:
                flaws = []
                self.template(piece, *template)
        if not any(_is_object(value) for value, _ in found.documents):
            # what other programs make of `on:` is their affair
            flaws = [flaw for flaw in flaws if flaw.code != "key" or not flaw.is_read]
        for flaw in flaws:
            self.flaw(flaw, piece)
        for number, (value, _) in enumerate(found.documents):
            self.add(value, piece, number)

    def template(self, piece: YamlPiece, mark: int, shown: str) -> None:
        """Say once for each file that it is a template."""
        if not any(problem.code == "template" for problem in self.problems):
            message = f"{shown} is filled in by a template engine"
            self.problem("template", piece.position(mark), message)

    # --- Documents and problems -----------------------------------------------------------------

    def add(self, value: object, piece: YamlPiece | JsonPiece, number: int) -> None:
        for each, prefix in _flattened(value):
            if isinstance(each, dict):
                self.documents.append(
                    Document(self.file, each, piece, number=number, prefix=prefix)
                )
            else:
                node = find(piece.nodes[number], prefix)
                what = "a list" if isinstance(each, list) else "a single value"
                message = f"{what} where an object or another mapping belongs"
                self.problem("not-a-mapping", piece.position(node.mark), message)

    def flaw(self, flaw: Flaw, places: YamlPiece | Advance) -> None:
        message = flaw.message
        position = places.position(flaw.mark)
        if flaw.first is not None:
            message += f" (first in line {places.position(flaw.first).line})"
        self.problem(flaw.code, position, message, is_read=flaw.is_read)

    def problem(
        self, code: Code, position: Position, message: str, *, is_read: bool = False
    ) -> None:
        if len(self.problems) > self.limits.problems_max:
            return  # of one piece; `is_enough` ends the reading behind it
        if len(self.problems) == self.limits.problems_max:
            code, is_read = "too-many", False
            message = f"more than {self.limits.problems_max} problems; the rest is not read"
        source = self.file.source
        self.problems.append(
            Problem(source=source, position=position, code=code, message=message, is_read=is_read)
        )

    def is_enough(self, mark: int, places: YamlPiece | Advance) -> bool:
        """Count what begins at `mark`, and tell whether so much was found that it is not read."""
        if len(self.problems) > self.limits.problems_max:
            return True
        self.seen += 1
        what = ""
        if self.seen > self.limits.documents_max:
            what = f"{self.limits.documents_max} documents"
        elif self.values > self.limits.yaml_values_max:
            what = f"{self.limits.yaml_values_max} values"
        if what:
            message = f"more than {what}; the rest is not read"
            self.problem("too-many", places.position(mark), message)
        return bool(what)

    def is_too_large(self, text: str | bytes, language: str, maximum: int) -> bool:
        if len(text) <= maximum:
            return False
        size = f"{len(text) / MIB:.1f} MiB; {language} is read up to {maximum / MIB:.0f} MiB"
        self.problem("too-large", Position(1, 1), f"the text has {size}; split it")
        return True


def _flattened(value: object, prefix: Path = ()) -> Iterator[tuple[object, Path]]:
    """Return the objects in `value`, a List or an array of them too, with their paths."""
    if value is None:
        return
    if len(prefix) > _LIST_LEVELS_MAX:
        yield value, prefix
    elif isinstance(value, list) and value and all(map(_is_object, value)):
        for index, each in enumerate(value):
            yield from _flattened(each, (*prefix, index))
    elif isinstance(value, dict) and _is_list(value):
        kind, version = str(value["kind"]), str(value.get("apiVersion", ""))
        for index, each in enumerate(value["items"]):
            item = _named(each, version, kind[: -len("List")]) if isinstance(each, dict) else each
            yield from _flattened(item, (*prefix, "items", index))
    else:
        yield value, prefix


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and "apiVersion" in value and "kind" in value


def _is_list(value: dict[str, object]) -> bool:
    kind = value.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list)


def _named(item: dict[str, object], api_version: str, kind: str) -> dict[str, object]:
    """Return an item of a typed list with the kind that the list leaves out."""
    if not kind or "kind" in item:
        return item
    return {"apiVersion": api_version, "kind": kind, **item}


def _without_mark(text: str | bytes) -> str | bytes:
    """Return `text` without its byte order mark; UTF-16 decoded."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    if text.startswith(codecs.BOM_UTF8):
        return text.removeprefix(codecs.BOM_UTF8)
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            return text.decode("utf-16")
    return text


def _beginning(text: str | bytes) -> str:
    start = text[:1024]
    return start if isinstance(start, str) else start.decode("utf-8", "replace")
