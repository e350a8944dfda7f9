"""From merged kubeconfigs to one way into one cluster, and every reason why there is none."""

import base64
import os

import msgspec
import pytest

from gpuyard.kube.access import Access, CertificateFiles, Impersonation
from gpuyard.kube.errors import KubeconfigError
from gpuyard.kube.kubeconfig.choose import Wish
from gpuyard.kube.kubeconfig.find import find
from gpuyard.kube.secret import Secret

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PEM64 = base64.b64encode(PEM).decode()
SERVER = "https://api.example:6443"
PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "aws",
    "interactiveMode": "IfAvailable",
}


@pytest.fixture
def write(tmp_path):
    """A function that writes a kubeconfig with one user, cluster and context, and reads it."""

    def write_and_find(*, cluster=None, user=None, context=None, environ=None, wished=None, **wish):
        config = {
            "current-context": "dev",
            "clusters": [{"name": "c", "cluster": {"server": SERVER} | (cluster or {})}],
            "users": [{"name": "anna", "user": user or {}}],
            "contexts": [
                {"name": name, "context": {"cluster": "c", "user": "anna"} | (context or {})}
                for name in ("dev", "prod", "stage")
            ],
        }
        file = tmp_path / "config"
        file.write_bytes(msgspec.json.encode(config))
        return find(Wish(kubeconfig=str(file), context=wished, **wish), environ or {})

    return write_and_find


def test_the_current_context_counts(write):
    access = write(context={"namespace": "team"})
    assert (access.context, access.cluster, access.server) == ("dev", "c", SERVER)
    assert (access.namespace, access.login.user) == ("team", "anna")


@pytest.mark.parametrize(
    ("context", "wish", "expected"),
    [
        pytest.param({}, {}, "default", id="nobody says"),
        pytest.param({"namespace": "team"}, {}, "team", id="the context's"),
        pytest.param({"namespace": "team"}, {"namespace": "x"}, "x", id="the command line's"),
    ],
)
def test_namespace(write, context, wish, expected):
    assert write(context=context, **wish).namespace == expected


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        pytest.param("prd", "unknown context 'prd'; did you mean 'prod'? (dev, prod, stage)"),
        pytest.param("zzz", "unknown context 'zzz'; there are: dev, prod, stage"),
    ],
)
def test_a_context_that_is_not_there(write, wish, said):
    with pytest.raises(KubeconfigError) as caught:
        write(wished=wish)
    assert said in str(caught.value)


def test_relative_paths_start_at_the_file_that_names_them(write, tmp_path):
    (tmp_path / "ca.crt").write_bytes(PEM)
    access = write(
        cluster={"certificate-authority": "ca.crt"},
        user={
            "client-certificate": "tls/a.crt",
            "client-key": "/etc/a.key",
            "tokenFile": "token",
        },
    )
    assert access.trust.ca_pem == PEM
    assert access.login.certificate == CertificateFiles(
        certificate=tmp_path / "tls/a.crt", key=tmp_path / "/etc/a.key"
    )
    assert access.login.token_file == tmp_path / "token"


def test_inline_data_wins_over_a_file(write):
    access = write(
        cluster={"certificate-authority": "gone", "certificate-authority-data": PEM64},
        user={
            "client-certificate": "gone",
            "client-certificate-data": PEM64,
            "client-key": "gone",
            "client-key-data": base64.b64encode(b"key").decode(),
        },
    )
    assert access.trust.ca_pem == PEM
    assert access.login.certificate == CertificateFiles(certificate=PEM, key=Secret("key"))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        pytest.param({"server": ""}, "cluster 'c' of {file} has no server", id="no server"),
        pytest.param({"server": "api:6443"}, "is no address of the form", id="no scheme"),
        pytest.param({"server": "https://"}, "is no address of the form", id="no host"),
        pytest.param({"server": "https://a:b"}, "is no address of the form", id="no port"),
        pytest.param({"server": "https://[::1"}, "is no address of the form", id="half an address"),
        pytest.param({"server": "http://api:80"}, "is not encrypted", id="in clear, elsewhere"),
        pytest.param(
            {"certificate-authority": "gone.crt"},
            "certificate-authority {folder}/gone.crt: no such file",
            id="authority missing",
        ),
        pytest.param(
            {"certificate-authority-data": "%"},
            "certificate-authority-data is not base64",
            id="authority no base64",
        ),
        pytest.param(
            {"insecure-skip-tls-verify": True, "certificate-authority-data": PEM64},
            "names a certificate authority and insecure-skip-tls-verify",
            id="verified or not",
        ),
    ],
)
def test_a_cluster_that_cannot_be_used(write, tmp_path, cluster, said):
    with pytest.raises(KubeconfigError) as caught:
        write(cluster=cluster)
    assert said.format(file=tmp_path / "config", folder=tmp_path) in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_in_clear_only_on_this_machine(write, host):
    assert write(cluster={"server": f"http://{host}:8001/"}).server == f"http://{host}:8001"


