"""Text cannot become markup."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st

from gpuyard.twin.page.markup import Markup, coordinate, element, escape

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "a & b < c",
    "]]><!--",
    "{{constructor}}",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_reads_as_itself(name):
    written = element("p", {"title": name}, escape(name))
    parsed = ET.fromstring(written)
    assert (parsed.text, parsed.get("title"), len(parsed)) == (name, name, 0)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("\x00", id="nul"),
        pytest.param("\x1b[31m", id="terminal escape"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("\u202e", id="right-to-left override"),
        pytest.param("\u2066", id="isolate"),
        pytest.param("\uffff", id="noncharacter"),
    ],
)
def test_what_has_no_business_in_a_page_is_shown_as_replaced(bad):
    assert escape(f"a{bad}b").startswith("a\ufffd")
    escape(f"a{bad}b").encode()


@given(st.text(alphabet=st.characters(), max_size=40))
def test_any_text_can_be_written_and_parsed(text):
    ET.fromstring(element("p", {"title": text}, escape(text)).encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.0, "3"), (3.14159, "3.1"), (-0.01, "0"), (-2.25, "-2.2"), (1e6, "1000000")],
)
def test_coordinates_are_short(value, expected):
    assert coordinate(value) == expected


def test_an_attribute_that_is_none_is_left_out():
    assert element("a", {"href": None, "x": 1.0}, Markup("b")) == '<a x="1">b</a>'
