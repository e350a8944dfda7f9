"""What a server serves, what we may do there, what we can read, and what a write would give."""

import msgspec
import pytest

from gpuyard.kube import dry_run
from gpuyard.kube.discovery.read import discover
from gpuyard.kube.errors import ApiError
from gpuyard.kube.gather import gather
from gpuyard.kube.listing import Which, list_all
from gpuyard.kube.resources import Resource
from gpuyard.kube.rights import Right, missing_rights
from tests.cluster_world import (
    CONFIG_MAPS,
    NAMESPACES,
    administered,
    grant,
    make_config_maps,
    make_service_account,
    run,
    send,
    unused_name,
    using,
)

PODS = Resource(group="", version="v1", kind="Pod", plural="pods", is_namespaced=True)
APPS = "/apis/apiregistration.k8s.io/v1/apiservices"


# --- Discovery ----------------------------------------------------------------------------------


def test_both_forms_of_discovery_say_the_same(cluster):
    async def work():
        async with using(cluster.admin_kubeconfig) as connection:
            new = await discover(connection.client)
            old = await discover(connection.client, ask_aggregated=False)
            assert (new.unknown, old.unknown) == ({}, {})
            assert set(new.resources) == set(old.resources)
            for one in new.resources:
                assert new.find(one.group, one.kind) == old.find(one.group, one.kind)

    run(work)


def test_kinds_are_found_in_the_preferred_version(cluster):
    async def work():
        async with using(cluster.admin_kubeconfig) as connection:
            served = await discover(connection.client)
            pods = served.find("", "Pod")
            assert (pods.path("team-a"), pods.is_namespaced) == (
                "/api/v1/namespaces/team-a/pods",
                True,
            )
            assert {"list", "watch", "patch"} <= pods.verbs
            assert {"status", "eviction", "binding", "log"} <= pods.subresources
            assert served.find("batch", "Job").api_version == "batch/v1"
            assert served.find("", "Node").is_namespaced is False
            assert served.find("autoscaling", "HorizontalPodAutoscaler").version == "v2"
            old = served.find("autoscaling", "HorizontalPodAutoscaler", version="v1")
            assert old.path("a", "b", "status") == (
                "/apis/autoscaling/v1/namespaces/a/horizontalpodautoscalers/b/status"
            )
            assert served.find("kueue.x-k8s.io", "ClusterQueue") is None

    run(work)


@pytest.mark.parametrize("ask_aggregated", [True, False], ids=["aggregated", "legacy"])
def test_an_api_that_is_down_is_unknown_not_absent(cluster, ask_aggregated):
    group = f"{unused_name('metrics')}.example.com"
    service = {
        "metadata": {"name": f"v1.{group}"},
        "spec": {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "nobody"},
        },
    }

    async def work():
        async with using(cluster.admin_kubeconfig) as connection:
            client = connection.client
            await send(client, "POST", APPS, service)
            try:
                served = await discover(client, ask_aggregated=ask_aggregated)
                assert served.find("", "Pod") is not None
                gathered = await gather(client, served, [(group, "Thing"), ("", "Node")], dict)
                assert gathered.listed.keys() == {("", "Node")}
                (unread,) = gathered.unread
                assert unread.kind == (group, "Thing")
                assert unread.why == "unknown"
            finally:
                await send(client, "DELETE", f"{APPS}/v1.{group}")

    run(work)


# --- Rights -------------------------------------------------------------------------------------


async def limited(cluster, client, namespace, *rules):
    """Return a kubeconfig for a service account with only these rights."""
    token = await make_service_account(client, namespace)
    await grant(client, namespace, "reader", *rules)
    return cluster.kubeconfig(unused_name(), {"token": token})


def test_missing_rights_are_named_one_by_one(cluster):
    async def work():
        async with administered(cluster) as (admin, namespace):
            file = await limited(
                cluster,
                admin,
                namespace,
                (["list", "get"], "", ["pods", "configmaps"]),
                (["*"], "batch", ["*"]),
                (["create"], "", ["pods/eviction"]),
            )
            rights = [
                Right("list", "", "pods", namespace),
                Right("watch", "", "pods", namespace),
                Right("patch", "batch", "jobs", namespace),
                Right("create", "", "pods/eviction", namespace),
                Right("create", "", "pods/binding", namespace),
                Right("list", "", "pods"),
                Right("list", "", "nodes"),
            ]
            async with using(file) as connection:
                missing = await missing_rights(connection.client, rights)
            assert list(map(str, missing)) == [
                f"create pods/binding in namespace '{namespace}'",
                "list nodes in the whole cluster",
                "list pods in the whole cluster",
                f"watch pods in namespace '{namespace}'",
            ]
            async with using(cluster.admin_kubeconfig) as connection:
                assert await missing_rights(connection.client, rights) == ()

    run(work)


def test_a_refusal_names_the_right(cluster):
    async def work():
        async with administered(cluster) as (admin, namespace):
            file = await limited(cluster, admin, namespace)
            async with using(file) as connection:
                with pytest.raises(ApiError) as caught:
                    await list_all(connection.client, PODS, dict, Which(namespace=namespace))
            assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
            said = str(caught.value)
            assert said.startswith(f"listing pods in namespace '{namespace}': pods is forbidden: ")
            assert f"system:serviceaccount:{namespace}:reader" in said
            assert said.endswith(
                "; ask for this right, or name another user with --as or --context"
            )

    run(work)