def test_nothing_verified_is_said(write):
    access = write(cluster={"insecure-skip-tls-verify": True})
    assert access.trust.insecure
    (warning,) = access.warnings
    assert "cluster 'c' is not verified" in warning
    assert write().warnings == ()


@pytest.mark.parametrize(
    ("user", "said"),
    [
        pytest.param({"auth-provider": {"name": "oidc"}}, "the auth-provider 'oidc'", id="oidc"),
        pytest.param(
            {"token": "a", "username": "b", "password": "c"},
            "has a token and a password",
            id="token and password",
        ),
        pytest.param({"client-certificate": "a"}, "add client-key", id="no key"),
        pytest.param({"client-key": "a"}, "add client-certificate", id="no certificate"),
        pytest.param({"client-certificate-data": "%"}, "is not base64", id="no base64"),
        pytest.param({"exec": PLUGIN | {"command": ""}}, "exec has no command", id="no command"),
        pytest.param(
            {"exec": PLUGIN | {"apiVersion": "client.authentication.k8s.io/v1alpha1"}},
            "which is not served any more; did you mean 'client.authentication.k8s.io/v1'?",
            id="an old protocol",
        ),
        pytest.param(
            {"exec": PLUGIN | {"interactiveMode": ""}}, "interactiveMode must be set", id="v1"
        ),
        pytest.param(
            {"exec": PLUGIN | {"interactiveMode": "Allways"}},
            "did you mean 'Always'?",
            id="an unknown mode",
        ),
        pytest.param(
            {"exec": PLUGIN | {"interactiveMode": "Always"}}, "wants a terminal", id="a terminal"
        ),
    ],
)
def test_a_user_that_cannot_be_used(write, tmp_path, user, said):
    with pytest.raises(KubeconfigError) as caught:
        write(user=user)
    assert said in str(caught.value)
    assert f"user 'anna' of {tmp_path / 'config'}" in str(caught.value)


def test_a_token_stops_the_plugin_from_being_asked(write):
    access = write(user={"token": "a", "exec": PLUGIN})
    assert access.login.token == Secret("a")
    assert access.login.exec is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("aws", "aws", id="found on PATH"),
        pytest.param("./bin/aws", "{folder}/bin/aws", id="beside the kubeconfig"),
        pytest.param("/usr/bin/aws", "/usr/bin/aws", id="absolute"),
    ],
)
def test_where_a_plugin_lies(write, tmp_path, command, expected):
    access = write(user={"exec": PLUGIN | {"command": command}})
    assert os.path.normpath(access.login.exec.command) == expected.format(folder=tmp_path)


def test_a_plugin_is_told_about_its_cluster_only_if_it_wants(write):
    cluster = {
        "certificate-authority-data": PEM64,
        "tls-server-name": "api",
        "proxy-url": "http://proxy:3128",
        "extensions": [
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}},
            {"name": "other", "extension": {}},
        ],
    }
    quiet = write(cluster=cluster, user={"exec": PLUGIN})
    assert quiet.login.exec.cluster_info is None
    told = write(cluster=cluster, user={"exec": PLUGIN | {"provideClusterInfo": True}})
    assert msgspec.json.decode(told.login.exec.cluster_info.reveal()) == {
        "server": SERVER,
        "tls-server-name": "api",
        "certificate-authority-data": PEM64,
        "proxy-url": "http://proxy:3128",
        "config": {"audience": "x"},
    }


@pytest.mark.parametrize(
    ("user", "wish", "expected"),
    [
        pytest.param({}, {}, None, id="ourselves"),
        pytest.param(
            {"as": "b", "as-uid": "1", "as-groups": ["g"], "as-user-extra": {"k": ["v"]}},
            {},
            Impersonation(user="b", uid="1", groups=("g",), extra=(("k", ("v",)),)),
            id="the kubeconfig's",
        ),
        pytest.param(
            {"as": "b", "as-uid": "1", "as-groups": ["g"]},
            {"impersonate": "c"},
            Impersonation(user="c"),
            id="the command line's replaces it whole",
        ),
        pytest.param(
            {},
            {"impersonate": "c", "impersonate_groups": ("x", "y")},
            Impersonation(user="c", groups=("x", "y")),
            id="with groups",
        ),
    ],
)
def test_whom_to_act_as(write, user, wish, expected):
    assert write(user=user, **wish).impersonation == expected


