"""YAML as documents: anchors, merge keys, double keys, separators, and what breaks."""

import doctest

import pytest
import yaml

from gpuyard.dialects import documents
from gpuyard.dialects.documents import Limits, read, yaml_reader


def values(text, **limits):
    found = read(text, "f", limits=Limits(**limits))
    assert found.problems == []
    return [document.value for document in found.documents]


def problems(text, **limits):
    """Return line, column and code of each problem."""
    found = read(text, "f", limits=Limits(**limits)).problems
    return [(p.position.line, p.position.column, p.code) for p in found]


def test_the_example_at_the_head_of_the_room_is_true():
    assert doctest.testmod(documents).failed == 0
    assert doctest.testmod(documents).attempted >= 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}, id="an alias is its anchor"),
        pytest.param("a: &x 1\nb: *x\n", {"a": 1, "b": 1}, id="of a single value too"),
        pytest.param("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}, id="of a key too"),
        pytest.param("a: &k c\n*k : 1\n", {"a": "c", "c": 1}, id="as a key"),
        pytest.param(
            "a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}, id="the last anchor counts"
        ),
        pytest.param(
            "a: &x {b: &x {c: 1}}\nd: *x\n",
            {"a": {"b": {"c": 1}}, "d": {"c": 1}},
            id="the one that begins last, not the one that ends last",
        ),
        pytest.param(
            "b: &b {p: 1, q: 2}\nd:\n  <<: *b\n  q: 3\n",
            {"b": {"p": 1, "q": 2}, "d": {"p": 1, "q": 3}},
            id="what stands below a merge overrides it",
        ),
        pytest.param(
            "b: &b {p: 1, q: 2}\nd:\n  q: 3\n  <<: *b\n",
            {"b": {"p": 1, "q": 2}, "d": {"p": 1, "q": 2}},
            id="what stands above a merge is overridden, as in Go",
        ),
        pytest.param(
            "m: &m {a: 1}\no: &o {a: 2, b: 3}\nd: {<<: [*m, *o]}\n",
            {"m": {"a": 1}, "o": {"a": 2, "b": 3}, "d": {"a": 1, "b": 3}},
            id="of several merged mappings the first counts",
        ),
        pytest.param("<<: {a: 1}\nb: 2\n", {"a": 1, "b": 2}, id="a mapping merged in place"),
        pytest.param('"<<": {a: 1}\n', {"<<": {"a": 1}}, id="a quoted << is a key like any other"),
        pytest.param(
            "a: {b: c, d: [e, f: g]}\n", {"a": {"b": "c", "d": ["e", {"f": "g"}]}}, id="flow"
        ),
        pytest.param(
            "a: |\n  x\n  # y\nb: >-\n  x\n  y\n", {"a": "x\n# y\n", "b": "x y"}, id="blocks"
        ),
        pytest.param("? a\n: b\n", {"a": "b"}, id="an explicit key"),
        pytest.param(
            "%YAML 1.1\n---\na: b\n", {"a": "b"}, id="a directive belongs to its document"
        ),
        pytest.param("# c\n\n--- # c\na: b\n...\n", {"a": "b"}, id="comments and an end mark"),
        pytest.param("\ufeffa: b\n", {"a": "b"}, id="a byte order mark"),
        pytest.param("a: b\r\nc:\r\n- d\r\n", {"a": "b", "c": ["d"]}, id="lines that end in CRLF"),
        pytest.param("a: '---'\nb: ---c\n", {"a": "---", "b": "---c"}, id="dashes in a text"),
        pytest.param("a: |\n  ---\n  x\n", {"a": "---\nx\n"}, id="a separator inside a block"),
    ],
)
def test_value(text, expected):
    assert values(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("# only a comment\n---\n---\n", [], id="empty documents"),
        pytest.param("null\n---\n~\n", [], id="null is no document"),
        pytest.param("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}], id="two documents"),
        pytest.param("a: 1\n--- {b: 2}\n", [{"a": 1}, {"b": 2}], id="on the line of the separator"),
        pytest.param("a: 1\n...\n---\nb: 2\n", [{"a": 1}, {"b": 2}], id="ended and separated"),
        pytest.param("a: 1\r\n---\r\nb: 2\r\n", [{"a": 1}, {"b": 2}], id="CRLF"),
        pytest.param(
            "a: &x 1\n---\na: 2\n", [{"a": 1}, {"a": 2}], id="anchors end with a document"
        ),
        pytest.param(
            "kind: List\napiVersion: v1\nitems:\n- {kind: A, apiVersion: v1}\n- {x: 1}\n",
            [{"kind": "A", "apiVersion": "v1"}, {"x": 1}],
            id="a List is its items",
        ),
        pytest.param(
            "kind: PodList\napiVersion: v1\nitems: [{metadata: {name: p}}]\n",
            [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}],
            id="a typed list names the kind of its items",
        ),
        pytest.param(
            "kind: List\nitems:\n- {kind: List, items: [{kind: A, apiVersion: v1}]}\n",
            [{"kind": "A", "apiVersion": "v1"}],
            id="a List in a List",
        ),
        pytest.param("kind: List\nitems: []\n", [], id="an empty List"),
        pytest.param(
            "kind: List\nitems:\n- [{kind: A, apiVersion: v1}]\n",
            [{"kind": "A", "apiVersion": "v1"}],
            id="an array in a List",
        ),
        pytest.param(
            "kind: AllowList\nitems: 3\n", [{"kind": "AllowList", "items": 3}], id="no List"
        ),
        pytest.param(
            "[{kind: A, apiVersion: v1}, {kind: B, apiVersion: v1}]\n",
            [{"kind": "A", "apiVersion": "v1"}, {"kind": "B", "apiVersion": "v1"}],
            id="an array of objects",
        ),
    ],
)
def test_documents(text, expected):
    assert values(text) == expected


