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
from functools import lru_cache

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
_DOTTED = re.compile(r"\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_BASES = (("hex", 16), ("binary", 2), ("octal", 8), ("decimal", 10))

_LONG_TAG = "tag:yaml.org,2002:"
_TAG_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "null": (type(None),),
}


class TagError(ValueError):
    """A scalar is not what its tag says."""


def plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar without a tag."""
    return _cached(text) if len(text) <= CACHED_CHARS_MAX else _resolved(text)


def tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with an explicit `tag`; unknown tags leave a text.

    Raises TagError.
    """
    name = tag.removeprefix(_LONG_TAG) if tag.startswith(_LONG_TAG) else ""
    if name == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise TagError("what is tagged !!binary is no base64") from None
    if name not in _TAG_TYPES:
        return text
    value = plain(text)
    if not isinstance(value, _TAG_TYPES[name]) or (name == "int" and isinstance(value, bool)):
        shown = text if len(text) <= CACHED_CHARS_MAX else text[:CACHED_CHARS_MAX] + "…"
        raise TagError(f"{shown!r} is tagged !!{name}, which it is not")
    return value


def key_text(value: Scalar) -> str:
    """Return what Kubernetes makes of a key that is a boolean or a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_json(value: Scalar) -> bool:
    """Tell whether JSON can say `value`: it knows neither infinity nor a number that is none."""
    return not isinstance(value, float) or math.isfinite(value)


def _resolved(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first == ".":
        return _number(float(text)) if _DOTTED.fullmatch(text) else text
    if first not in "+-0123456789":
        return text
    bare = text.replace("_", "")
    if found := _INTEGER.fullmatch(bare):
        whole = _whole(found)
        if whole is not None:
            return whole
    if _FLOAT.fullmatch(bare):
        value = float(bare)
        return _number(value) if math.isfinite(value) else text
    return text


def _whole(found: re.Match[str]) -> int | None:
    """Return a whole number of at most 64 bits, `None` for a longer one."""
    digits, base = next((found[name], base) for name, base in _BASES if found[name] is not None)
    if len(digits) > CACHED_CHARS_MAX:
        return None
    whole = int(digits, base) * (-1 if found["sign"] == "-" else 1)
    # a sign and more than 63 bits do not go together in Go
    maximum = 2**63 - 1 if found["sign"] else _UINT_MAX
    return whole if _INT_MIN <= whole <= maximum else None


def _number(value: float) -> float | int:
    """Return `value` as it comes back from JSON."""
    return int(value) if value.is_integer() and abs(value) < _JSON_INTEGRAL_MAX else value


_cached = lru_cache(_CACHE_SIZE)(_resolved)
