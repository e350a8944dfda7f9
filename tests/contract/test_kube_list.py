"""Lists from a real server: pages that belong together, too old, cut off, half unreadable."""

import asyncio
import ssl

import httpx2
import msgspec
import pytest

from gpuyard.kube.connect import connected
from gpuyard.kube.errors import ApiError, UnreachableError
from gpuyard.kube.http_transport import Patience
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.listing import Which, list_all
from gpuyard.local.cluster import start
from tests.cluster_world import (
    CONFIG_MAPS,
    administered,
    make_config_maps,
    run,
    send,
    using,
)
from tests.tcp_proxies import Faults, relay


class Metadata(msgspec.Struct):
    name: str
    namespace: str = ""
    labels: dict[str, str] = {}


class ConfigMap(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


def names(listed):
    return sorted(one.metadata.name for one in listed.items)


def test_pages_together_are_the_whole_list(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 25)
            seen = []
            which = Which(namespace=namespace, page_objects=4)
            listed = await list_all(client, CONFIG_MAPS, ConfigMap, which, progress=seen.append)
            assert names(listed) == [f"cm-{number:05}" for number in range(25)]
            assert seen == [4, 8, 12, 16, 20, 24, 25]
            assert int(listed.resource_version) > 0

    run(work)


def test_a_change_between_pages_is_not_seen(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 10)
            late = asyncio.Event()

            def after_a_page(count):
                if count == 5:
                    late.set()

            async def change():
                await late.wait()
                await send(client, "DELETE", CONFIG_MAPS.path(namespace, "cm-00009"))
                await send(
                    client, "POST", CONFIG_MAPS.path(namespace), {"metadata": {"name": "cm-99999"}}
                )

            changing = asyncio.create_task(change())
            which = Which(namespace=namespace, page_objects=5)
            listed = await list_all(client, CONFIG_MAPS, ConfigMap, which, progress=after_a_page)
            await changing
            assert names(listed) == [f"cm-{number:05}" for number in range(10)]

    run(work)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        pytest.param({"labels": "team=a"}, 3, id="labels"),
        pytest.param({"labels": "team notin (a)"}, 2, id="label expressions"),
        pytest.param({"fields": "metadata.name=cm-00001"}, 2, id="fields, all namespaces"),
    ],
)
def test_which_objects(cluster, which, expected):
    async def work():
        async with administered(cluster) as (client, one), administered(cluster) as (_, two):
            await make_config_maps(client, one, 3, team="a")
            await make_config_maps(client, two, 2, team="b")
            listed = await list_all(client, CONFIG_MAPS, ConfigMap, Which(**which))
            found = [one_ for one_ in listed.items if one_.metadata.namespace in {one, two}]
            assert len(found) == expected

    run(work)


def test_metadata_alone_leaves_the_data_on_the_server(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 2)
            which = Which(namespace=namespace, metadata_only=True)
            listed = await list_all(client, CONFIG_MAPS, ConfigMap, which)
            assert names(listed) == ["cm-00000", "cm-00001"]
            assert [one.data for one in listed.items] == [{}, {}]

    run(work)


def test_an_object_that_does_not_fit_harms_only_itself(cluster):
    class Strict(msgspec.Struct):
        metadata: Metadata
        data: dict[str, int]

    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 1)
            good = {"metadata": {"name": "good"}, "data": {}}
            await send(client, "POST", CONFIG_MAPS.path(namespace), good)
            listed = await list_all(client, CONFIG_MAPS, Metadata, Which(namespace=namespace))
            assert (listed.items, listed.misfit_count) == ([], 2)
            listed = await list_all(client, CONFIG_MAPS, Strict, Which(namespace=namespace))
            assert listed.items == []
            assert [one.name for one in listed.misfits] == [
                f"{namespace}/cm-00000",
                f"{namespace}/good",
            ]
            assert "`int`, got `str` - at `$.data[...]`" in listed.misfits[0].why

    run(work)


def test_a_connection_cut_in_the_middle_of_a_page_costs_one_more_try(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 200)
            faults = Faults(cut_after=20_000, times=2)
            async with (
                relay(cluster.server, faults) as address,
                through(cluster, address) as cut_off,
            ):
                which = Which(namespace=namespace, page_objects=100)
                listed = await list_all(cut_off.client, CONFIG_MAPS, ConfigMap, which)
            assert faults.done == 2
            assert names(listed) == [f"cm-{number:05}" for number in range(200)]

    run(work)


