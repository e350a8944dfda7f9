"""The way to the server: through proxies, past nobody, never in clear."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl

import msgspec
import pytest

from gpuyard.kube.access import Login
from gpuyard.kube.connect import connected
from gpuyard.kube.errors import KubeconfigError, UnreachableError
from gpuyard.kube.http_transport import Patience
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.secret import Secret
from tests.cluster_world import NAMESPACES, run, send
from tests.tcp_proxies import Faults, relay, tunnel

HOUR = dt.timedelta(hours=1)


def access_to(cluster, **changes):
    access = find(Wish(kubeconfig=str(cluster.admin_kubeconfig)), {})
    return msgspec.structs.replace(access, **changes)


async def names(connection):
    answer = await send(connection.client, "GET", NAMESPACES.path())
    return {one["metadata"]["name"] for one in answer["items"]}


@pytest.mark.parametrize("password", [None, "anna:geheim"], ids=["open", "with a password"])
def test_a_proxy_is_asked_to_connect_and_sees_only_bytes(cluster, password):
    async def work():
        async with tunnel(password) as (address, asked):
            login = f"{password}@" if password else ""
            proxy = Secret(address.replace("//", f"//{login}"))
            async with connected(access_to(cluster, proxy=proxy), environ={}) as connection:
                assert "kube-system" in await names(connection)
        assert asked == [("CONNECT", cluster.server.removeprefix("https://"))]

    run(work)


def test_a_kubeconfig_names_its_proxy(cluster, tmp_path):
    async def work():
        async with tunnel() as (address, asked):
            config = msgspec.json.decode(cluster.admin_kubeconfig.read_bytes())
            config["clusters"][0]["cluster"]["proxy-url"] = address
            file = tmp_path / "proxied.kubeconfig"
            file.write_bytes(msgspec.json.encode(config))
            async with connected(Wish(kubeconfig=str(file)), environ={}) as connection:
                await names(connection)
        assert len(asked) == 1

    run(work)


def test_the_environment_names_a_proxy_but_not_for_this_machine(cluster):
    environ = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    access = find(Wish(kubeconfig=str(cluster.admin_kubeconfig)), environ)
    assert access.proxy is None

    async def work():
        async with connected(access, environ=environ) as connection:
            assert "kube-system" in await names(connection)

    run(work)


def test_a_proxy_that_wants_another_password_is_named_without_it(cluster):
    async def work():
        async with tunnel("anna:geheim") as (address, _):
            proxy = Secret(address.replace("//", "//anna:falsch@"))
            async with connected(access_to(cluster, proxy=proxy), environ={}) as connection:
                with pytest.raises(UnreachableError, match="407") as caught:
                    await names(connection)
        said = str(caught.value)
        assert f"the proxy {address.removeprefix('http://')} does not let us through" in said
        assert "falsch" not in said
        assert caught.value.fault == "proxy"

    run(work)


def test_a_proxy_that_is_not_there(cluster):
    async def work():
        proxy = Secret(f"http://anna:geheim@127.0.0.1:{unused_port()}")
        async with connected(access_to(cluster, proxy=proxy), environ={}) as connection:
            with pytest.raises(UnreachableError, match=r"cannot be reached \(connection refused"):
                await names(connection)

    run(work)


def test_a_proxy_whose_address_makes_no_sense_is_not_shown(cluster):
    async def work():
        access = access_to(cluster, proxy=Secret("ftp://anna:geheim@proxy"))
        async with connected(access, environ={}):
            pass

    with pytest.raises(KubeconfigError, match="no address of the form") as caught:
        run(work)
    assert "geheim" not in str(caught.value)


def test_nobody_at_the_address(cluster):
    server = f"https://127.0.0.1:{unused_port()}"

    async def work():
        async with connected(access_to(cluster, server=server), environ={}) as connection:
            with pytest.raises(UnreachableError) as caught:
                await names(connection)
            assert str(caught.value) == (
                f"GET /api/v1/namespaces, tried 3 times: {server} cannot be reached"
                " (connection refused); check its address, VPN and firewall"
            )

    run(work)


def test_a_name_that_is_not_known(cluster):
    async def work():
        access = access_to(cluster, server="https://gpuyard.invalid:6443")
        async with connected(access, environ={}) as connection:
            with pytest.raises(UnreachableError, match="its name is not known"):
                await names(connection)

    run(work)


def test_somebody_who_does_not_speak_tls(cluster):
    async def work():
        async def answer(_reader, writer):
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
            server = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
            async with connected(access_to(cluster, server=server), environ={}) as connection:
                with pytest.raises(UnreachableError, match="does not speak TLS") as caught:
                    await names(connection)
            assert caught.value.fault == "tls"

    run(work)


@contextlib.asynccontextmanager
async def impostor(tmp_path, pair, **settings):
    """Give the address of a TLS server that is not the API server, and ends each connection.

    It blocks, in a thread: asyncio's own TLS closes a failed handshake without saying why.
    """
    file = tmp_path / "impostor.pem"
    file.write_bytes(pair.certificate_pem + pair.key_pem.reveal().encode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    for name, value in settings.items():
        setattr(context, name, value)

    def shake_hands(connection):
        connection.settimeout(10)
        with context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ) as wrapped:
            with contextlib.suppress(ssl.SSLError):
                wrapped.do_handshake()
            with contextlib.suppress(OSError):
                while socket.socket.recv(wrapped, 4096):  # closing too early would cost our words
                    pass

    def serve(listener):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                if connection.recv(1, socket.MSG_PEEK) == b"":
                    return
                shake_hands(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            socket.create_connection(listener.getsockname()).close()  # tells it to end
            await serving


@pytest.mark.parametrize(
    ("hosts", "valid_for", "said"),
    [
        pytest.param(["127.0.0.1"], -HOUR, "has expired; its owner must renew it", id="expired"),
        pytest.param(["10.0.0.1"], HOUR, "(IP address mismatch", id="another address"),
    ],
)
def test_a_server_whose_certificate_is_wrong(cluster, tmp_path, hosts, valid_for, said):
    async def work():
        pair = cluster.authority.server(hosts, valid_for)
        async with (
            impostor(tmp_path, pair) as server,
            connected(access_to(cluster, server=server), environ={}) as connection,
        ):
            with pytest.raises(UnreachableError) as caught:
                await names(connection)
            assert said in str(caught.value)
            assert caught.value.fault == "tls"

    run(work)


def test_a_server_that_insists_on_a_client_certificate(cluster, tmp_path):
    async def work():
        pair = cluster.authority.server(["127.0.0.1"])
        token = Login(user="anna", token=Secret("geheim"))
        async with (
            impostor(tmp_path, pair, verify_mode=ssl.CERT_REQUIRED) as server,
            connected(access_to(cluster, server=server, login=token), environ={}) as connection,
        ):
            with pytest.raises(UnreachableError, match="wants a client certificate") as caught:
                await names(connection)
            assert caught.value.fault == "tls"

    run(work)


def test_a_proxy_that_speaks_socks_says_what_is_missing(cluster):
    async def work():
        async with connected(access_to(cluster, proxy=Secret("socks5://proxy:1")), environ={}):
            pass

    with pytest.raises(KubeconfigError, match=r"pip install 'httpx2\[socks\]'"):
        run(work)


def test_a_server_that_says_nothing_at_all(cluster):
    async def work():
        async with relay(cluster.server, Faults(stall_after=0)) as address:
            access, patience = access_to(cluster, server=address), Patience(connect_s=0.5)
            async with connected(access, environ={}, patience=patience) as connection:
                with pytest.raises(UnreachableError, match="no connection in time") as caught:
                    await names(connection)
            assert caught.value.fault == "connect"

    run(work)


def unused_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
