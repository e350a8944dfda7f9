"""Edits in a text: what is written where, and what is refused."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint.fix.places import apply
from gpuyard.lint.fix.tree import trees
from gpuyard.lint.fix.values import CannotEditError, edited
from gpuyard.lint.rule import Append, Remove, Set

LIMIT = ("resources", "limits", "nvidia.com/gpu")
SHM = {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}


def rewritten(text, *edits):
    """Edit a text of one document, and hold the result to what the edits mean."""
    ((document,), problems) = read(text, "a.yaml")
    assert not problems
    result = apply(text, trees(text)[0], edits)
    ((again,), problems) = read(result, "a.yaml")
    assert not problems
    assert again.value == edited(document.value, edits)
    return result


CASES = {
    "a key behind the last one": (
        "a: 1\nb: 2\n",
        [Set(("c",), 3)],
        "a: 1\nb: 2\nc: 3\n",
    ),
    "behind the comment of the last line": (
        "a: 1  # one\n# the end\n",
        [Set(("b",), 2)],
        "a: 1  # one\nb: 2\n# the end\n",
    ),
    "a text without a last line end": ("a: 1", [Set(("b",), 2)], "a: 1\nb: 2"),
    "before the next document": ("a: 1\n---\n", [Set(("b",), 2)], "a: 1\nb: 2\n---\n"),
    "in an inner mapping": (
        "a:\n    b: 1\nc: 2\n",
        [Set(("a", "d"), "x")],
        "a:\n    b: 1\n    d: x\nc: 2\n",
    ),
    "mappings on the way are made": (
        "a:\n  resources:\n    requests:\n      cpu: 1\n",
        [Set(("a", *LIMIT), 1)],
        "a:\n  resources:\n    requests:\n      cpu: 1\n    limits:\n      nvidia.com/gpu: 1\n",
    ),
    "in an item of a list": (
        "a:\n- b: 1\n- b: 2\nc: 3\n",
        [Set(("a", 0, "d"), 4)],
        "a:\n- b: 1\n  d: 4\n- b: 2\nc: 3\n",
    ),
    "behind a list": ("a:\n- 1\n- 2\n", [Set(("b",), 3)], "a:\n- 1\n- 2\nb: 3\n"),
    "behind a literal text": (
        "a: |\n  one\n  two\n",
        [Set(("b",), 2)],
        "a: |\n  one\n  two\nb: 2\n",
    ),
    "behind a folded text and its blank lines": (
        "x:\n  a: >-\n    one\n\n    two\n\n\nw: 1\n",
        [Set(("x", "b"), 2)],
        "x:\n  a: >-\n    one\n\n    two\n\n\n  b: 2\nw: 1\n",
    ),
    "behind a quoted text over two lines": (
        "x:\n  a: 'one\n    two'\nw: 1\n",
        [Set(("x", "b"), 2)],
        "x:\n  a: 'one\n    two'\n  b: 2\nw: 1\n",
    ),
    "behind a key without a value": ("x:\n  a:\n", [Set(("x", "b"), 2)], "x:\n  a:\n  b: 2\n"),
    "behind an alias": (
        "x: &x {q: 1}\nw:\n  a: *x\nz: 1\n",
        [Set(("w", "b"), 2)],
        "x: &x {q: 1}\nw:\n  a: *x\n  b: 2\nz: 1\n",
    ),
    "a key over what a merge brought": (
        "x: &x\n  q: 1\nw:\n  <<: *x\n  a: 1\n",
        [Set(("w", "q"), 2)],
        "x: &x\n  q: 1\nw:\n  <<: *x\n  a: 1\n  q: 2\n",
    ),
    "in brackets": (
        "a: {b: 1}  # one\n",
        [Set(("a", "c"), {"d": [1]})],
        "a: {b: 1, c: {d: [1]}}  # one\n",
    ),
    "in brackets that are empty": ("a: {}\n", [Set(("a", "c"), 1)], "a: {c: 1}\n"),
    "in brackets over several lines": (
        "a: {\n  b: 1,\n  c: 2\n}\n",
        [Set(("a", "d"), 3)],
        "a: {\n  b: 1,\n  c: 2,\n  d: 3\n}\n",
    ),
    "in JSON": (
        '{\n  "a": {\n    "b": 1\n  }\n}\n',
        [Set(("a", "c"), {"d": True})],
        '{\n  "a": {\n    "b": 1,\n    "c": {"d": true}\n  }\n}\n',
    ),
    "in JSON on one line": ('{"a": {"b": 1}}', [Set(("c",), None)], '{"a": {"b": 1}, "c": null}'),
    "a value of null, not written": (
        "a:  # none yet\nb: 1\n",
        [Set(("a", "c"), 1)],
        "a:  # none yet\n  c: 1\nb: 1\n",
    ),
    "a value of null, written": ("a: null\nb: 1\n", [Set(("a", "c"), 1)], "a: \n  c: 1\nb: 1\n"),
    "a value of null in brackets": (
        "a: {b: null}\n",
        [Set(("a", "b", "c"), 1)],
        "a: {b: {c: 1}}\n",
    ),
    "another value": ("a: 1  # one\n", [Set(("a",), "2Gi")], "a: 2Gi  # one\n"),
    "another value in quotes": ('a: "1"\n', [Set(("a",), True)], "a: true\n"),
    "a value where none was": ("a:\nb: 1\n", [Set(("a",), 2)], "a: 2\nb: 1\n"),
    "a text that would be read as something else": (
        "a: 1\n",
        [Set(("b",), "yes"), Set(("c",), "1e3"), Set(("d",), "x: y"), Set(("e",), "ä #1")],
        'a: 1\nb: "yes"\nc: "1e3"\nd: "x: y"\ne: "ä #1"\n',
    ),
    "an item behind the last one": (
        "volumes:\n  - name: data\nother: 1\n",
        [Append(("volumes",), SHM)],
        """\
