"""The rules of a walk through pages, without a server."""

import asyncio

import msgspec
import pytest
from hypothesis import given, strategies as st

from gpuyard.kube.errors import AnswerError, ApiError
from gpuyard.kube.listing import Listed, ListMeta, Walk, Which, list_all
from gpuyard.kube.resources import Resource
from tests.scripted_transport import Said, scripted_client

PODS = Resource(group="", version="v1", kind="Pod", plural="pods", is_namespaced=True)
GONE = msgspec.json.encode({"kind": "Status", "code": 410, "reason": "Expired", "message": "old"})


def page(items, *, token="", version="7"):
    metadata = {"resourceVersion": version, "continue": token}
    return Said(200, msgspec.json.encode({"metadata": metadata, "items": items}))


def listed(*answers, **which):
    client, _ = scripted_client(*answers)
    found = asyncio.run(list_all(client, PODS, int, Which(**which)))
    return found, [dict(one.query) for one in client.transport.requests]


def test_pages_follow_their_tokens():
    found, queries = listed(page([1, 2], token="a"), page([3], token="b"), page([4]))
    assert found == Listed([1, 2, 3, 4], "7")
    assert queries == [
        {"limit": "500"},
        {"limit": "500", "continue": "a"},
        {"limit": "500", "continue": "b"},
    ]


def test_what_is_asked_for_is_asked_on_each_page():
    _, queries = listed(page([], token="a"), page([]), labels="a=b", fields="c=d", page_objects=9)
    asked = {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "9"}
    assert queries == [asked, asked | {"continue": "a"}]


def test_nothing_is_a_list_too():
    assert listed(page(None))[0] == Listed([], "7")
    assert listed(Said(200, b"{}"))[0] == Listed([], "")


def test_an_old_list_starts_once_more_and_asks_for_everything():
    found, queries = listed(
        page([1], token="a"), Said(410, GONE), page([5, 6], version="9"), labels="a=b"
    )
    assert found == Listed([5, 6], "9")
    assert queries[-1] == {"labelSelector": "a=b"}


def test_a_list_that_is_too_old_twice_is_given_up():
    with pytest.raises(ApiError, match="listing pods: old; start again") as caught:
        listed(page([1], token="a"), Said(410, GONE), Said(410, GONE))
    assert caught.value.status == 410


def test_a_list_that_does_not_end():
    with pytest.raises(AnswerError, match=r"^listing pods: the list does not end"):
        listed(page([1], token="a"), page([2], token="a"))


def test_misfits_are_named_up_to_a_number():
    items = [{"metadata": {"name": f"pod-{number}"}} for number in range(150)]
    found, _ = listed(page([1, *items, 2, {}, "x"]))
    assert found.items == [1, 2]
    assert (found.misfit_count, len(found.misfits)) == (152, 100)
    assert found.misfits[0].name == "pod-0"
    found, _ = listed(page(["x"]))
    assert found.misfits[0].name == "an object without a readable name"


def test_a_page_that_is_no_list():
    with pytest.raises(AnswerError, match="listing pods: does not have the form"):
        listed(Said(200, b"[]"))


@given(st.lists(st.sampled_from(["page", "gone"]), max_size=12))
def test_a_walk_ends_whatever_happens(events):
    walk, starts = Walk(Which()), 1
    for number, event in enumerate(events):
        if event == "page":
            walk.feed(ListMeta(continue_token=f"token-{number}"))
            assert dict(walk.query())["continue"] == f"token-{number}"
        elif walk.expired():
            starts += 1
            assert dict(walk.query()) == {}
    assert starts <= 2
    walk.feed(ListMeta(resource_version="1"))
    assert walk.is_done


@pytest.mark.parametrize(
    ("group", "place", "expected"),
    [
        pytest.param("", {}, "/api/v1/pods", id="all"),
        pytest.param("", {"namespace": "a"}, "/api/v1/namespaces/a/pods", id="of a namespace"),
        pytest.param("batch", {"name": "x"}, "/apis/batch/v1/pods/x", id="one, of a group"),
        pytest.param(
            "",
            {"namespace": "a", "name": "b/c?d", "subresource": "status"},
            "/api/v1/namespaces/a/pods/b%2Fc%3Fd/status",
            id="a name that would lead elsewhere",
        ),
    ],
)
def test_where_things_lie(group, place, expected):
    assert msgspec.structs.replace(PODS, group=group).path(**place) == expected


def test_what_is_in_no_namespace():
    nodes = msgspec.structs.replace(PODS, is_namespaced=False)
    assert nodes.path("a") == "/api/v1/pods"
    assert (nodes.where("a"), PODS.where("a"), PODS.where()) == ("", " in namespace 'a'", "")
    assert (PODS.name, msgspec.structs.replace(PODS, group="x").name) == ("pods", "pods.x")
