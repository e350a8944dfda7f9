"""What a plain YAML scalar means: the value that Kubernetes reads from it.

Kubernetes turns YAML into JSON before it looks at it, with the rules of YAML 1.1 as one Go library
reads them. They differ from PyYAML's and surprise people: ``yes``, ``on`` and ``y`` are booleans,
``0777`` is octal, ``08`` and ``1e3`` are numbers, but ``1:30``, ``2026-01-01`` and ``1e999`` are
texts. What is quoted is always a text.

Source: go.yaml.in/yaml v2.4 resolve.go, which sigs.k8s.io/yaml v1.6 (yaml.go) calls, which
k8s.io/apimachinery uses for every manifest. Numbers go through JSON there: a float without a
fraction comes out as a whole number, one that is infinite or no number cannot be written, and a
whole number that needs more than 64 bits becomes a float.
"""

import base64
import binascii
import math
import re
import struct
from functools import lru_cache

from gpuyard.dialects.documents.model import shown

Scalar = str | int | float | bool | None

CACHED_CHARS_MAX = 64
_CACHE_SIZE = 8192
_JSON_INTEGRAL_MAX = 1e21  # encoding/json writes larger floats with an exponent
_INT_MIN, _UINT_MAX = -(2**63), 2**64 - 1

_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL = ("", "~", "null", "Null", "NULL")
_NAN = (".nan", ".NaN", ".NAN")
_INFINITE = (".inf", ".Inf", ".INF")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_NULL, None),
    **dict.fromkeys(_NAN, math.nan),
    **dict.fromkeys((sign + word for sign in ("", "+") for word in _INFINITE), math.inf),
    **dict.fromkeys(("-" + word for word in _INFINITE), -math.inf),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)"
    r"|0[oO]?(?P<octal>[0-7]+)|(?P<decimal>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOTTED = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?")
_BASES = (("hex", 16), ("binary", 2), ("octal", 8), ("decimal", 10))

_LONG_TAG = "tag:yaml.org,2002:"
_TAGS: dict[str, type] = {"bool": bool, "int": int, "float": float, "null": type(None)}
_INT_MAX = 2**63 - 1
_EXPONENT_MIN, _EXPONENT_MAX = -4, 5  # of a key that Go writes without an exponent


class TagError(ValueError):
    """A scalar is not what its tag says."""


def plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar without a tag."""
    return _cached_plain(text) if len(text) <= CACHED_CHARS_MAX else _resolved_plain(text)


def _resolved_plain(text: str) -> Scalar:
    return _through_json(resolved(text))


def tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with an explicit `tag`; tags of other types leave a text.

    Raises TagError.
    """
    name = tag.removeprefix(_LONG_TAG) if tag.startswith(_LONG_TAG) else ""
    if name == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise TagError("what is tagged !!binary is no base64") from None
    if name not in _TAGS and (name != "timestamp" or _DATE.fullmatch(text)):
        return text
    value = resolved(text)
    if name == "float" and type(value) is int and value <= _INT_MAX:
        return value
    if type(value) is not _TAGS.get(name):
        raise TagError(f"{shown(text)!r} is tagged !!{name}, which it is not")
    return _through_json(value)


def plain_key(text: str) -> tuple[str | None, bool]:
    """Return what Kubernetes makes of an unquoted key, and whether it is a text as it stands.

    `None` where it takes no such key: null, and numbers of 64 bits without a sign.
    """
    return _cached_key(text) if len(text) <= CACHED_CHARS_MAX else _resolved_key(text)


def _resolved_key(text: str) -> tuple[str | None, bool]:
    value = resolved(text)
    if isinstance(value, bool):
        return "true" if value else "false", False
    if isinstance(value, int):
        return str(value) if value <= _INT_MAX else None, False
    if isinstance(value, float):
        return _float_key(value), False
    return value, value is not None


def resolved(text: str) -> Scalar:
    """Return what an unquoted scalar is in YAML, before it goes through JSON."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in ".+-0123456789":
        return text
    bare = text.replace("_", "")
    found = _INTEGER.fullmatch(bare) if first != "." else None
    whole = _whole(found) if found else None
    if whole is not None:
        return whole
    if _FLOAT.fullmatch(bare) and (first != "." or _DOTTED.fullmatch(text)):
        value = float(bare)
        return value if math.isfinite(value) else text
    return text


def _whole(found: re.Match[str]) -> int | None:
    """Return a whole number of at most 64 bits, `None` for a longer one."""
    digits, base = next((found[name], base) for name, base in _BASES if found[name] is not None)
    significant = digits.lstrip("0") or "0"
    if len(significant) > CACHED_CHARS_MAX:
        return None
    whole = int(significant, base) * (-1 if found["sign"] == "-" else 1)
    maximum = _INT_MAX if found["sign"] else _UINT_MAX  # Go reads unsigned ones without a sign
    return whole if _INT_MIN <= whole <= maximum else None


def _through_json(value: Scalar) -> Scalar:
    """Return `value` as it comes back from JSON, where a float may lose its fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _JSON_INTEGRAL_MAX:
        return int(value)
    return value


def _float_key(value: float) -> str:
    """Return a float as Go writes it with the fewest digits that a 32-bit float needs."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    try:
        single = _as_single(repr(value))
    except OverflowError:
        return ".inf" if value > 0 else "-.inf"
    digits = next(count for count in range(17) if _as_single(f"{single:.{count}e}") == single)
    written = f"{single:.{digits}e}"
    exponent = int(written.partition("e")[2])
    if _EXPONENT_MIN <= exponent <= _EXPONENT_MAX:
        return f"{float(written):.{max(0, digits - exponent)}f}"
    return written


def _as_single(text: str) -> float:
    single: float = struct.unpack("f", struct.pack("f", float(text)))[0]
    return single


# Manifests say the same few words again and again.
_cached_plain = lru_cache(_CACHE_SIZE)(_resolved_plain)
_cached_key = lru_cache(_CACHE_SIZE)(_resolved_key)
