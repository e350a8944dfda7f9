"""Clusters on this machine: they start, live side by side, and leave nothing, however they end."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpuyard.local import cluster as local_cluster
from gpuyard.local.cluster import start
from gpuyard.local.errors import LocalError
from gpuyard.local.kept import sweep
from gpuyard.local.ports import free_ports
from gpuyard.local.site import open_site
from tests.cluster_world import administered, run, send, using
from tests.processes import processes_with, wait_until

OWNER = """
import sys, time
from gpuyard.local.cluster import start
cluster = start()
print(cluster.site.folder, flush=True)
time.sleep(600)
"""


@pytest.fixture
def own_temp(tmp_path, monkeypatch, cluster):
    """A place for temporary files that nobody else uses; `cluster` puts the test into its tier."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_a_cluster_that_is_stopped_leaves_nothing(own_temp):
    with start() as one:
        folder = one.site.folder
        assert folder.parent == own_temp
        names = {Path(line.split()[0]).name for line in processes_with(str(folder)).values()}
        assert {"etcd", "kube-apiserver"} <= names
    assert processes_with(str(folder)) == {}
    assert list(own_temp.iterdir()) == []
    one.stop()


@pytest.mark.parametrize("victim", ["owner", "owner and keeper"])
def test_a_cluster_whose_owner_is_killed_leaves_nothing(own_temp, victim):
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    with owner:
        folder = Path(owner.stdout.readline().strip())
        running = processes_with(str(folder))
        assert len(running) == 3
        keepers = [pid for pid, line in running.items() if "gpuyard.local.keeper" in line]
        assert len(keepers) == 1
        owner.kill()
        if victim == "owner and keeper":
            os.kill(keepers[0], signal.SIGKILL)
    wait_until(lambda: not processes_with(str(folder)))
    if victim == "owner and keeper":
        assert folder.exists()
        sweep()
    wait_until(lambda: not folder.exists())
    assert list(own_temp.iterdir()) == []


def test_a_keeper_that_is_killed_takes_its_programs_along(own_temp):
    with start() as one:
        folder = one.site.folder
        running = processes_with(str(folder))
        keeper = next(pid for pid, line in running.items() if "gpuyard.local.keeper" in line)
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: set(processes_with(str(folder))) <= {keeper})
        with pytest.raises(LocalError, match="the process that keeps it is gone"):
            one.signal("etcd", signal.SIGSTOP)
    assert list(own_temp.iterdir()) == []


def test_two_clusters_side_by_side(cluster, own_temp):
    async def sees(site, namespace):
        async with using(site.admin_kubeconfig) as connection:
            answer = await send(connection.client, "GET", "/api/v1/namespaces")
            return namespace in {item["metadata"]["name"] for item in answer["items"]}

    async def work(other):
        async with administered(cluster) as (_, namespace):
            assert await sees(cluster, namespace)
            assert not await sees(other.site, namespace)
            sweep()  # spares what is alive
            other.stop()
            assert await sees(cluster, namespace)

    with start() as other:
        assert set(ports_of(cluster)) & set(ports_of(other.site)) == set()
        run(lambda: work(other))


def ports_of(site):
    return [site.ports.server, site.ports.etcd, site.ports.etcd_peers]


def test_only_the_owner_can_read_what_is_secret(cluster):
    folder = cluster.folder
    cluster.kubeconfig("anna", cluster.user("anna"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [*folder.glob("*.key"), *folder.glob("*.kubeconfig"), *folder.glob("*.json")]
    assert len(files) >= 6
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    key = (folder / "ca.key").read_text().splitlines()[1]
    running = processes_with(str(folder))
    assert len(running) >= 3
    for pid, line in running.items():
        assert key not in line
        assert key not in Path(f"/proc/{pid}/environ").read_text()
    logs = "".join(file.read_text() for file in (folder / "logs").iterdir())
    assert logs
    assert "PRIVATE KEY" not in logs
    assert key not in logs


def test_a_port_that_was_taken_in_the_last_moment_is_not_the_end(own_temp, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        offers = iter([taken.getsockname()[1]])

        def unlucky(count):
            ports = free_ports(count)
            return [next(offers, ports[0]), *ports[1:]]

        monkeypatch.setattr(local_cluster, "free_ports", unlucky)
        with start() as one:
            assert one.site.ports.server != taken.getsockname()[1]
    assert list(own_temp.iterdir()) == []


def test_a_server_that_does_not_start_says_why(own_temp):
    with pytest.raises(LocalError) as caught:
        start(apiserver_flags=["--no-such-flag"])
    said = str(caught.value)
    assert said.startswith("starting Kubernetes 1.")
    assert "kube-apiserver ended with status 1" in said
    assert "unknown flag: --no-such-flag" in said
    assert list(own_temp.iterdir()) == []


def test_a_site_can_be_opened_by_its_folder(cluster, tmp_path):
    again = open_site(cluster.folder)
    assert (again.server, again.version) == (cluster.server, cluster.version)

    async def work():
        async with using(again.kubeconfig("opened", again.user("anna", "system:masters"))) as one:
            assert (await send(one.client, "GET", "/version"))["gitVersion"] == f"v{again.version}"

    run(work)
    with pytest.raises(LocalError, match="there is none"):
        open_site(tmp_path)


def test_controllers_and_a_scheduler_do_their_work(own_temp):
    pod = {"containers": [{"name": "a", "image": "a"}]}
    deployment = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    }
    node = {
        "metadata": {"name": "node-1"},
        "status": {
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }

    async def work(site):
        async with administered(site) as (client, namespace):
            await send(client, "POST", "/api/v1/nodes", node)
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
            await send(client, "POST", path, deployment)
            for _ in range(400):
                answer = await send(client, "GET", f"/api/v1/namespaces/{namespace}/pods")
                nodes = [one["spec"].get("nodeName") for one in answer["items"]]
                if nodes == ["node-1", "node-1"]:
                    return
                await asyncio.sleep(0.1)
            raise AssertionError(answer)

    with start(controllers=True, scheduler=True) as one:
        run(lambda: work(one.site))
    assert list(own_temp.iterdir()) == []
