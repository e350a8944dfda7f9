"""The only place where text becomes markup.

`Markup` is a string that is already safe to stand in the page. mypy tells it from `str`, so a name
out of somebody's trace cannot reach the page without passing `escape`. Names are hostile until
proven otherwise: a pod may well be called ``</script><img onerror=…>``.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape as escape_html
from typing import NewType

Markup = NewType("Markup", str)

NOTHING_TO_SHOW = Markup("")

# Characters that HTML forbids, UTF-8 cannot carry (lone surrogates), or that turn the reading
# direction of the text around them (bidirectional overrides, "Trojan Source", CVE-2021-42574).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)

Attribute = str | float | None


def clean(text: str) -> str:
    """Return `text` with every character that has no business in a page shown as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def escape(text: str) -> Markup:
    """Return `text` so that it reads as itself, in an element and in a quoted attribute."""
    return Markup(escape_html(clean(text), quote=True))


def element(
    name: str, attributes: Mapping[str, Attribute] | None = None, *children: Markup
) -> Markup:
    """Return one element. An attribute that is None is left out; a number is a length in pixels."""
    written = "".join(
        f' {key}="{_attribute(value)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Return the parts, one after the other."""
    return Markup("".join(parts))


def coordinate(value: float) -> str:
    """Return a length in pixels with one decimal at most: finer than that, no eye can tell."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def _attribute(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else coordinate(value)
