"""What is wrong with a page before it is drawn: dead links, doubled names, lost numbers.

A report whose number leads nowhere breaks a promise, so it is not written at all; the message goes
to whoever wrote the report's content, and names every fault at once.
"""

import re
from collections import Counter
from collections.abc import Iterator

from gpuyard.twin.page.content import (
    BarPlot,
    Figure,
    Fold,
    Heading,
    LinePlot,
    Page,
    Table,
    Text,
    Words,
)

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

# Taken by the page itself.
OWN_IDS = ("top", "readouts", "not-modelled", "made-by")

Part = Heading | Text | LinePlot | BarPlot | Table | Fold


def faults(page: Page) -> list[str]:
    """Return one sentence for each fault of the page; nothing when it can be drawn."""
    ids = [*OWN_IDS, *_ids(page)]
    found = [
        f"id {name!r} is not a letter followed by letters, digits, - or _"
        for name in ids
        if not _ID.fullmatch(name)
    ]
    found += [
        f"id {name!r} is used {count} times" for name, count in Counter(ids).items() if count > 1
    ]
    known = set(ids)
    found += [
        f"{what!r} links to {target!r}, which is not on the page"
        for what, target in _links(page)
        if target not in known
    ]
    return found


def parts_of(page: Page) -> Iterator[Part]:
    """Yield all blocks, those within folds too."""
    for block in page.blocks:
        yield block
        if isinstance(block, Fold):
            yield from block.blocks


def _ids(page: Page) -> Iterator[str]:
    for part in parts_of(page):
        if not isinstance(part, Text):
            yield part.id
        if isinstance(part, Table):
            yield from (row.id for row in part.rows if row.id)


def _links(page: Page) -> Iterator[tuple[str, str]]:
    """Yield what stands on each link, and where it leads."""
    for words in _all_words(page):
        for piece in words:
            if isinstance(piece, Figure) and piece.rows:
                yield piece.text, piece.rows
    for part in parts_of(page):
        if isinstance(part, LinePlot | BarPlot) and part.rows:
            yield part.title, part.rows
    for item in page.strip.items if page.strip else ():
        if item.rows:
            yield item.name, item.rows


def _all_words(page: Page) -> Iterator[Words]:
    yield from (sentence.words for sentence in page.sentences)
    for part in parts_of(page):
        if isinstance(part, Text):
            yield part.words
        if isinstance(part, Table):
            yield from (row.cells for row in part.rows)
