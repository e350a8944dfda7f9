"""JSON as documents: one value, many, Lists, and what breaks."""

import json

import pytest

from gpuyard.dialects.documents import Limits, read


def values(text):
    found = read(text, "f")
    assert found.problems == []
    return [document.value for document in found.documents]


A = {"kind": "A", "apiVersion": "v1"}
B = {"kind": "B", "apiVersion": "v1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(json.dumps(A), [A], id="one object"),
        pytest.param("\n\t " + json.dumps(A) + "\r\n", [A], id="blanks around it"),
        pytest.param(json.dumps(A) + "\n" + json.dumps(B) + "\n", [A, B], id="one on each line"),
        pytest.param(json.dumps(A) + json.dumps(B), [A, B], id="one behind the other"),
        pytest.param(json.dumps(A) + "\n---\n" + json.dumps(B), [A, B], id="YAML's separator"),
        pytest.param(json.dumps([A, B]), [A, B], id="an array of objects"),
        pytest.param(json.dumps({"kind": "List", "items": [A, B]}), [A, B], id="a List"),
        pytest.param(json.dumps({"items": [A], "kind": "List"}), [A], id="items before the kind"),
        pytest.param(json.dumps({"kind": "List", "items": []}), [], id="an empty List"),
        pytest.param(
            json.dumps({"kind": "List", "items": [{"kind": "List", "items": [A]}, B]}),
            [A, B],
            id="a List in a List",
        ),
        pytest.param(
            json.dumps({"kind": "NodeList", "apiVersion": "v1", "items": [{"x": 1}]}),
            [{"apiVersion": "v1", "kind": "Node", "x": 1}],
            id="a typed list names the kind of its items",
        ),
        pytest.param(
            json.dumps({"kind": "List", "items": 3}), [{"kind": "List", "items": 3}], id="no List"
        ),
        pytest.param('{"a": "\\ud83d\\ude42 \\u00e9"}', [{"a": "🙂 é"}], id="escapes"),
        pytest.param(
            '{"a": "yes", "b": 1.0, "c": 1e3}',
            [{"a": "yes", "b": 1.0, "c": 1000.0}],
            id="as written",
        ),
        pytest.param('{"a": 18446744073709551615}', [{"a": 2**64 - 1}], id="64 bits"),
        pytest.param('{"a": [18446744073709551616]}', [{"a": [2.0**64]}], id="more are a float"),
        pytest.param('{"a": NaN}', [{"a": "NaN"}], id="a word that is no number"),
        pytest.param("{a: b}", [{"a": "b"}], id="a flow mapping is YAML"),
        pytest.param('{"a": b, # c\n}', [{"a": "b"}], id="so are comments and bare words"),
    ],
)
def test_documents(text, expected):
    assert values(text) == expected
    assert values(text.encode()) == expected


def test_json_keeps_whether_a_number_has_a_fraction():
    (document,) = values('{"a": 1.0}')
    assert isinstance(document["a"], float)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": [1, 2', (1, 11, "syntax"), id="truncated"),
        pytest.param('{"a": "x', (1, 8, "syntax"), id="truncated in a string"),
        pytest.param('{"a" 1}', (1, 6, "syntax"), id="no colon"),
        pytest.param('{"a": 1}\n{"b": }', (2, 7, "syntax"), id="the second of two"),
        pytest.param('{"a": 1} x', (1, 10, "syntax"), id="something behind it"),
        pytest.param('{"a": 1e999}', (1, 7, "number"), id="a number beyond floats"),
        pytest.param('{"a": -1e999}', (1, 7, "number"), id="a negative one"),
        pytest.param('{"a": ' + "9" * 5000 + "}", (1, 7, "number"), id="thousands of digits"),
        pytest.param("[1, 2]", (1, 1, "not-a-mapping"), id="an array of other things"),
        pytest.param('{"kind": "List", "items": [3]}', (1, 28, "not-a-mapping"), id="an item"),
        pytest.param("[" * 300 + "]" * 300, (1, 257, "too-deep"), id="deep"),
        pytest.param("[\n" * 5000, (257, 1, "too-deep"), id="deep and broken"),
    ],
)
def test_problem(text, expected):
    (problem,) = read(text, "f").problems
    assert (problem.position.line, problem.position.column, problem.code) == expected
    assert not problem.is_read


