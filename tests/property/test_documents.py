"""Whatever a text is: reading it raises nothing, and what it returns is in order."""

import json

from hypothesis import given, settings, strategies as st

from gpuyard.dialects.documents import Limits, read

LIMITS = Limits(alias_nodes_max=1000, depth_max=40, problems_max=20)

PRINTABLE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufeff")
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | PRINTABLE
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner, max_size=4),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(PRINTABLE, VALUES, max_size=4)

# Pieces of manifests, of YAML's grammar and of templates: what mutations are made of.
FRAGMENTS = st.sampled_from(
    [
        *[
            "apiVersion: v1\n",
            "kind: Pod\n",
            "kind: List\nitems:\n",
            "- ",
            "  ",
            "\n",
            "---\n",
            "...\n",
        ],
        *[
            "a: b\n",
            "a:\n",
            "? ",
            ": ",
            "&a ",
            "*a",
            "<<: *a\n",
            "<<: ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "|\n",
        ],
        *[
            '"',
            "'",
            "# gpuyard:ignore A: b\n",
            "#",
            "!!str ",
            "!!int ",
            "!x ",
            "%YAML 1.1\n",
            "\t",
            "\r\n",
        ],
        *[
            "{{ .x }}",
            "{% if %}",
            "1",
            "yes",
            "0777",
            "1e3",
            ".nan",
            "~",
            "\u2028",
            "\x85",
            "\x00",
            "\ufeff",
        ],
        *[
            "🙂",
            "\\u00e9",
            "\\ud800",
            "name: a",
            "metadata: {name: b}\n",
            '"kind":"List"',
            '"items":[',
        ],
    ]
)
MANIFESTS = st.lists(FRAGMENTS, max_size=30).map("".join)


def check(text):
    """Read `text` and check what holds for every text."""
    found = read(text, "f", limits=LIMITS)
    lines = text.count(b"\n" if isinstance(text, bytes) else "\n") + 1
    assert len(found.problems) <= LIMITS.problems_max + 1
    for problem in found.problems:
        assert 1 <= problem.position.line <= lines
        assert problem.position.column >= 1
        assert problem.message
    for document in found.documents:
        json.dumps(document.value, allow_nan=False)
        for path, _ in walk(document.value):
            at = document.position(path)
            assert 1 <= at.line <= lines
        for line, suppression in document.suppressions.items():
            assert suppression.position.line == line <= lines
    return found


def walk(value, path=()):
    yield path, value
    children = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from walk(child, (*path, key))


@given(st.binary(max_size=200))
def test_any_bytes(data):
    check(data)


@given(st.text(max_size=200))
def test_any_text(text):
    check(text)
    check(text.encode("utf-8", "surrogatepass"))


@given(MANIFESTS)
@settings(max_examples=300)
def test_any_mixture_of_what_manifests_are_made_of(text):
    found = check(text)
    if "\0" in text:
        return  # the problem counts bytes in one, characters in the other
    again = read(text.encode(), "f", limits=LIMITS)
    assert [each.value for each in again.documents] == [each.value for each in found.documents]
    assert again.problems == found.problems


@given(MANIFESTS, MANIFESTS)
def test_a_document_is_read_the_same_whatever_stands_around_it(before, after):
    text = f"{before}\n---\nmarker: [1, {{two: three}}]\n---\n{after}"
    if "\0" in text or before.lstrip("\ufeff").lstrip()[:1] in {"{", "["}:
        return
    if any(line.startswith("%") for line in before.splitlines()):
        return  # a directive belongs to the document that follows it
    found = check(text)
    assert {"marker": [1, {"two": "three"}]} in [document.value for document in found.documents]


@given(MAPPINGS)
def test_both_languages_read_the_same_value_in_the_same_places(value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    as_json, as_yaml = (read(source, "f") for source in ("\n" + text, "---\n" + text))
    assert [p.code for p in as_json.problems] == [p.code for p in as_yaml.problems] == []
    if not value:
        return
    (first,), (second,) = as_json.documents, as_yaml.documents
    lines = text.split("\n")
    for path, each in walk(first.value):
        of_json, of_yaml = (d.position(path, of="value") for d in (first, second))
        if not any(mark in text for mark in "\x85\u2028\u2029"):  # these end lines in YAML
            assert of_json == of_yaml
        shown = json.dumps(each, ensure_ascii=False)[:1]
        assert lines[of_json.line - 2][of_json.column - 1 :].startswith(shown)
    assert first.value == value


@given(MAPPINGS, MAPPINGS)
def test_every_item_of_a_list_is_a_document(first, second):
    items = [
        {"apiVersion": "v1", "kind": "A", **first},
        {"apiVersion": "v1", "kind": "B", "x": second},
    ]
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": items}, ensure_ascii=False)
    found = read(text, "f")
    assert [document.value for document in found.documents] == items
    for document in found.documents:
        at = document.position(("kind",)).column
        assert text[at - 1 :].startswith('"kind"')