def test_lists_in_lists_end_somewhere():
    text = "{kind: List, items: [" * 20 + "{a: 1}" + "]}" * 20
    (document,) = read(text, "f").documents
    assert document.kind == "List"
    assert document.position(("items", 0)).column == 21 * 10 + 1


def test_aliases_share_one_value_with_their_anchor():
    ((first),) = values("a: &x {b: 1}\nc: *x\n")
    assert first["a"] is first["c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", [(3, 1)], id="at the second"),
        pytest.param("x:\n- a: 1\n  'a': 2\n", [(3, 3)], id="quoted or not"),
        pytest.param("a: 1\na: 2\na: 3\n", [(2, 1), (3, 1)], id="each more"),
        pytest.param("1: a\n'1': b\n", [(2, 1)], id="a number and its text are one key"),
        pytest.param("b: &b {p: 1}\nd: {<<: *b, p: 2}\n", [], id="overriding a merge is no double"),
        pytest.param(
            "b: &b {p: 1}\nd: {<<: *b, p: 2, p: 3}\n", [(2, 19)], id="but twice below it is"
        ),
        pytest.param(
            "b: &b {p: 1}\nd: {p: 2, <<: *b, p: 3}\n", [(2, 19)], id="above and below too"
        ),
    ],
)
def test_a_key_that_stands_twice_is_named_and_the_last_counts(text, expected):
    found = read(text, "f")
    assert len(found.documents) == 1
    assert all(p.is_read for p in found.problems)
    assert [(p.position.line, p.position.column) for p in found.problems] == expected