volumes:
  - name: data
  - name: dshm
    emptyDir:
      medium: Memory
      sizeLimit: 8Gi
other: 1
""",
    ),
    "an item in a list without indentation": (
        "a:\n- 1\nb: 2\n",
        [Append(("a",), [3, {"c": 4}])],
        "a:\n- 1\n- - 3\n  - c: 4\nb: 2\n",
    ),
    "an item in brackets": ("a: [1, 2]\n", [Append(("a",), {"b": 3})], "a: [1, 2, {b: 3}]\n"),
    "an item in empty brackets": ("a: []\n", [Append(("a",), 1)], "a: [1]\n"),
    "an item in brackets over several lines": (
        '{"a": [\n  "x"\n]}\n',
        [Append(("a",), {"b": "c"})],
        '{"a": [\n  "x",\n  {"b": "c"}\n]}\n',
    ),
    "a list that is missing": ("a: 1\n", [Append(("b", "c"), "x")], "a: 1\nb:\n  c:\n    - x\n"),
    "a list that is null": ("a:\nb: 1\n", [Append(("a",), "x")], "a:\n  - x\nb: 1\n"),
    "two edits that end in one place": (
        "spec:\n  containers:\n    - name: a\n      image: b\n",
        [Append(("spec", "volumes"), SHM), Append(("spec", "containers", 0, "volumeMounts"), 1)],
        """\
spec:
  containers:
    - name: a
      image: b
      volumeMounts:
        - 1
  volumes:
    - name: dshm
      emptyDir:
        medium: Memory
        sizeLimit: 8Gi