def test_a_server_that_always_cuts_is_given_up(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 100)
            async with (
                relay(cluster.server, Faults(cut_after=20_000)) as address,
                through(cluster, address) as cut_off,
            ):
                which = Which(namespace=namespace)
                with pytest.raises(UnreachableError) as caught:
                    await list_all(cut_off.client, CONFIG_MAPS, ConfigMap, which)
            said = f"listing configmaps in namespace '{namespace}', tried 6 times: {address}"
            assert str(caught.value).startswith(said)
            assert "broke off in the middle of an answer" in str(caught.value)
            assert caught.value.fault == "cut"

    run(work)


def test_a_server_that_falls_silent_is_tried_again(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 100)
            faults = Faults(stall_after=20_000, times=1)
            async with relay(cluster.server, faults) as address:
                patience = Patience(silence_s=1.0)
                async with through(cluster, address, patience=patience) as slow:
                    which = Which(namespace=namespace)
                    listed = await list_all(slow.client, CONFIG_MAPS, ConfigMap, which)
            assert (faults.done, len(listed.items)) == (1, 100)

    run(work)


def through(site, address, **how):
    """Return a connection to the same server under another address."""
    access = find(Wish(kubeconfig=str(site.admin_kubeconfig)), {})
    return connected(msgspec.structs.replace(access, server=address), environ={}, **how)


# --- Too old ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forgetful(cluster):
    """A second server beside the first, without the cache that would answer for the store.

    `cluster` is asked for so that this belongs to its tier.
    """
    with start(apiserver_flags=["--watch-cache=false"]) as second:
        yield second.site


async def compact(site):
    """Let the store forget every version but the newest."""
    context = ssl.create_default_context(cafile=str(site.etcd_ca))
    context.load_cert_chain(*map(str, site.etcd_pair))
    async with httpx2.AsyncClient(verify=context, trust_env=False) as etcd:
        answer = await etcd.post(f"{site.etcd_url}/v3/kv/range", json={"key": "AA=="})
        revision = answer.json()["header"]["revision"]
        asked = {"revision": revision, "physical": True}
        answer = await etcd.post(f"{site.etcd_url}/v3/kv/compaction", json=asked)
        answer.raise_for_status()


def test_a_list_that_became_too_old_starts_once_from_the_beginning(forgetful):
    async def work():
        async with administered(forgetful) as (client, namespace):
            await make_config_maps(client, namespace, 300)
            counts = []

            class Compacting:
                """The client, with a store that forgets after the third page."""

                async def send(self, request, *, doing):
                    reply = await client.send(request, doing=doing)
                    if len(counts) == 2:
                        created = {"metadata": {"name": "cm-late"}}
                        await send(client, "POST", CONFIG_MAPS.path(namespace), created)
                        await compact(forgetful)
                    return reply

            which = Which(namespace=namespace, page_objects=2)
            listed = await list_all(
                Compacting(), CONFIG_MAPS, ConfigMap, which, progress=counts.append
            )
            assert counts == [2, 4, 6, 301]  # three pages, then everything at once
            assert names(listed) == [*(f"cm-{number:05}" for number in range(300)), "cm-late"]

    run(work)


def test_the_server_really_says_gone(forgetful):
    async def work():
        async with administered(forgetful) as (client, namespace):
            await make_config_maps(client, namespace, 5)
            path = CONFIG_MAPS.path(namespace)
            page = await send(client, "GET", f"{path}?limit=2")
            await send(client, "DELETE", CONFIG_MAPS.path(namespace, "cm-00000"))
            await compact(forgetful)
            with pytest.raises(ApiError) as caught:
                await send(client, "GET", f"{path}?limit=2&continue={page['metadata']['continue']}")
            assert (caught.value.status, caught.value.reason) == (410, "Expired")

    run(work)


def test_two_servers_side_by_side_know_nothing_of_each_other(cluster, forgetful):
    async def work():
        async with (
            administered(cluster) as (client, namespace),
            using(forgetful.admin_kubeconfig) as other,
        ):
            await make_config_maps(client, namespace, 1)
            listed = await list_all(
                other.client, CONFIG_MAPS, ConfigMap, Which(namespace=namespace)
            )
            assert listed.items == []

    assert cluster.server != forgetful.server
    assert cluster.ca_pem != forgetful.ca_pem
    run(work)
