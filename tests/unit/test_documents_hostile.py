"""Texts made to hurt: each ends soon, in little memory, with a problem at its place."""

import json
import threading
import time
import tracemalloc

import pytest

from gpuyard.dialects.documents import Limits, read

SECONDS_MAX = 20.0  # CPU of one text; the slowest takes a tenth of it on an idle core
MIB = 2**20


def bomb(width, depth):
    """Return a text whose aliases stand for `width` to the power of `depth` values."""
    levels = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    levels += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]"
        for level in range(1, depth)
    ]
    return "\n".join(levels) + "\n"


def merges(depth):
    """Return a text whose merge keys double the size of a mapping `depth` times."""
    levels = ["a0: &a0 {k0: [1, 2, 3, 4, 5, 6, 7, 8]}"]
    levels += [
        f"a{level}: &a{level} {{<<: *a{level - 1}, k{level}: *a{level - 1}}}"
        for level in range(1, depth)
    ]
    return "\n".join(levels) + "\n"


HOSTILE = {
    "billion laughs": (bomb(10, 40), "alias"),
    "two laughs a level": (bomb(2, 100), "alias"),
    "laughs by merge keys": (merges(60), "alias"),
    "many aliases of one value": ("a: &a x\nb: [" + ", ".join(["*a"] * 250_000) + "]\n", "alias"),
    "a chain of aliases": (bomb(1, 2000), "too-deep"),
    "brackets": ("[" * 100_000, "too-deep"),
    "braces": ("{a: " * 100_000, "too-deep"),
    "brackets that are closed": ("a: " + "[" * 100_000 + "]" * 100_000, "too-deep"),
    "brackets on a line each": ("a: " + "[\n" * 100_000, "too-deep"),
    "dashes": ("- " * 100_000, "too-deep"),
    "question marks": ("? " * 100_000, "key"),
    "ever deeper blocks": ("".join(" " * depth + "a:\n" for depth in range(1500)), "too-deep"),
    "deep JSON": ('{"a":' * 100_000 + "1" + "}" * 100_000, "too-deep"),
    "deep JSON in a List": (
        '{"kind": "List", "items": [' + "[" * 100_000 + "]" * 100_000 + "]}",
        "too-deep",
    ),
    "a quote that is never closed": ('a: "' + "x\n" * 500_000, "syntax"),
    "a JSON string that is never closed": ('{"a": "' + "x" * 2_000_000, "syntax"),
    "a zero byte": (b"kind: Pod\0" + b"\0" * 1000, "binary"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 100, "binary"),
    "other bytes": (b"\x80\x81\xfe\xff" * 1000, "encoding"),
    "UTF-16 that breaks off": ("a: b".encode("utf-16") + b"x", "binary"),
    "100 MB of YAML": (b"a: b\n" * (20 * MIB), "too-large"),
    "129 MB of JSON": (b"{" + b" " * (129 * MIB), "too-large"),
    "a number of a million digits": ('{"a": ' + "9" * 1_000_000 + "}", "number"),
    "a million broken documents": ("---\n[\n" * 1_000_000, "too-many"),
    "double keys without end": ("a: 1\n" * 200_000, "too-many"),
    "documents without end": ("---\n" * 300_000, "too-many"),
    "values without end": ("[" + "{}," * 9_000_000 + "0]", "too-large"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_a_problem(name):
    text, code = HOSTILE[name]
    before = time.process_time()
    found = read(text, "f")
    assert time.process_time() - before < SECONDS_MAX
    assert found.problems[-1].code == code
    assert len(found.problems) <= Limits().problems_max + 1
    assert found.problems[0].position.line >= 1
    assert len(found.problems[0].message) < 300


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if "laughs" in name or "deep" in name or "aliases" in name]
)
def test_what_is_refused_takes_no_memory_to_speak_of(name):
    text, _ = HOSTILE[name]
    tracemalloc.start()
    try:
        read(text, "f")
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "- " * 100_000, "a: " + "{b: " * 100_000])
def test_depth_does_not_live_on_the_stack_of_c(text):
    """Composing nodes ends the process at this depth; a small stack would show it much earlier."""
    codes = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: codes.append(read(text, "f").problems[0].code))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert codes == ["too-deep"]


def test_what_is_at_the_limits_is_read():
    assert read("a: &a x\nb: [" + ", ".join(["*a"] * 1000) + "]\n", "f").problems == []
    deep = "a: " + "[" * 255 + "]" * 255
    assert read(deep, "f").problems == []
    assert [problem.code for problem in read(f"b: [{deep}]", "f").problems] == ["too-deep"]
    wide = '{"a": ' + "[" * 255 + "]" * 255 + "}"
    assert read(wide, "f").problems == []
    assert [problem.code for problem in read(f"[{wide}]", "f").problems] == ["too-deep"]


def test_aliases_of_different_documents_do_not_add_up():
    part = "a: &a x\nb: [" + ", ".join(["*a"] * 150) + "]\n"
    limits = Limits(alias_nodes_max=200)
    assert read(f"{part}---\n{part}", "f", limits=limits).problems == []
    assert (
        len(read(part + part.replace("a:", "c:").replace("b:", "d:"), "f", limits=limits).problems)
        == 1
    )


def test_many_comments_and_many_texts_cost_their_sum_not_their_product():
    lines = "".join(f'k{n}: "# gpuyard:ignore X: y" # gpuyard:ignore R: z\n' for n in range(10_000))
    before = time.process_time()
    (document,) = read(lines, "f").documents
    assert len(document.suppressions) == 10_000
    assert time.process_time() - before < SECONDS_MAX


def test_positions_in_one_long_line_of_json_cost_their_sum():
    item = {"kind": "A", "apiVersion": "v1", "x": "ä" * 100}
    text = json.dumps({"kind": "List", "items": [item] * 20_000}, ensure_ascii=False)
    before = time.process_time()
    found = read(text, "f").documents
    lines = {document.position(("x",)).line for document in found[::100]}
    assert time.process_time() - before < SECONDS_MAX
    assert lines == {1}
    at = found[19_999].position(("x",)).column
    assert text[at - 1 :].startswith('"x": "ä')
