"""Where a value is written, and which comments silence a rule."""

import json

import pytest
import yaml

from gpuyard.dialects.documents import Position, read

POD = """\
# a comment
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {"app": "x y"}}
spec:
  containers:
  - name: main
    image: nvcr.io/x:1
    args: [a, "b"]
  -
    name: säcond
    env:
      - {name: A, value: "1"}
"""


def only(text):
    (document,) = read(text, "f").documents
    return document


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), (2, 1), (2, 1)),
        (("kind",), (3, 1), (3, 7)),
        (("metadata",), (4, 1), (4, 11)),
        (("metadata", "name"), (4, 12), (4, 18)),
        (("metadata", "labels", "app"), (4, 30), (4, 37)),
        (("spec",), (5, 1), (6, 3)),
        (("spec", "containers"), (6, 3), (7, 3)),
        (("spec", "containers", 0), (7, 5), (7, 5)),
        (("spec", "containers", 0, "image"), (8, 5), (8, 12)),
        (("spec", "containers", 0, "args", 1), (9, 15), (9, 15)),
        (("spec", "containers", 1), (11, 5), (11, 5)),
        (("spec", "containers", 1, "name"), (11, 5), (11, 11)),
        (("spec", "containers", 1, "env", 0, "value"), (13, 19), (13, 26)),
    ],
)
def test_position(path, key, value):
    document = only(POD)
    assert document.position(path) == Position(*key)
    assert document.position(path, of="value") == Position(*value)


@pytest.mark.parametrize(
    ("path", "deepest"),
    [
        (("spec", "containers", 0, "resources", "limits"), ("spec", "containers", 0)),
        (("spec", "containers", 7, "image"), ("spec", "containers")),
        (("spec", "containers", -1), ("spec", "containers")),
        (("spec", "containers", "image"), ("spec", "containers")),
        (("kind", "x"), ("kind",)),
        (("metadata", 0), ("metadata",)),
        (("nothing", "of", "it"), ()),
    ],
)
def test_a_path_that_leads_nowhere_ends_at_the_deepest_part_that_is_there(path, deepest):
    document = only(POD)
    assert document.position(path) == document.position(deepest)


def test_the_same_in_json_in_the_lines_of_its_own_text():
    value = only(POD).value
    text = "\n" + json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    lines = text.split("\n")
    document = only(text)
    for path, key in {
        ("kind",): '"kind"',
        ("metadata", "labels", "app"): '"app"',
        ("spec", "containers", 1, "name"): '"name": "säcond"',
        ("spec", "containers", 1, "env", 0, "value"): '"value"',
    }.items():
        at = document.position(path)
        assert lines[at.line - 1][at.column - 1 :].startswith(key)
    at = document.position(("spec", "containers", 1, "name"), of="value")
    assert lines[at.line - 1][at.column - 1 :].startswith('"säcond"')


def test_columns_count_characters_in_both_languages():
    for text in ('{"ä": "🙂", "b": 1}', "{ä: 🙂,     b: 1}", '\ufeff{"ä": "🙂", "b": 1}'):
        assert only(text.encode()).position(("b",)) == Position(1, 12)
        assert only(text).position(("b",)) == Position(1, 12)


def test_every_place_is_the_one_that_libyaml_composes():
    """The places built from events are those of the node tree, for every value of a document."""

    def walk(node, path):
        yield path, node.start_mark
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from walk(value, (*path, index))

    document = only(POD)
    checked = list(walk(yaml.compose(POD, Loader=yaml.CSafeLoader), ()))
    assert len(checked) == 21
    for path, mark in checked:
        found = document.position(path, of="value")
        assert (found.line, found.column) == (mark.line + 1, mark.column + 1)


def test_documents_count_lines_from_the_top_of_the_file():
    text = "a: 1\n---\n\nb:\n  c: 2\n--- {d: 3}\n"
    first, second, third = read(text, "f").documents
    assert first.position(("a",)) == Position(1, 1)
    assert second.position(("b", "c")) == Position(5, 3)
    assert third.position(("d",)) == Position(6, 6)


def test_documents_of_one_piece_have_places_of_their_own():
    first, second = read("a: 1\r---\rb: {c: 2}\r", "f").documents  # not cut: only \n ends a line
    assert first.position(("a",)) == Position(1, 1)
    assert second.position(("b", "c")) == Position(1, 14)