""",
    ),
    "lines that end as in DOS": (
        "a:\r\n  b: 1\r\n",
        [Set(("a", "c"), [1])],
        "a:\r\n  b: 1\r\n  c:\r\n    - 1\r\n",
    ),
    "a key is removed": ("a: 1\nb: 2  # two\nc: 3\n", [Remove(("b",))], "a: 1\nc: 3\n"),
    "a key is removed with all below it": (
        "a: 1\nb:\n  - c:\n      d: |\n        e\n",
        [Remove(("b",))],
        "a: 1\n",
    ),
    "the last key of a text without a last line end": ("a: 1\nb: 2", [Remove(("b",))], "a: 1\n"),
    "an anchor stays": (
        "a: &x\n  b: 1\nc: *x\n",
        [Set(("d",), 2)],
        "a: &x\n  b: 1\nc: *x\nd: 2\n",
    ),
}


@pytest.mark.parametrize(("text", "edits", "expected"), CASES.values(), ids=CASES)
def test_what_is_written_where(text, edits, expected):
    assert rewritten(text, *edits) == expected


REFUSED = {
    "behind an alias": ("a: &x {b: 1}\nc: *x\n", Set(("c", "d"), 1)),
    "an alias itself": ("a: &x {b: 1}\nc: *x\n", Set(("c",), 1)),
    "below a number": ("a: 1\n", Set(("a", "b"), 1)),
    "below a text": ("a: text\n", Append(("a", "b"), 1)),
    "a mapping in several lines": ("a:\n  b: 1\n", Set(("a",), 1)),
    "a text in several lines": ("a: |\n  b\n", Set(("a",), 1)),
    "an item that is not there": ("a: [1]\n", Set(("a", 1), 2)),
    "an item by name": ("a: [1]\n", Set(("a", "b"), 2)),
    "a list with an anchor": ("a: &x\n  - 1\n", Append(("a",), 2)),
    "what is not there cannot go": ("a: 1\n", Remove(("b",))),
    "nor in brackets": ("a: {b: 1, c: 2}\n", Remove(("a", "b"))),
    "nor what is alone": ("a:\n  b: 1\n", Remove(("a", "b"))),
    "nor what shares its line": ("a:\n- b: 1\n  c: 2\n", Remove(("a", 0, "b"))),
    "a comment in the way": ("a: null  # why\n", Set(("a", "b"), 1)),
}


@pytest.mark.parametrize(("text", "edit"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_in_place_is_refused(text, edit):
    (root,) = trees(text)
    with pytest.raises(CannotEditError) as error:
        apply(text, root, [edit])
    assert "\n" not in str(error.value)


def test_two_edits_of_one_value_are_refused():
    (root,) = trees("a: 1\n")
    with pytest.raises(CannotEditError, match="two changes meet"):
        apply("a: 1\n", root, [Set(("a",), 2), Set(("a",), 3)])


# --- What an edit means -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "edit", "expected"),
    [
        ({"a": {"b": 1}}, Set(("a", "b"), 2), {"a": {"b": 2}}),
        ({}, Set(("a", "b"), 2), {"a": {"b": 2}}),
        ({"a": None}, Set(("a", "b"), 2), {"a": {"b": 2}}),
        ({"a": [1, 2]}, Set(("a", 1), 3), {"a": [1, 3]}),
        ({"a": [1]}, Append(("a",), 2), {"a": [1, 2]}),
        ({}, Append(("a", "b"), 2), {"a": {"b": [2]}}),
        ({"a": 1, "b": 2}, Remove(("a",)), {"b": 2}),
        ({"a": [1, 2]}, Remove(("a", 0)), {"a": [2]}),
    ],
)
def test_edited(value, edit, expected):
    before = repr(value)
    assert edited(value, [edit]) == expected
    assert repr(value) == before


@pytest.mark.parametrize(
    ("value", "edit"),
    [
        ({"a": 1}, Set(("a", "b"), 2)),
        ({"a": [1]}, Set(("a", 1), 2)),
        ({"a": [1]}, Set(("a", "b"), 2)),
        ({"a": {"b": 1}}, Append(("a", "b"), 2)),
        ({"a": 1}, Append(("a", "b"), 2)),
        ({}, Remove(("a",))),
        ({"a": [1]}, Remove(("a", 3))),
    ],
)
def test_an_edit_without_meaning_is_refused(value, edit):
    with pytest.raises(CannotEditError):
        edited(value, [edit])


def test_what_an_alias_shares_is_no_longer_shared():
    shared = {"b": 1}
    assert edited({"a": shared, "c": shared}, [Set(("c", "b"), 2)]) == {
        "a": {"b": 1},
        "c": {"b": 2},
    }