def test_a_double_key_says_where_the_first_is():
    (problem,) = read("x: 1\nz:\n  image: a\n  name: b\n  image: c\n", "pod.yaml").problems
    assert problem.source == "pod.yaml"
    assert (
        problem.message
        == "'image' stands twice in one mapping, and the last counts (first in line 3)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: [1, 2\n", (1, 4, "syntax"), id="a bracket that is never closed"),
        pytest.param('a: 1\nb: "x\n', (2, 4, "syntax"), id="a quote that is never closed"),
        pytest.param("  a: 1\nb: 2\n", (2, 1, "syntax"), id="an indentation that shrinks"),
        pytest.param("a: 1\n  b: 2\n", (2, 4, "syntax"), id="an indentation that grows"),
        pytest.param("a:\n\tb: c\n", (2, 1, "syntax"), id="a tab"),
        pytest.param("a: b: c\n", (1, 5, "syntax"), id="two colons"),
        pytest.param("a: @b\n", (1, 4, "syntax"), id="a character that begins nothing"),
        pytest.param("a: - b\n", (1, 4, "syntax"), id="a list on the line of its key"),
        pytest.param("a: *b\n", (1, 4, "alias"), id="an alias without an anchor"),
        pytest.param("a: &a [*a]\n", (1, 8, "alias"), id="an alias inside its own anchor"),
        pytest.param("a: &a\n  b: *a\n", (2, 6, "alias"), id="the same in a mapping"),
        pytest.param("? [a]\n: b\n", (1, 3, "key"), id="a list as a key"),
        pytest.param("? {a: b}\n: c\n", (1, 3, "key"), id="a mapping as a key"),
        pytest.param("a: &a []\n*a : 1\n", (2, 1, "key"), id="a list as a key by an alias"),
        pytest.param("<<: 3\n", (1, 5, "key"), id="a merge with a number"),
        pytest.param("<<: [{a: 1}, 3]\n", (1, 5, "key"), id="a merge with a list of other things"),
        pytest.param("a: b\n\x07\n", (2, 1, "encoding"), id="a control character"),
        pytest.param("a: \ud800\n", (1, 4, "encoding"), id="half a surrogate pair"),
        pytest.param("- a\n", (1, 1, "not-a-mapping"), id="a list"),
        pytest.param("\n\nhello\n", (3, 1, "not-a-mapping"), id="a single value"),
        pytest.param("%FOO\n--- a\n", (1, 5, "syntax"), id="an unknown directive"),
    ],
)
def test_problem(text, expected):
    assert problems(text) == [expected]
    assert read(text, "f").documents == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\n", "this bracket is never closed"),
        ("a: [1 2: 3: 4]\n", "a comma or a closing bracket is missing before this"),
        ("a: {b: 1\nc: 2\n", "a comma or a closing brace is missing before this"),
        ('a: "b\n', "this quote is never closed"),
        ("a: b: c\n", "a second key in one value; check the indentation, or quote a text"),
        ("  a: b\nc: d\n", "this does not continue what stands above it; check the indentation"),
        ("a:\n\tb: c\n", "a tab cannot indent YAML; use blanks"),
        ("a:\n  b: c\n\td: e\n", "a tab cannot indent YAML; use blanks"),
        ("a: @b\n", "a text cannot begin with '@'; quote it"),
        ("a: !<x\n", "while scanning a tag: did not find the expected '>'"),
    ],
)
def test_broken_syntax_is_explained(text, expected):
    (problem,) = read(text, "f").problems
    assert problem.message.startswith(expected)


@pytest.mark.parametrize(
    "broken",
    [
        *["a: [", "a: 'b", "a: b: c", "\ta: b", "? [a]\n: b", "a: *b", "~: a", "a: .inf"],
        *["a: b\n  c: d", "  a: b\nc: d", "a: \x07", "a: " + "[" * 300, "{{ if .x }}", "hello"],
    ],
)
def test_one_broken_document_leaves_those_around_it(broken):
    text = f"kind: A\napiVersion: v1\n---\n{broken}\n---\nkind: B\napiVersion: v1\n"
    found = read(text, "f")
    assert [document.title for document in found.documents] == ["A", "B"]
    assert len(found.problems) == 1
    assert found.problems[0].position.line in {4, 5}
    assert not found.problems[0].is_read
    assert found.documents[1].position(("kind",)).line == 6 + broken.count("\n")


def test_what_stands_before_an_error_in_one_document_is_not_a_document():
    assert read("  apiVersion: v1\nkind: Pod\n", "f").documents == []
    assert len(read("a: b\n...\n]\n", "f").documents) == 1


@pytest.mark.parametrize(
    ("text", "mark", "shown"),
    [
        ("replicas: {{ .Values.replicas }}\n", (1, 11), "{{ .Values.replicas }}"),
        ("a: b\nname: {{ .Release.Name }}-x\n", (2, 7), "{{ .Release.Name }}"),
        ("{{- if .Values.on }}\na: b\n{{- end }}\n", (1, 1), "{{- if .Values.on }}"),
        ("# {{ no }}\na: {{ yes }}\n", (2, 4), "{{ yes }}"),
        ("a: b\n{% if x %}\nc: d\n{% endif %}\n", (2, 1), "{% if x %}"),
        ('{"a": {{ .x }} }', (1, 7), "{{ .x }}"),
        ("a: {{ " + "x" * 100 + " }}\n", (1, 4), "{{ " + "x" * 37 + "…"),
        ("a: {{ b\n", (1, 4), "{{ b…"),
    ],
)
def test_a_template_is_told_from_broken_yaml(text, mark, shown):
    found = read(text, "f")
    assert found.documents == []
    (problem,) = found.problems
    assert (problem.position.line, problem.position.column) == mark
    assert problem.code == "template"
    assert problem.message == f"{shown} is filled in by a template engine"