LIST = """\
kind: PodList
apiVersion: v1
items:
- metadata: {name: a}
- metadata:
    name: b
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LIST, id="YAML"),
        pytest.param(
            '{"kind": "PodList",\n"apiVersion": "v1",\n"items": [\n  {"metadata": {"name": "a"}},\n'
            '  {"metadata":\n    {"name": "b"}}]}',
            id="JSON",
        ),
    ],
)
def test_an_item_of_a_list_answers_with_places_in_the_file(text):
    first, second = read(text, "f").documents
    assert first.position(("metadata", "name")).line == 4
    assert second.position(("metadata", "name")).line == 6
    assert second.position().line == 5
    assert second.position(("kind",)) == second.position()  # nobody wrote it


def test_what_an_alias_or_a_merge_brings_is_where_it_was_written():
    document = only("base: &b\n  x: 1\na: *b\nc:\n  <<: *b\n  z: 2\n")
    assert document.position(("a",)) == Position(3, 1)
    assert document.position(("a",), of="value") == Position(1, 7)
    assert document.position(("a", "x")) == Position(2, 3)
    assert document.position(("c", "x")) == Position(2, 3)
    assert document.position(("c", "z")) == Position(6, 3)


def test_the_last_of_two_equal_keys_is_where_its_value_is():
    for text in ("a: 1\na: 2\n", '{"a": 1,\n"a": 2}'):
        assert only(text).position(("a",)).line == 2


@pytest.mark.parametrize(
    ("text", "title", "is_object"),
    [
        ("kind: Pod\napiVersion: v1\n", "Pod", True),
        ("kind: Pod\napiVersion: v1\nmetadata: {name: a}\n", "Pod a", True),
        ("kind: Pod\napiVersion: v1\nmetadata: {name: a, namespace: b}\n", "Pod b/a", True),
        ("kind: Pod\n", "", False),
        ("kind: 3\napiVersion: v1\n", "", False),
        ("replicas: 1\n", "", False),
    ],
)
def test_title(text, title, is_object):
    document = only(text)
    assert (document.title, document.is_object) == (title, is_object)
    assert repr(document) == f"Document(f, {title})"


COMMENTS = """\
# gpuyard:ignore GPU-SHM: above the document
kind: Pod
apiVersion: v1
spec:
  a: b # gpuyard:ignore GPU-A,GPU-B: two of them
  c: "# gpuyard:ignore NO-1: inside quotes"
  d: 'x # gpuyard:ignore NO-2: inside single quotes'
  e: |  # gpuyard:ignore GPU-C: behind the bar
    # gpuyard:ignore NO-3: inside a block
  f: x# gpuyard:ignore NO-4
  g: [a, # gpuyard:ignore GPU-D : inside brackets
      b]
  h: plain
    text # gpuyard:ignore GPU-E
    # gpuyard:ignore GPU-F, GPU-G:   blanks around
  i: >-
    text

    # gpuyard:ignore NO-5: folded
  ## gpuyard:ignore
---
j: "two
  # gpuyard:ignore NO-6: lines"
# gpuyard:ignore GPU-H: it: has colons
"""


def test_suppressions_are_comments_only():
    found = read(COMMENTS, "f").documents[0].suppressions
    assert {line: (each.rules, each.reason) for line, each in found.items()} == {
        1: (("GPU-SHM",), "above the document"),
        5: (("GPU-A", "GPU-B"), "two of them"),
        8: (("GPU-C",), "behind the bar"),
        11: (("GPU-D",), "inside brackets"),
        14: (("GPU-E",), ""),
        15: (("GPU-F", "GPU-G"), "blanks around"),
        20: ((), ""),
        24: (("GPU-H",), "it: has colons"),
    }
    assert found[5].position == Position(5, 8)


def test_all_documents_of_a_file_know_its_suppressions():
    first, second = read("a: 1\n# gpuyard:ignore X: y\n---\nb: 2\n", "f").documents
    assert first.suppressions is second.suppressions
    assert list(first.suppressions) == [2]


def test_a_broken_piece_keeps_its_comments_and_json_has_none():
    (document,) = read("a: 1\n---\n# gpuyard:ignore X: y\nb: [\n", "f").documents
    assert list(document.suppressions) == [3]
    assert only('{"a": "# gpuyard:ignore X: y"}').suppressions == {}
