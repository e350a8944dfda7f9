"""Edits of any value, written in any way: the text says what the edit means, or it is refused."""

import json

import yaml
from hypothesis import given, strategies as st

from gpuyard.dialects.documents import read
from gpuyard.lint.fix.places import apply
from gpuyard.lint.fix.tree import trees
from gpuyard.lint.fix.values import CannotEditError, edited
from gpuyard.lint.rule import Append, Remove, Set

KEYS = st.sampled_from(["a", "b", "spec", "nvidia.com/gpu", "on", "1", "ä ö", "x: y", "#", ""])
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def written(value, style):
    """Write `value` in one of the ways that people and programs do."""
    if style == "json":
        return json.dumps(value, ensure_ascii=False)
    if style == "wide json":
        return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    flow = {"block": False, "mixed": None, "flow": True}[style]
    return yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from paths(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from paths(one, (*path, number))


@st.composite
def edits(draw, value):
    path = draw(st.sampled_from(list(paths(value))))
    kind = draw(st.sampled_from(["set", "append", "remove", "new"]))
    if kind == "remove" and path:
        return Remove(path)
    deeper = (*path, *draw(st.lists(KEYS, min_size=0 if path else 1, max_size=2)))
    new = draw(VALUES)
    return Append(deeper, new) if kind == "append" else Set(deeper, new)


@given(
    data=st.data(),
    value=OBJECTS,
    style=st.sampled_from(["block", "mixed", "flow", "json", "wide json"]),
)
def test_a_text_says_what_the_edit_means_or_is_left_alone(data, value, style):
    text = written(value, style)
    (documents, problems) = read(text, "a.yaml")
    if problems or [one.value for one in documents] != [value]:
        return  # a style in which this value does not survive by itself
    edit = data.draw(edits(value))
    try:
        expected = edited(value, [edit])
        result = apply(text, trees(text)[0], [edit])
    except CannotEditError:
        return
    again = read(result, "a.yaml")
    assert [one.value for one in again.documents] == [expected], result
    assert not again.problems
