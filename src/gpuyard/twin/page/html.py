"""Writes a `Page` as one HTML file.

The file asks the network for nothing and says so: its content security policy allows exactly the
one style sheet and the one script that stand in it, by their hashes, and no connection at all. So
a hostile name in a trace could not run even if it got past the escaping, and a report may be
opened from a mail. The same page gives the same bytes.

From top to bottom: title, the sentences, the validity strip, the sections, what is not modelled,
how the page was made.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby

from gpuyard.twin.page.check import faults, parts_of
from gpuyard.twin.page.content import (
    BarPlot,
    Block,
    Column,
    Figure,
    Fold,
    Heading,
    LinePlot,
    Page,
    Row,
    Sentence,
    Source,
    Strip,
    StripItem,
    Table,
    Text,
    Words,
)
from gpuyard.twin.page.figure import figure_of
from gpuyard.twin.page.markup import NOTHING_TO_SHOW, Markup, element, escape, join
from gpuyard.twin.page.numbers import NO_BREAK
from gpuyard.twin.page.readout import readouts
from gpuyard.twin.page.script import SCRIPT
from gpuyard.twin.page.style import STYLE

HEADINGS_WORTH_CONTENTS = 3
UNBROKEN_LETTERS_MAX = 20  # a number stays with its unit, unless it is a phrase

_SIGNS = {"ok": ("✓", "reproduced"), "warn": ("!", "differs"), "not-run": ("–", "not run")}
_TONES = {"better": ("▲", "better"), "worse": ("▼", "worse")}


def render(page: Page) -> str:
    """Return the whole file as text, to be written as UTF-8.

    Raises ValueError with every fault of the content: a link that leads nowhere, an id used twice.
    """
    if found := faults(page):
        raise ValueError(f"report {page.title!r}: " + "; ".join(found))
    plots = [part for part in parts_of(page) if isinstance(part, LinePlot)]
    body = element(
        "body",
        None,
        element(
            "div", {"class": "sheet", "id": "top"}, _masthead(page), _main(page), _made(page.source)
        ),
        element("script", {"type": "application/json", "id": "readouts"}, readouts(plots)),
        element("script", None, Markup(SCRIPT)),
    )
    document = element("html", {"lang": "en"}, _head(page), Markup("\n"), body)
    return f"<!doctype html>\n{document}\n"


def _head(page: Page) -> Markup:
    policy = (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        None,
        Markup('<meta charset="utf-8">'),
        _void("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        _void("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        _void("meta", {"name": "color-scheme", "content": "light dark"}),
        _void("meta", {"name": "generator", "content": page.source.version}),
        _void("link", {"rel": "icon", "href": "data:,"}),  # or a browser asks the server for one
        element("title", None, escape(page.title)),
        element("style", None, Markup(STYLE)),
    )


def _masthead(page: Page) -> Markup:
    source = page.source
    origin = " · ".join(part for part in (source.version, source.seeds) if part)
    return element(
        "header",
        {"class": "masthead"},
        element(
            "div",
            {"class": "brand"},
            element("b", None, Markup("gpuyard")),
            element("span", None, escape(origin)),
        ),
        element("h1", None, escape(page.title)),
        _optional("p", "subtitle", page.subtitle),
    )


def _main(page: Page) -> Markup:
    summary = element("ol", {"class": "summary"}, *map(_sentence, page.sentences))
    return element(
        "main",
        None,
        summary if page.sentences else NOTHING_TO_SHOW,
        _strip(page.strip) if page.strip else NOTHING_TO_SHOW,
        _contents(page),
        *_blocks(page.blocks),
        _not_modelled(page.not_modelled) if page.not_modelled else NOTHING_TO_SHOW,
    )


def _sentence(sentence: Sentence) -> Markup:
    note = (
        element("span", {"class": "note"}, escape(sentence.note))
        if sentence.note
        else NOTHING_TO_SHOW
    )
    return element("li", None, element("p", None, _words(sentence.words)), note)


def _words(words: Words) -> Markup:
    return join(escape(piece) if isinstance(piece, str) else _figure(piece) for piece in words)


def _figure(figure: Figure) -> Markup:
    is_short = len(figure.text) <= UNBROKEN_LETTERS_MAX
    inside = escape(figure.text.replace(" ", NO_BREAK) if is_short else figure.text)
    if figure.rows:
        inside = element("a", {"href": f"#{figure.rows}"}, inside)
    if figure.tone == "plain":
        return element("span", {"class": "figure"}, inside)
    sign, spoken = _TONES[figure.tone]
    return element(
        "span",
        {"class": f"figure tone {figure.tone}"},
        element("i", {"aria-hidden": "true"}, Markup(sign)),
        inside,
        element("span", {"class": "unseen"}, Markup(f" ({spoken})")),
    )


def _strip(strip: Strip) -> Markup:
    items = element("ul", None, *map(_strip_item, strip.items))
    return element("aside", {"class": "strip"}, element("h2", None, escape(strip.title)), items)


def _strip_item(item: StripItem) -> Markup:
    sign, spoken = _SIGNS[item.verdict]
    result = _figure(Figure(item.result, item.rows)) if item.rows else escape(item.result)
    return element(
        "li",
        {"class": item.verdict},
        element("span", {"class": "sign", "aria-hidden": "true"}, Markup(sign)),
        element(
            "span",
            None,
            element("span", {"class": "result"}, result),
            escape(item.name),
            element("span", {"class": "unseen"}, Markup(f" ({spoken})")),
        ),
    )


def _contents(page: Page) -> Markup:
    headings = [block for block in page.blocks if isinstance(block, Heading)]
    if len(headings) < HEADINGS_WORTH_CONTENTS:
        return NOTHING_TO_SHOW
    links = [element("a", {"href": f"#{heading.id}"}, escape(heading.text)) for heading in headings]
    if page.not_modelled:
        links.append(element("a", {"href": "#not-modelled"}, Markup("What is not modelled")))
    label = element("b", None, Markup("On this page"))
    return element("nav", {"class": "contents", "aria-label": "On this page"}, label, *links)


def _blocks(blocks: Sequence[Block]) -> Iterator[Markup]:
    """Write blocks in order; plots that follow each other share a grid."""
    for are_plots, run in groupby(blocks, key=lambda block: isinstance(block, LinePlot | BarPlot)):
        written = map(_block, run)
        yield element("div", {"class": "plots"}, *written) if are_plots else join(written)


def _block(block: Block) -> Markup:
    match block:
        case Heading():
            head = element("h2", {"id": block.id}, escape(block.text))
            return join((head, _optional("p", "lead", block.lead)))
        case Text():
            return element("p", None, _words(block.words))
        case Table():
            return _table(block)
        case Fold():
            inside = element("div", {"class": "folded"}, *map(_block, block.blocks))
            summary = element("summary", None, escape(block.summary))
            return element("details", {"id": block.id}, summary, inside)
        case LinePlot() | BarPlot():
            return figure_of(block)


def _table(table: Table) -> Markup:
    head = element("thead", None, element("tr", None, *map(_column_head, table.columns)))
    body = element("tbody", None, *(_row(row, table.columns) for row in table.rows))
    named = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": table.title}
    return element(
        "section",
        {"class": "table", "id": table.id},
        element("h3", None, escape(table.title)),
        _optional("p", "caption", table.caption),
        element("div", named, element("table", None, head, body)),
    )


def _column_head(column: Column) -> Markup:
    unit = (
        element("span", {"class": "unit"}, escape(column.unit)) if column.unit else NOTHING_TO_SHOW
    )
    attributes = {"scope": "col", "class": "right" if column.align == "right" else None}
    return element("th", attributes, escape(column.name), unit)


def _row(row: Row, columns: Sequence[Column]) -> Markup:
    """Write a row; its first cell is its head, so that it stays in view where the rest scrolls."""
    cells = []
    for index, (cell, column) in enumerate(zip(row.cells, columns, strict=True)):
        attributes = {
            "scope": None if index else "row",
            "class": "right" if column.align == "right" else None,
        }
        cells.append(element("td" if index else "th", attributes, _words((cell,))))
    return element("tr", {"id": row.id or None}, *cells)


def _not_modelled(limits: Sequence[str]) -> Markup:
    return join(
        (
            element("h2", {"id": "not-modelled"}, Markup("What is not modelled")),
            element(
                "ul", {"class": "limits"}, *(element("li", None, escape(limit)) for limit in limits)
            ),
        )
    )


def _made(source: Source) -> Markup:
    facts = [("Command", source.command), ("Version", source.version), ("Seeds", source.seeds)]
    facts += [("Input", name) for name in source.inputs]
    described = [
        join((element("dt", None, escape(term)), element("dd", None, _code_if(term, value))))
        for term, value in facts
        if value
    ]
    return element("footer", {"class": "made", "id": "made-by"}, element("dl", None, *described))


def _code_if(term: str, value: str) -> Markup:
    return element("code", None, escape(value)) if term == "Command" else escape(value)


def _optional(name: str, kind: str, words: str) -> Markup:
    return element(name, {"class": kind}, escape(words)) if words else NOTHING_TO_SHOW


def _void(name: str, attributes: dict[str, str]) -> Markup:
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>")


def _hash(text: str) -> str:
    """Return the name by which a content security policy allows exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
