"""Ask an API server what it serves.

Two requests where it knows the aggregated form. A group whose own server is down costs us that
group and nothing else.
"""

from functools import partial
from typing import TypeVar

from gpuyard.kube.client import Client, Reply
from gpuyard.kube.discovery import aggregated, legacy
from gpuyard.kube.discovery.served import Served
from gpuyard.kube.errors import AnswerError, KubeError
from gpuyard.kube.together import together
from gpuyard.kube.transport import Request

AT_ONCE = 8

T = TypeVar("T")


async def discover(client: Client, *, ask_aggregated: bool = True) -> Served:
    """Return everything that the server serves; `ask_aggregated` false asks in the older form.

    Raises
    ------
    KubeError
        where the server does not say even which groups there are.

    """
    accept = aggregated.ACCEPT if ask_aggregated else "application/json"
    asked = [partial(_ask, client, path, accept) for path in ("/api", "/apis")]
    core, groups = await together(asked, at_once=AT_ONCE)
    if all(_is_aggregated(reply) for reply in (core, groups)):
        return aggregated.served(
            [_read(client, reply, aggregated.GroupList) for reply in (core, groups)]
        )
    if any(_is_aggregated(reply) for reply in (core, groups)):
        return await discover(client, ask_aggregated=False)
    return await _one_by_one(
        client,
        _read(client, core, legacy.CoreVersions),
        _read(client, groups, legacy.GroupList),
    )


async def _ask(client: Client, path: str, accept: str) -> Reply:
    request = Request(path=path, headers=(("Accept", accept),))
    return await client.send(request, doing="asking which kinds the cluster serves")


def _is_aggregated(reply: Reply) -> bool:
    return aggregated.CONTENT_MARK in reply.headers.get("Content-Type", "")


def _read(client: Client, reply: Reply, kind: type[T]) -> T:
    return client.decoded(reply, kind, doing="asking which kinds the cluster serves")


async def _one_by_one(
    client: Client, core: legacy.CoreVersions, groups: legacy.GroupList
) -> Served:
    """Fetch each group and version; those that fail are unknown, not absent."""
    lists: dict[str, legacy.ResourceList] = {}
    unknown: dict[str, str] = {}

    async def fetch(place: str) -> None:
        path = f"/apis/{place}" if "/" in place else f"/api/{place}"
        try:
            lists[place] = await client.get(
                path, legacy.ResourceList, doing=f"asking which kinds {place} has"
            )
        except KubeError as error:
            unknown[place] = str(error)

    places = legacy.group_versions(core, groups)
    await together([partial(fetch, place) for place in places], at_once=AT_ONCE)
    if places and not lists:
        raise AnswerError(
            f"asking which kinds the cluster serves: none of {len(places)} groups answered;"
            f" the first error was: {next(iter(unknown.values()))}"
        )
    return legacy.served(groups, {one: lists[one] for one in places if one in lists}, unknown)
