"""What Kubernetes reads from plain YAML scalars.

The expectations were printed by sigs.k8s.io/yaml v1.6.0 (YAMLToJSON), not worked out by hand.
"""

import pytest

from gpuyard.dialects.documents import read


def value_of(scalar):
    (document,) = read(f"a: {scalar}\n", "f").documents
    return document.value["a"]


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        *[(word, True) for word in ("y", "Y", "yes", "Yes", "YES", "on", "On", "true", "TRUE")],
        *[(word, False) for word in ("n", "N", "no", "No", "off", "OFF", "false", "False")],
        *[(word, word) for word in ("yEs", "tRUE", "oN", "nULL", "truely", "noo")],
        *[(word, None) for word in ("", "~", "null", "Null", "NULL")],
        *[("0777", 511), ("00777", 511), ("-0777", -511), ("0o17", 15), ("0O17", 15)],
        *[("08", 8), ("09", 9), ("0x1F", 31), ("0X1f", 31), ("-0x1F", -31), ("0b11", 3)],
        *[("-0b11", -3), ("+0b1", 1), ("1_000", 1000), ("1__0", 10), ("0x_1", 1), ("+0", 0)],
        *[("_1", "_1"), ("0x", "0x"), ("0b", "0b"), ("0b2", "0b2"), ("0o8", "0o8")],
        *[("1e3", 1000), ("1E3", 1000), ("1.", 1), ("1.0", 1), ("1.50", 1.5), ("-.5", -0.5)],
        *[(".5", 0.5), ("+.5", 0.5), ("0.1", 0.1), (".912_65", 0.91265), (".5.5", ".5.5")],
        *[("1e999", "1e999"), (".5e922", ".5e922"), ("1e", "1e"), ("1e+", "1e+"), (".", ".")],
        *[("+", "+"), ("-1-", "-1-"), ("e3", "e3"), (".e5", ".e5"), ("1.2.3", "1.2.3")],
        *[("2001-01-01", "2001-01-01"), ("12:30", "12:30"), ("190:20:30.15", "190:20:30.15")],
        ("9223372036854775807", 9223372036854775807),
        ("18446744073709551615", 18446744073709551615),
        ("0xffffffffffffffff", 18446744073709551615),
        ("-9223372036854775808", -9223372036854775808),
        ("18446744073709551616", 18446744073709551616.0),
        ("+18446744073709551615", 18446744073709551615.0),
        ("-9223372036854775809", -9223372036854775808.0),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1e21", 1e21),
        *[('"yes"', "yes"), ("'1'", "1"), ('"0777"', "0777"), ("|-\n  1", "1"), (">-\n  no", "no")],
        *[("!!str 1", "1"), ('!!int "3"', 3), ("!!float 3", 3), ("!!bool 'on'", True)],
        *[("! 1", "1"), ("!foo 1", "1"), ("!!binary aGVsbG8=", "hello"), ("!!null ''", None)],
        *[("!!timestamp 2001-01-01", "2001-01-01"), ("!!foo yes", "yes")],
    ],
)
def test_scalar(scalar, expected):
    found = value_of(scalar)
    assert found == expected
    assert isinstance(found, bool) is isinstance(expected, bool)
    assert isinstance(found, str) is isinstance(expected, str)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *[("name", "name"), ("true", "true"), ("yes", "true"), ("on", "true"), ("y", "true")],
        *[("n", "false"), ("8080", "8080"), ("0777", "511"), ("0x1F", "31"), ("-5", "-5")],
        *[("1.5", "1.5"), ("0.1", "0.1"), (".5", "0.5"), ("1.0", "1"), ("1e3", "1000")],
        *[("100000.5", "100000.5"), ("1e6", "1e+06"), ("123456789.5", "1.2345679e+08")],
        *[("1e20", "1e+20"), ("1.0e-7", "1e-07"), ("0.0001", "0.0001"), (".inf", ".inf")],
        *[("-.inf", "-.inf"), (".nan", ".nan"), ("2001-01-01", "2001-01-01"), ("'1'", "1")],
        ("123456789012345678901234567890", "1.2345679e+29"),
        ("-9223372036854775809", "-9.223372e+18"),
    ],
)
def test_a_key_becomes_the_text_that_kubernetes_makes_of_it(key, expected):
    (document,) = read(f"{key}: a\n", "f").documents
    assert document.value == {expected: "a"}


@pytest.mark.parametrize(
    ("key", "is_blamed"),
    [("name", False), ("'1'", False), ("1", True), ("on", True), ("1.5", True), ("1e999", False)],
)
def test_a_key_that_is_no_text_is_read_and_blamed(key, is_blamed):
    found = read(f"kind: Pod\n{key}: a\napiVersion: v1\n", "f")
    assert len(found.documents) == 1
    blamed = [(p.code, p.position.line, p.is_read) for p in found.problems]
    assert blamed == ([("key", 2, True)] if is_blamed else [])


def test_such_a_key_is_nobodys_business_outside_of_objects():
    found = read("on:\n  push: {branches: [main]}\n", "workflow.yaml")
    assert [document.value for document in found.documents] == [
        {"true": {"push": {"branches": ["main"]}}}
    ]
    assert found.problems == []


@pytest.mark.parametrize("key", ["~", "null", "? ", "18446744073709551615", "!!int 3"])
def test_a_key_that_kubernetes_cannot_read_ends_the_document(key):
    found = read(f"b: 1\n{key}: a\n", "f")
    assert found.documents == []
    assert [(p.code, p.position.line, p.is_read) for p in found.problems] == [("key", 2, False)]


@pytest.mark.parametrize("scalar", [".inf", "-.inf", "+.Inf", ".nan", "!!float .NaN"])
def test_a_number_that_json_cannot_say_ends_the_document(scalar):
    found = read(f"a: {scalar}\n", "f")
    assert found.documents == []
    assert [p.code for p in found.problems] == ["number"]


@pytest.mark.parametrize(
    "scalar",
    [
        *["!!int 08", "!!int 1e3", "!!int x", "!!int yes", "!!float yes", "!!bool 1"],
        *["!!float 18446744073709551615", "!!null x", "!!binary '=a'", "!!timestamp yes"],
    ],
)
def test_a_scalar_that_is_not_what_its_tag_says_ends_the_document(scalar):
    found = read(f"a: {scalar}\n", "f")
    assert found.documents == []
    assert [(p.code, p.position.column) for p in found.problems] == [("tag", 4)]


def test_an_endless_number_is_a_float_or_a_text_and_costs_nothing():
    assert value_of("1" * 100) == float("1" * 100)
    assert value_of("0" * 5000 + "7") == 7
    assert value_of("9" * 5000) == "9" * 5000