def test_a_template_is_named_once_and_its_readable_documents_are_kept():
    part = (
        "---\nname: {{ .x }}\n---\n{{ if .y }}\nkind: A\n{{ end }}\n---\nkind: B\napiVersion: v1\n"
    )
    found = read(part * 3, "f")
    assert [problem.code for problem in found.problems] == ["template"]
    assert [document.title for document in found.documents] == ["B", "B", "B"]


def test_brackets_inside_texts_are_no_template():
    assert values('a: "{{ $labels.pod }}"\nb: |\n  {{ x }}\n') == [
        {"a": "{{ $labels.pod }}", "b": "{{ x }}\n"}
    ]


def test_a_broken_text_beside_a_string_with_brackets_is_no_template():
    assert [code for *_, code in problems("a: '{{ x }}'\n---\nb: [\n")] == ["syntax"]


def test_problems_are_counted_to_a_limit():
    found = read("---\na: [\n" * 50, "f", limits=Limits(problems_max=10)).problems
    assert [p.code for p in found] == ["syntax"] * 10 + ["too-many"]
    assert found[-1].message == "more than 10 problems; the rest is not read"


def test_documents_are_counted_to_a_limit():
    empty = '{"kind": "List", "items": []}\n'
    items = '{"kind": "List", "items": [\n' + "null,\n" * 20 + "1]}"
    for text in ("a: 1\n---\n" * 20, '{"a": 1}\n' * 20, "---\n" * 20, empty * 20, items):
        found = read(text, "f", limits=Limits(documents_max=5))
        assert len(found.documents) <= 5
        (problem,) = found.problems
        assert problem.message == "more than 5 documents; the rest is not read"
        assert problem.position.line in {6, 7, 9, 10, 11}
    assert read("a: 1\n---\n" * 4 + "a: 1", "f", limits=Limits(documents_max=5)).problems == []


def test_values_are_counted_to_a_limit():
    limits = Limits(yaml_values_max=10)
    for text in ("a: [" + "1, " * 20 + "]", "a: [" + "{}, " * 20 + "]", "a: 1\n" * 20):
        assert read(text, "f", limits=limits).documents == []
        assert read(text, "f", limits=limits).problems[-1].code == "too-large"
    found = read("---\na: [1, 2, 3]\n" * 5, "f", limits=limits)
    assert len(found.documents) == 2
    assert [(p.code, p.position.line) for p in found.problems] == [("too-many", 5)]
    assert found.problems[0].message == "more than 10 values; the rest is not read"


def test_without_libyaml_the_same_comes_out(monkeypatch):
    text = "a: &x [1, yes]\nb: {<<: {c: *x}, d: 0777}\n---\nc: [\n---\nd: e\nd: f\n"
    fast = read(text, "f")
    monkeypatch.setattr(yaml_reader, "PARSER", yaml.SafeLoader)
    slow = read(text, "f")
    assert [d.value for d in slow.documents] == [d.value for d in fast.documents]
    assert [(p.code, p.position) for p in slow.problems] == [
        (p.code, p.position) for p in fast.problems
    ]


def test_without_libyaml_an_escape_that_is_no_character_is_refused_all_the_same(monkeypatch):
    text = 'a: "\\UFFFFFFFF" # gpuyard:ignore X: y\n---\nb: 1\n'
    for parser in (yaml.CSafeLoader, yaml.SafeLoader):
        monkeypatch.setattr(yaml_reader, "PARSER", parser)
        found = read(text, "f")
        assert [p.code for p in found.problems] == ["syntax"]
        assert list(found.documents[0].suppressions) == [1]


def test_a_problem_stays_short_whatever_it_is_about():
    long = "x" * 5000
    for text in (
        *(
            f"{long}: 1\n{long}: 2\n",
            f"a: *{long}\n",
            f"a: !!int {long}\n",
            f'? "{long}"\n? "{long}"\n',
        ),
        *(
            f"kind: A\napiVersion: v1\n? {'0' * 5000}7\n: a\n",
            f'{{"{long}": 1, "{long}": 2}}',
            "a: {{ " + long,
        ),
    ):
        (problem,) = read(text, "f").problems
        assert len(problem.message) < 250


def test_without_libyaml_deep_text_is_refused_all_the_same(monkeypatch):
    monkeypatch.setattr(yaml_reader, "PARSER", yaml.SafeLoader)
    for text in ("- " * 3000, "[" * 3000, "\n".join(" " * depth + "a:" for depth in range(3000))):
        assert [p.code for p in read(text, "f").problems] == ["too-deep"]
