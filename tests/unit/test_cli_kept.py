"""A look at a cluster that went through a file: its kinds, gaps and namespaces, and its age."""

import datetime as dt

import pytest

from gpuyard.cli.cluster import Look
from gpuyard.cli.kept import kept, look_at
from gpuyard.kube.gather import Unread
from gpuyard.kube.snapshot_file import encode

AT = dt.datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=dt.UTC)


def named(name, namespace=""):
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


def unread(kind, why="forbidden", seen_in=""):
    group, _, name = kind.rpartition("/")
    return Unread(kind=(group, name), why=why, sentence=f"no {name}", seen_in=seen_in)


LOOK = Look(
    listed={
        "Node": [named("n")],
        "Pod": [named("p", "a"), named("q", "b")],
        "apps/Deployment": [named("d", "a"), named("e", "b")],
        "batch/Job": [named("j", "a")],
    },
    unread=[
        unread("nvidia.com/ClusterPolicy", "not served"),
        unread("batch/Job", seen_in="a"),
        unread("Service"),
    ],
    namespace="a",
    source="context prod",
    address="https://prod.example",
    at=AT,
    seconds=1.5,
    misfits={"Node": 2},
    context="prod",
    version="v1.36.3",
)
KINDS = ("Node", "Pod", "Service", "apps/Deployment", "batch/Job", "nvidia.com/ClusterPolicy")


@pytest.fixture
def again(tmp_path):
    def write_and_look(look=LOOK, kinds=KINDS, **asked):
        path = tmp_path / "prod.json"
        path.write_bytes(encode(kept(look)))
        return look_at(path, kinds, now=asked.pop("now", AT), **asked)

    return write_and_look


def test_a_look_comes_back(again):
    found = again()
    assert found._replace(unread=[], kept="") == LOOK._replace(unread=[])
    assert {one.kind: one for one in found.unread} == {one.kind: one for one in LOOK.unread}
    assert found.at_ns == LOOK.at_ns == 1_772_366_400_123_456_000


def test_a_command_sees_its_own_kinds_and_no_others(again):
    found = again(kinds=("Service", "Pod"))
    assert list(found.listed) == ["Pod"]
    assert [one.sentence for one in found.hidden] == ["no Service"]
    assert found.misfits == {}


def test_a_kind_that_nobody_asked_for_was_not_seen(again):
    found = again(kinds=("Pod", "new.example/Kind"))
    (one,) = found.hidden
    assert (one.kind, one.why) == (("new.example", "Kind"), "unknown")
    assert "Kind objects were not asked for when the snapshot was taken" in one.sentence
    assert found.absent == frozenset()


def test_one_namespace_of_a_whole_cluster(again):
    found = again(namespace="a", everywhere={"Pod"})
    assert found.listed == {
        **LOOK.listed,
        "apps/Deployment": [named("d", "a")],
    }
    assert found.only_here == frozenset()  # all that was asked for was seen of it
    assert (found.namespace, found.chosen) == ("a", "a")


def test_what_was_seen_in_one_namespace_tells_of_no_other(again):
    found = again(namespace="b", everywhere={"Pod"})
    assert "batch/Job" not in found.listed
    assert [one.sentence for one in found.hidden] == ["no Service", "no Job"]
    assert found.only_here == frozenset()


def test_a_snapshot_of_a_namespace_is_of_no_other(again):
    narrow = LOOK._replace(chosen="a")
    assert again(narrow).chosen == "a"
    assert again(narrow, namespace="a").chosen == "a"
    with pytest.raises(ValueError, match="was taken of namespace 'a' only"):
        again(narrow, namespace="b")


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "0 seconds old"),
        (1, "1 second old"),
        (119, "119 seconds old"),
        (120, "2 minutes old"),
        (7_199, "119 minutes old"),
        (7_200, "2 hours old"),
        (172_800, "2 days old"),
        (86_400 * 400, "400 days old"),
        (-300, "5 minutes ahead of this clock"),
    ],
)
def test_the_answer_names_its_source_and_its_age(again, tmp_path, seconds, age):
    found = again(now=AT + dt.timedelta(seconds=seconds))
    when = AT.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert found.sentence == (
        f"snapshot {tmp_path / 'prod.json'}, {age}: context prod (https://prod.example),"
        f" seen at {when}"
    )
