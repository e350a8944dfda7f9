"""Where words fit: their width, their line breaks, and how neighbours make room for each other."""

from collections.abc import Sequence

LINE_HEIGHT = 1.2  # of the font size

# Widths in a sans-serif font, as shares of the font size; the page has no font of its own, so this
# is a little more than most system fonts need.
_NARROW, _WIDE, _CAPITAL, _OTHER = 0.34, 0.9, 0.68, 0.58
_NARROW_LETTERS = frozenset("ijlft.,:;'|!()[]- \u00a0\u2009")
_WIDE_LETTERS = frozenset("mwMW%@▲▼…")


def text_width(text: str, font_px: float) -> float:
    """Return about how many pixels `text` takes; rather too many than too few."""
    return font_px * sum(map(_letter_width, text))


def wrap(text: str, width_px: float, font_px: float) -> tuple[str, ...]:
    """Return `text` in one line, or in two of about the same width; what is too long ends in ….

    A single word is broken after a hyphen, if it has one.
    """
    joint = " " if " " in text else "-"
    words = text.split(joint)
    if len(words) == 1 or text_width(text, font_px) <= width_px:
        return (shortened(text, width_px, font_px),)
    halves = (
        (joint.join(words[:cut]) + joint.strip(), joint.join(words[cut:]))
        for cut in range(1, len(words))
    )
    evenly = min(halves, key=lambda half: max(text_width(line, font_px) for line in half))
    return tuple(shortened(line, width_px, font_px) for line in evenly)


def shortened(line: str, width_px: float, font_px: float) -> str:
    """Return the line, or as much of its beginning as fits, with … at its end."""
    if text_width(line, font_px) <= width_px:
        return line
    kept = line
    while kept and text_width(kept + "…", font_px) > width_px:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def spread(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> tuple[float, ...]:
    """Return middles as near as can be to `wanted` so that no two boxes overlap in [low, high].

    Boxes that touch become one block which stands at the mean of what its boxes want (pool
    adjacent violators, so the sum of squared moves is least). With more boxes than room they
    share what there is and do overlap.
    """
    crowd = sum(heights)
    shrink = min(1.0, (high - low) / crowd) if crowd > 0 else 1.0
    sizes = [height * shrink for height in heights]
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], index))
    blocks: list[_Block] = []
    for index in order:
        blocks.append(_Block([index], wanted[index], sizes[index], low, high))
        while len(blocks) > 1 and blocks[-2].bottom > blocks[-1].top + 1e-9:
            below = blocks.pop()
            blocks[-1] = blocks[-1].joined(below)
    middles = [0.0] * len(wanted)
    for block in blocks:
        edge = block.top
        for index in block.members:
            middles[index] = edge + sizes[index] / 2
            edge += sizes[index]
    return tuple(middles)


class _Block:
    """Boxes standing on each other; `top` is the upper edge that suits them best."""

    def __init__(
        self, members: list[int], middle: float, size: float, low: float, high: float
    ) -> None:
        self.members = members
        self.middle = middle  # where its centre of mass wants to be, limits aside
        self.size = size
        self.limits = (low, high)
        self.top = max(low, min(middle - size / 2, high - size))

    @property
    def bottom(self) -> float:
        return self.top + self.size

    def joined(self, below: "_Block") -> "_Block":
        # Seen from the joint top edge, each part wants an edge of its own; weigh them by members.
        here, there = len(self.members), len(below.members)
        edge_here = self.middle - self.size / 2
        edge_there = below.middle - below.size / 2 - self.size
        edge = (here * edge_here + there * edge_there) / (here + there)
        size = self.size + below.size
        return _Block(self.members + below.members, edge + size / 2, size, *self.limits)


def _letter_width(letter: str) -> float:
    if letter in _NARROW_LETTERS:
        return _NARROW
    if letter in _WIDE_LETTERS:
        return _WIDE
    return _CAPITAL if letter.isupper() else _OTHER