def test_what_is_readable_is_read_and_the_rest_is_named(cluster):
    wanted = [
        ("", "Node"),
        ("", "ConfigMap"),
        ("", "Secret"),
        ("apps", "Deployment"),
        ("kueue.x-k8s.io", "ClusterQueue"),
        ("authorization.k8s.io", "SelfSubjectAccessReview"),
    ]

    async def work():
        async with administered(cluster) as (admin, namespace):
            await make_config_maps(admin, namespace, 3)
            rule = (["list"], "", ["configmaps"])
            file = await limited(cluster, admin, namespace, rule)
            async with using(file) as connection:
                served = await discover(connection.client)
                found = await gather(
                    connection.client, served, wanted, dict, own_namespace=namespace
                )
            assert found.listed.keys() == {("", "ConfigMap")}
            maps = found.of("", "ConfigMap")
            assert [(one["apiVersion"], one["kind"]) for one in maps] == [("v1", "ConfigMap")] * 3
            assert {one.kind: (one.why, one.seen_in) for one in found.unread} == {
                ("", "Node"): ("forbidden", ""),
                ("", "ConfigMap"): ("forbidden", namespace),
                ("", "Secret"): ("forbidden", ""),
                ("apps", "Deployment"): ("forbidden", ""),
                ("kueue.x-k8s.io", "ClusterQueue"): ("not served", ""),
                ("authorization.k8s.io", "SelfSubjectAccessReview"): ("not served", ""),
            }
            sentences = {one.kind: one.sentence for one in found.unread}
            assert sentences[("apps", "Deployment")] == (
                "Deployment objects were not read: missing right:"
                " list deployments.apps in the whole cluster"
            )
            assert sentences[("", "ConfigMap")].endswith(f"(seen: namespace '{namespace}' only)")
            assert sentences[("kueue.x-k8s.io", "ClusterQueue")] == (
                "the cluster does not serve ClusterQueue of kueue.x-k8s.io"
            )

    run(work)


def test_metadata_alone_goes_by_the_kinds_own_name(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 1)
            served = await discover(client)
            which = Which(namespace=namespace, metadata_only=True)
            found = await gather(client, served, [("", "ConfigMap")], dict, which=which)
            (one,) = found.of("", "ConfigMap")
            assert (one["apiVersion"], one["kind"], "data" in one) == ("v1", "ConfigMap", False)

    run(work)


# --- Acting as somebody -------------------------------------------------------------------------


class UserInfo(msgspec.Struct):
    username: str
    groups: list[str] = []


def test_acting_as_another_user_and_groups(cluster):
    async def work():
        wish = {"impersonate": "anna", "impersonate_groups": ("team-a", "team-b")}
        async with using(cluster.admin_kubeconfig, **wish) as connection:
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            answer = await send(connection.client, "POST", path, {})
            seen = msgspec.convert(answer["status"]["userInfo"], UserInfo)
            assert seen.username == "anna"
            assert {"team-a", "team-b"} <= set(seen.groups)
            with pytest.raises(ApiError, match='User "anna" cannot list resource "namespaces"'):
                await send(connection.client, "GET", NAMESPACES.path())

    run(work)


def test_acting_as_somebody_without_the_right_to(cluster):
    async def work():
        async with administered(cluster) as (admin, namespace):
            file = await limited(cluster, admin, namespace)
            async with using(file, impersonate="anna") as connection:
                with pytest.raises(ApiError, match="cannot impersonate"):
                    await send(connection.client, "GET", NAMESPACES.path())

    run(work)


# --- Dry runs -----------------------------------------------------------------------------------


def config_map(name, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data,
    }


def test_a_dry_run_shows_the_object_and_changes_nothing(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 1)
            before = await list_all(client, CONFIG_MAPS, dict, Which(namespace=namespace))
            made = await dry_run.create(
                client, CONFIG_MAPS, config_map("new", a="1"), dict, namespace=namespace
            )
            assert made.object["metadata"]["uid"]
            assert made.warnings == ()
            changed = await dry_run.apply(
                client, CONFIG_MAPS, config_map("cm-00000", b="2"), dict, namespace=namespace
            )
            assert changed.object["data"] == {"number": "0", "b": "2"}
            after = await list_all(client, CONFIG_MAPS, dict, Which(namespace=namespace))
            assert after.items == before.items

    run(work)


def test_a_dry_run_refuses_what_the_server_would_refuse(cluster):
    async def work():
        async with administered(cluster) as (client, namespace):
            await make_config_maps(client, namespace, 1)
            with pytest.raises(ApiError, match='"cm-00000" already exists') as caught:
                await dry_run.create(
                    client, CONFIG_MAPS, config_map("cm-00000"), dict, namespace=namespace
                )
            assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
            bad = config_map("bad") | {"dta": {}}
            with pytest.raises(ApiError, match='unknown field "dta"'):
                await dry_run.create(client, CONFIG_MAPS, bad, dict, namespace=namespace)
            path = CONFIG_MAPS.path(namespace, "owned") + "?fieldManager=gpuyard-test"
            headers = (("Content-Type", "application/apply-patch+yaml"),)
            await send(client, "PATCH", path, config_map("owned", a="1"), headers=headers)
            with pytest.raises(ApiError, match='conflict with "gpuyard-test"'):
                await dry_run.apply(
                    client, CONFIG_MAPS, config_map("owned", a="2"), dict, namespace=namespace
                )

    run(work)


def test_a_dry_run_passes_on_what_the_server_warns_of(cluster):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old"},
        "spec": {
            "containers": [{"name": "a", "image": "a"}],
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
        },
    }

    async def work():
        async with administered(cluster) as (client, namespace):
            made = await dry_run.create(client, PODS, pod, dict, namespace=namespace)
            (warning,) = made.warnings
            assert warning.startswith("spec.nodeSelector[beta.kubernetes.io/os]: deprecated since")

    run(work)
