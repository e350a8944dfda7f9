"""Roles can be told apart on white, on black, without colour and without ink to spare."""

import itertools
import re

import pytest

from gpuyard.twin.page.looks import LOOKS, PAPER_DARK, PAPER_LIGHT, bar, marker, pattern
from gpuyard.twin.page.style import STYLE

LINES = [role for role in LOOKS if role != "limit"]


def luminance(colour):
    """Relative luminance as in WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("role", LOOKS)
def test_every_colour_stands_out(role):
    assert contrast(LOOKS[role].light, PAPER_LIGHT) >= 3
    assert contrast(LOOKS[role].dark, PAPER_DARK) >= 3


@pytest.mark.parametrize("role", LOOKS)
def test_names_at_line_ends_are_readable_text(role):
    assert contrast(LOOKS[role].light, PAPER_LIGHT) >= 4.5
    assert contrast(LOOKS[role].dark, PAPER_DARK) >= 4.5


@pytest.mark.parametrize(("names", "paper"), [("light", PAPER_LIGHT), ("dark", PAPER_DARK)])
def test_words_are_readable(names, paper):
    blocks = re.findall(r":root\{([^}]*)\}", STYLE)
    words = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", blocks[names == "dark"]))
    for kind in ("ink", "quiet", "good", "bad"):
        assert contrast(words[kind], paper) >= 4.5, kind


@pytest.mark.parametrize("trait", ["dash", "marker", "fill"])
def test_no_two_roles_share_a_dash_marker_or_fill(trait):
    for one, other in itertools.combinations(LINES, 2):
        assert getattr(LOOKS[one], trait) != getattr(LOOKS[other], trait), (one, other)


@pytest.mark.parametrize("role", LINES)
def test_every_role_can_be_drawn(role):
    assert 'd="M' in marker(role, 10, 10)
    assert 'width="20"' in bar(role, (0, 0, 20, 10), "p")
    assert ("url(#p)" in bar(role, (0, 0, 20, 10), "p")) == bool(pattern(role, "p"))


def test_a_limit_has_no_marker():
    assert marker("limit", 0, 0) == ""