@pytest.mark.parametrize(
    ("user", "wish"),
    [
        pytest.param({}, {"impersonate_groups": ("x",)}, id="groups without a user"),
        pytest.param({"as-groups": ["x"]}, {}, id="in the kubeconfig"),
    ],
)
def test_groups_alone_are_nobody(write, user, wish):
    with pytest.raises(KubeconfigError, match="no user is named to act as; add --as USER"):
        write(user=user, **wish)


def test_compression_can_be_switched_off(write):
    assert write().compressed
    assert not write(cluster={"disable-compression": True}).compressed


def test_the_kubeconfigs_proxy_comes_before_the_environments(write):
    environ = {"HTTPS_PROXY": "http://environment:1"}
    assert write(environ=environ).proxy == Secret("http://environment:1")
    named = write(cluster={"proxy-url": "http://kubeconfig:2"}, environ=environ)
    assert named.proxy == Secret("http://kubeconfig:2")


# --- Names that lead nowhere --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param({}, "no context is current; choose one with --context", id="empty"),
        pytest.param(
            {"current-context": "a", "contexts": [{"name": "a"}]}, "names no cluster", id="bare"
        ),
        pytest.param(
            {
                "current-context": "a",
                "contexts": [{"name": "a", "context": {"cluster": "prdo"}}],
                "clusters": [{"name": "prod", "cluster": {"server": SERVER}}],
            },
            "names the unknown cluster 'prdo'; did you mean 'prod'? (prod)",
            id="cluster",
        ),
        pytest.param(
            {
                "current-context": "a",
                "contexts": [{"name": "a", "context": {"cluster": "c", "user": "x"}}],
                "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
            },
            "names the unknown user 'x'; there are none",
            id="user",
        ),
    ],
)
def test_a_kubeconfig_whose_names_lead_nowhere(tmp_path, config, said):
    file = tmp_path / "config"
    file.write_bytes(msgspec.json.encode(config))
    with pytest.raises(KubeconfigError) as caught:
        find(Wish(kubeconfig=str(file)), {})
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_context_without_a_user_is_nobody(tmp_path):
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
    }
    file = tmp_path / "config"
    file.write_bytes(msgspec.json.encode(config))
    access = find(Wish(kubeconfig=str(file)), {})
    assert isinstance(access, Access)
    assert access.login.user == ""


# --- Inside a pod -------------------------------------------------------------------------------


@pytest.fixture
def pod(tmp_path):
    """The folder of a service account, and the environment of its pod."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("t")
    (folder / "ca.crt").write_bytes(PEM)
    (folder / "namespace").write_text("team-a\n")
    environ = {
        "HOME": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
    }
    return folder, environ


def test_a_pod_uses_its_service_account(pod):
    folder, environ = pod
    access = find(Wish(), environ, folder)
    assert (access.server, access.namespace) == ("https://10.0.0.1:443", "team-a")
    assert access.login.token_file == folder / "token"
    assert access.trust.ca_pem == PEM


def test_a_pod_on_version_six(pod):
    folder, environ = pod
    access = find(Wish(), environ | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, folder)
    assert access.server == "https://[fd00::1]:443"


def test_a_kubeconfig_comes_before_the_service_account(pod, tmp_path):
    folder, environ = pod
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
    }
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(msgspec.json.encode(config))
    assert find(Wish(), environ, folder).server == SERVER


def test_a_pod_without_its_authority(pod):
    folder, environ = pod
    (folder / "ca.crt").unlink()
    with pytest.raises(KubeconfigError, match="does the pod set automountServiceAccountToken"):
        find(Wish(), environ, folder)


def test_a_pod_that_acts_as_somebody(pod):
    folder, environ = pod
    access = find(Wish(impersonate="anna", namespace="x"), environ, folder)
    assert access.impersonation == Impersonation(user="anna")
    assert access.namespace == "x"
    with pytest.raises(KubeconfigError, match="no user is named to act as"):
        find(Wish(impersonate_groups=("g",)), environ, folder)


def test_nowhere_a_cluster(tmp_path):
    with pytest.raises(KubeconfigError) as caught:
        find(Wish(), {"HOME": str(tmp_path)}, tmp_path)
    assert str(caught.value) == (
        f"looking for a cluster: {tmp_path}/.kube/config does not exist, and this is no pod;"
        " name a kubeconfig with --kubeconfig or KUBECONFIG"
    )
