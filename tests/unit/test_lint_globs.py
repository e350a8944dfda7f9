"""File patterns, as .gitignore reads them."""

import pytest

from gpuyard.lint.globs import matches


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        pytest.param("vendor", "vendor", True, id="a name means the thing itself"),
        pytest.param("vendor", "vendor/a/b.yaml", True, id="and all that is in it"),
        pytest.param("vendor/", "a/vendor/b.yaml", True, id="a name is found at any depth"),
        pytest.param("vendor", "vendored/b.yaml", False, id="but not as the beginning of another"),
        pytest.param("k8s/vendor", "k8s/vendor/b.yaml", True, id="a slash anchors"),
        pytest.param("k8s/vendor", "a/k8s/vendor/b.yaml", False, id="anchored means from the top"),
        pytest.param("/k8s", "k8s/b.yaml", True, id="a slash at the front anchors too"),
        pytest.param("/k8s", "a/k8s/b.yaml", False, id="and only from the top"),
        pytest.param("./k8s", "k8s/b.yaml", True, id="the folder itself may be written"),
        pytest.param("*.json", "a/b.json", True, id="a star within a name"),
        pytest.param("a/*.yaml", "a/b/c.yaml", False, id="a star does not cross folders"),
        pytest.param("a/**/c.yaml", "a/b/d/c.yaml", True, id="two stars do"),
        pytest.param("a/**/c.yaml", "a/c.yaml", True, id="over no folder as well"),
        pytest.param("**/c.yaml", "c.yaml", True, id="two stars at the front"),
        pytest.param("a/**", "a/b/c.yaml", True, id="two stars at the end"),
        pytest.param("a/**", "a", False, id="the folder itself is not in itself"),
        pytest.param("?.yaml", "ab.yaml", False, id="a question mark is one character"),
        pytest.param("a.yaml", "abyaml", False, id="a point is a point"),
        pytest.param("a[1].yaml", "a[1].yaml", True, id="brackets are themselves"),
    ],
)
def test_matches(pattern, path, expected):
    assert matches(path, [pattern]) is expected


def test_any_pattern_suffices():
    assert matches("b", ["a", "b"])
    assert not matches("c", ["a", "b"])
    assert not matches("c", [])
