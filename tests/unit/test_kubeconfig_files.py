"""Which kubeconfig files count, how they become one, and what is wrong with a bad one."""

import os

import pytest
from hypothesis import given, strategies as st

from gpuyard.kube.errors import KubeconfigError
from gpuyard.kube.kubeconfig import files
from gpuyard.kube.kubeconfig.files import candidates, load, read

FIRST = """
current-context: ""
clusters:
- name: shared
  cluster: {server: "https://first:6443"}
users:
- name: anna
  user: {token: first-token}
contexts:
- name: one
  context: {cluster: shared, user: anna}
"""
SECOND = """
current-context: two
clusters:
- name: shared
  cluster: {server: "https://second:6443", tls-server-name: second}
- name: other
  cluster: {server: "https://other:6443"}
users:
- name: anna
  user: {username: anna, password: second-password}
contexts:
- name: two
  context: {cluster: other, user: anna, namespace: team}
"""


@pytest.fixture
def both(tmp_path):
    (tmp_path / "first").write_text(FIRST)
    (tmp_path / "second").write_text(SECOND)
    return tmp_path


def listed(folder, *names):
    return {"KUBECONFIG": os.pathsep.join(str(folder / name) for name in names)}


def test_the_first_file_to_name_a_thing_wins_whole(both):
    merged = load(None, listed(both, "first", "second"))
    assert merged.clusters["shared"].value.server == "https://first:6443"
    assert merged.clusters["shared"].value.tls_server_name == ""
    assert merged.users["anna"].value.token.reveal() == "first-token"
    assert merged.users["anna"].value.username == ""
    assert set(merged.clusters) == {"shared", "other"}
    assert set(merged.contexts) == {"one", "two"}


def test_the_first_current_context_that_is_not_empty_counts(both):
    assert load(None, listed(both, "first", "second")).current_context == "two"


def test_each_entry_remembers_its_file(both):
    merged = load(None, listed(both, "first", "second"))
    assert merged.clusters["shared"].file == both / "first"
    assert merged.clusters["other"].file == both / "second"


def test_missing_files_of_a_list_are_passed_over(both):
    merged = load(None, listed(both, "gone", "second"))
    assert merged.files == (both / "second",)


def test_a_file_that_is_named_counts_alone(both):
    merged = load(str(both / "first"), listed(both, "second"))
    assert merged.files == (both / "first",)


def test_a_file_that_is_named_must_exist(tmp_path):
    with pytest.raises(KubeconfigError, match="no such file or directory; name another file"):
        load(str(tmp_path / "gone"), {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"HOME": "/h"}, ["/h/.kube/config"], id="the usual place"),
        pytest.param({"HOME": "/h", "KUBECONFIG": ""}, ["/h/.kube/config"], id="empty list"),
        pytest.param({"HOME": "/h", "KUBECONFIG": "/a"}, ["/a"], id="one file"),
        pytest.param({"KUBECONFIG": "/a::/b:/a:"}, ["/a", "/b"], id="each once, no empty names"),
    ],
)
def test_candidates(environ, expected):
    assert [str(one) for one in candidates(environ)] == expected


def test_a_list_of_files_has_an_end():
    with pytest.raises(KubeconfigError, match="it lists 101 files; at most 100"):
        candidates({"KUBECONFIG": ":".join(f"/{number}" for number in range(101))})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "config:2:1: it is not YAML", id="syntax, with its place"),
        pytest.param("a: b: c", ":1:5: it is not YAML", id="a colon too many"),
        pytest.param("users: {}", "users: expected `array | null`, got `object`", id="type"),
        pytest.param(
            "users: [{name: a, user: {token: 5}}]",
            "users[0].user.token: expected `str`, got `int`",
            id="a token that YAML takes for a number",
        ),
        pytest.param("users: [{user: {}}]", "users[0]: object missing required", id="no name"),
        pytest.param("[]", "expected `object`, got `array`", id="no mapping"),
        pytest.param("just text", "expected `object`, got `str`", id="text"),
        pytest.param("a: !!python/object:os.x {}", "it is not YAML", id="a tag that would run"),
        pytest.param("[" * 1_000_000, ":1:101: it is nested more than 100", id="deep lists"),
        pytest.param("{a: " * 200_000, ":1:401: it is nested more than 100", id="deep mappings"),
        pytest.param("- " * 200_000, ":1:201: it is nested more than 100", id="deep items"),
        pytest.param("? " * 200_000, ":1:201: it is nested more than 100", id="deep keys"),
        pytest.param("a: \x07", "it is not YAML", id="a control character"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path, text, said):
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubeconfigError) as caught:
        read(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_file_does_not_show_its_secrets(tmp_path):
    file = tmp_path / "config"
    for text in ("users: [{name: a, user: {token: geheim, : }}", "token: geheim: x", "a: 'geheim"):
        file.write_text(text)
        with pytest.raises(KubeconfigError) as caught:
            read(file)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"a: \xff", "byte 3 is not UTF-8", id="no UTF-8"),
        pytest.param(b"# " + b"x" * 100, "larger than 64 bytes", id="too large"),
    ],
)
def test_a_file_that_is_no_text(tmp_path, monkeypatch, content, said):
    monkeypatch.setattr(files, "KUBECONFIG_BYTES_MAX", 64)
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(KubeconfigError, match=said):
        read(file)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("# nothing\n", id="a comment"),
        pytest.param("clusters: null\nusers: null\ncontexts: null\n", id="null lists"),
        pytest.param("\ufeffkind: Config\nextensions: [1]\n", id="byte order mark, unknown fields"),
        pytest.param("clusters: [{name: a, cluster: null}]", id="an entry without content"),
    ],
)
def test_a_file_that_says_little_is_fine(tmp_path, text):
    file = tmp_path / "config"
    file.write_text(text)
    assert read(file).current_context == ""


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("any") / "config"
    file.write_bytes(content)
    assert len(sentence_about(file).splitlines()) <= 1


def sentence_about(file):
    try:
        read(file)
    except KubeconfigError as error:
        return str(error)
    return ""
