"""JSON as plain values: fast, in bounded memory, with places looked up afterwards.

What ``kubectl get -o json`` prints can be a hundred megabytes: one List with every object of a
cluster. Its items are cut out first and decoded one by one, so that each knows where it begins; the
places inside an item are searched only when somebody asks (`json_places`).

msgspec takes the last of two equal keys without a word. They are found by counting: a text with
more keys than its value has is looked through once more.

Whole numbers beyond 64 bits become floats, as in k8s.io/apimachinery (pkg/util/json).
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gpuyard.dialects.documents.json_places import scan
from gpuyard.dialects.documents.model import Limits
from gpuyard.dialects.documents.yaml_reader import Flaw

_BLANK_BYTES = frozenset({b" ", b"\t", b"\r", b"\n"})
_NUMBER_STARTS = frozenset(bytes([byte]) for byte in b"-0123456789")
_INT_MIN, _UINT_MAX = -(2**63), 2**64 - 1

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(rb"[\[\]{}]|" + _STRING + rb'|[^\s\[\]{},:"]+', re.DOTALL)
_KEY_OR_STRING = re.compile(_STRING + rb"[ \t\r\n]*(:?)", re.DOTALL)
_BYTE = re.compile(r" \(byte ([0-9]+)\)")


class JsonError(Exception):
    """A text is no JSON, or none that we take."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


class Item(NamedTuple):
    """One value and the bytes that it was made of."""

    value: object
    start: int
    end: int
    api_version: str = ""
    """Of the List that it is an item of."""
    kind: str = ""
    """Of the List, without ``List``; its items need not say it again."""
    flaws: tuple[Flaw, ...] = ()
    """Keys that stand twice, their marks counted from the start of the whole text."""


class _Bundle(msgspec.Struct):
    api_version: str = msgspec.field(name="apiVersion", default="")
    kind: str = ""
    items: msgspec.Raw = msgspec.Raw()


def looks_like_json(text: str | bytes) -> bool:
    """Tell whether a text begins as a JSON object or array."""
    return text[:1024].lstrip()[:1] in {"{", "[", b"{", b"["}


def read_json(data: bytes, limits: Limits) -> Iterator[Item | Flaw]:
    """Return the values that stand one after the other in `data`, the items of a List one by one.

    An item that cannot be read is a flaw, and the next one follows. Raises JsonError when the rest
    of the text is no JSON, or consists of too many values.
    """
    start = _after_blanks(data, 0)
    values = 0
    while start < len(data):
        values += 1
        if values > limits.documents_max:
            message = f"more than {limits.documents_max} documents; the rest is not read"
            raise JsonError(Flaw("too-many", start, message))
        end = _end_of_value(data, start)
        bundle = _bundle(data[start:end])
        if bundle is None:
            yield _decode(data, start, end, limits)
        else:
            yield from _items(data, start, end, bundle, limits)
        start = _after_blanks(data, end)


def _bundle(data: bytes) -> _Bundle | None:
    """Return the head of a List; `None` for everything else."""
    try:
        read = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_list = read.kind.endswith("List") and bytes(memoryview(read.items)[:1]) == b"["
    return read if is_list else None


def _items(
    data: bytes, start: int, end: int, bundle: _Bundle, limits: Limits
) -> Iterator[Item | Flaw]:
    array = bytes(bundle.items)
    first = at = data.find(array, start) + 1
    for item in msgspec.json.decode(array, type=list[msgspec.Raw]):
        raw = bytes(item)
        at = data.find(raw, at)  # before it are a comma and blanks, so that it fits nowhere else
        try:
            read = _decode(data, at, at + len(raw), limits)
        except JsonError as error:
            yield error.flaw
        else:
            yield read._replace(api_version=bundle.api_version, kind=bundle.kind[: -len("List")])
        at += len(raw)
    yield from _head_flaws(data[start:end], first - start, at - start, start)


def _head_flaws(data: bytes, first: int, last: int, start: int) -> Iterator[Flaw]:
    """Return the keys that stand twice in a List itself, whose items lie from `first` to `last`."""
    head = data[:first] + data[last:]
    if _keys_written(head) == measure(msgspec.json.decode(head), 2**31).keys:
        return

    def in_text(mark: int) -> int:
        return mark + start + (last - first if mark >= first else 0)

    for flaw in scan(head)[1]:
        yield flaw._replace(mark=in_text(flaw.mark), first=in_text(flaw.first or 0))