def test_bytes_that_are_no_utf8_are_named():
    (problem,) = read(b'{"a": 1,\n "b": "x\xff"}', "f").problems
    assert problem.message == "the byte 0xff is no UTF-8"
    assert (problem.position.line, problem.position.column) == (2, 9)


def test_what_stands_before_a_broken_value_is_kept():
    found = read(json.dumps(A) + "\n" + json.dumps(B)[:-5], "f")
    assert [document.value for document in found.documents] == [A]
    assert [problem.position.line for problem in found.problems] == [2]


def test_a_broken_item_leaves_those_around_it():
    deep = "[" * 300 + "]" * 300
    text = f'{{"kind": "List", "items": [\n{json.dumps(A)},\n{{"x": {deep}}},\n{json.dumps(B)}]}}'
    found = read(text, "f")
    assert [document.value for document in found.documents] == [A, B]
    assert [(p.position.line, p.code) for p in found.problems] == [(3, "too-deep")]
    assert found.documents[1].position(("kind",)).line == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": 1,\n"a": 2}', [(2, 1)], id="at the top"),
        pytest.param('{"b": {"a": 1, "a": 2}}', [(1, 16)], id="below"),
        pytest.param('{"a": 1, "\\u0061": 2}', [(1, 10)], id="written in two ways"),
        pytest.param('{"a\\"": 1, "a": 2}', [], id="two keys with a quote"),
        pytest.param('{"a": "a\\": 1", "b": "\\"a\\":"}', [], id="keys inside strings"),
        pytest.param('{"a" \n : 1, "b"\t: {"a": 1}}', [], id="blanks before the colon"),
        pytest.param('{"kind": "List",\n"items": [{"b": 1, "b": 2}]}', [(2, 20)], id="in an item"),
        pytest.param(
            '{"kind": "List", "x": 1,\n"items": [{"b": 1}, {"c": 2}],\n"x": 2}',
            [(3, 1)],
            id="in a List, behind its items",
        ),
        pytest.param(
            '{"kind": "List",\n"items": [{"b": 1}],\n"x": 1,\n"x": 2}',
            [(4, 1)],
            id="in a List, twice behind its items",
        ),
        pytest.param(
            '{"kind": "List",\n"kind": "List", "items": [{"b": 1}]}',
            [(2, 1)],
            id="in a List, before its items",
        ),
    ],
)
def test_a_key_that_stands_twice_is_named(text, expected):
    found = read(text, "f")
    assert found.documents
    assert [(p.position.line, p.position.column) for p in found.problems] == expected
    assert all(p.code == "duplicate-key" and p.is_read for p in found.problems)


def test_a_double_key_says_where_the_first_is():
    (problem,) = read('\n{"x": 0,\n "a": 1,\n "a": 2}', "f").problems
    assert problem.message == (
        "'a' stands twice in one mapping, and the last counts (first in line 3)"
    )


def test_a_double_key_behind_the_items_of_a_list_says_where_the_first_is():
    text = '{"kind": "List",\n"items": [{"b": 1},\n{"b": 1}],\n"x": 1,\n"x": 2}'
    (problem,) = read(text, "f").problems
    assert problem.message.endswith("(first in line 4)")


def test_a_text_that_is_too_large_is_refused_by_name():
    limits = Limits(json_size_max=2 * 2**20, yaml_size_max=2**20)
    (problem,) = read('{"a": "' + "x" * 2**21 + '"}', "f", limits=limits).problems
    assert problem.message == "the text has 2.0 MiB; JSON is read up to 2 MiB; split it"
    (problem,) = read("a: " + "x" * 2**20, "f", limits=limits).problems
    assert problem.message == "the text has 1.0 MiB; YAML is read up to 1 MiB; split it"
    (problem,) = read("{" + "x" * 2**20, "f", limits=limits).problems
    assert problem.code == "syntax"  # between the limits: no YAML is tried