def _decode(data: bytes, start: int, end: int, limits: Limits) -> Item:
    """Return the one value between `start` and `end`; raises JsonError."""
    text = data[start:end]
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise JsonError(_too_deep(text, start, limits)) from None
    except UnicodeDecodeError:
        raise JsonError(_no_utf8(text, start)) from None
    except msgspec.ValidationError:
        raise JsonError(_no_number(text, start)) from None
    except msgspec.DecodeError as error:
        raise JsonError(_malformed(error, text, start)) from None
    found = measure(value, limits.depth_max)
    if found.depth > limits.depth_max:
        raise JsonError(_too_deep(text, start, limits))
    flaws: tuple[Flaw, ...] = ()
    if found.keys != _keys_written(text):
        flaws = tuple(
            flaw._replace(mark=flaw.mark + start, first=(flaw.first or 0) + start)
            for flaw in scan(text)[1]
        )
    return Item(_narrowed(value) if found.is_wide else value, start, end, flaws=flaws)


class Measured(NamedTuple):
    """What a value consists of."""

    depth: int
    keys: int
    is_wide: bool
    """It has integers of more than 64 bits."""


def measure(value: object, depth_max: int) -> Measured:
    """Return how deep `value` is and how many keys it has; stops beyond `depth_max`."""
    keys = depth = 0
    is_wide = False
    level = [value]
    while level and depth <= depth_max:
        below: list[object] = []
        has_any = False
        for each in level:
            if isinstance(each, dict):
                has_any = True
                keys += len(each)
                below.extend(each.values())
            elif isinstance(each, list):
                has_any = True
                below.extend(each)
            elif isinstance(each, int) and not _INT_MIN <= each <= _UINT_MAX:
                is_wide = True
        depth += has_any
        level = below
    return Measured(depth, keys, is_wide)


def _keys_written(data: bytes) -> int:
    return sum(1 for found in _KEY_OR_STRING.finditer(data) if found[1])


def _after_blanks(data: bytes, start: int) -> int:
    while start < len(data) and data[start : start + 1] in _BLANK_BYTES:
        start += 1
    return start


def _end_of_value(data: bytes, start: int) -> int:
    """Return where the value that begins at `start` ends; the end of `data` if it is broken."""
    try:
        msgspec.json.decode(memoryview(data)[start:], type=msgspec.Raw)
    except msgspec.DecodeError as error:
        found = _BYTE.search(str(error))
        if found and "trailing characters" in str(error):
            return start + int(found[1]) - 1  # it has looked at the first byte of what follows
    except (RecursionError, UnicodeDecodeError):
        pass  # `decode` says it better
    return len(data)


def _narrowed(value: object) -> object:
    """Return `value` with floats in place of integers that need more than 64 bits."""
    if isinstance(value, dict):
        return {key: _narrowed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_narrowed(each) for each in value]
    is_wide = isinstance(value, int) and not _INT_MIN <= value <= _UINT_MAX
    return float(value) if is_wide and isinstance(value, int) else value


def _too_deep(data: bytes, start: int, limits: Limits) -> Flaw:
    depth = 0
    at = 0
    for token in _TOKEN.finditer(data):
        depth += (token[0] in {b"{", b"["}) - (token[0] in {b"}", b"]"})
        at = token.start()
        if depth > limits.depth_max:
            break
    message = f"more than {limits.depth_max} levels of objects and arrays"
    return Flaw("too-deep", start + at, message)


def _no_utf8(data: bytes, start: int) -> Flaw:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        return Flaw("encoding", start + error.start, f"the byte 0x{byte:02x} is no UTF-8")
    return Flaw("encoding", start, "the text is no UTF-8")


def _no_number(data: bytes, start: int) -> Flaw:
    """Return the flaw that names the first number that no float holds."""
    for token in _TOKEN.finditer(data):
        if token[0][:1] in _NUMBER_STARTS and not _is_finite(token[0]):
            return Flaw("number", start + token.start(), "the number is too large")
    return Flaw("number", start, "a number is too large")


def _is_finite(number: bytes) -> bool:
    try:
        return math.isfinite(float(number))
    except ValueError:
        return True


def _malformed(error: msgspec.DecodeError, data: bytes, start: int) -> Flaw:
    said = str(error)
    found = _BYTE.search(said)
    at = int(found[1]) if found else max(0, len(data.rstrip()) - 1)
    sentence = _BYTE.sub("", said).removeprefix("JSON is malformed: ")
    return Flaw("syntax", start + at, f"no JSON: {sentence[:1].lower()}{sentence[1:]}")
