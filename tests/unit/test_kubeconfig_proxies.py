"""Which proxy the environment asks for: the same values mean the same as for kubectl."""

import pytest

from gpuyard.kube.kubeconfig.proxies import from_environment

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "no_proxy", "is_proxied"),
    [
        pytest.param("https://api.corp.example", "", True, id="nobody is left out"),
        pytest.param("https://api.corp.example", "corp.example", False, id="a domain"),
        pytest.param("https://corp.example", "corp.example", False, id="the host itself"),
        pytest.param("https://xcorp.example", "corp.example", True, id="an ending is no domain"),
        pytest.param("https://api.corp.example", ".corp.example", False, id="only below"),
        pytest.param("https://corp.example", ".corp.example", True, id="only below, not itself"),
        pytest.param("https://api.corp.example", "*.corp.example", False, id="a star before it"),
        pytest.param("https://api.corp.example", "a, CORP.example ,b", False, id="spaces, case"),
        pytest.param("https://API.corp.example", "api.corp.example", False, id="case of the host"),
        pytest.param("https://api.corp.example", "*", False, id="everybody"),
        pytest.param("https://api.corp.example:6443", "corp.example:6443", False, id="its port"),
        pytest.param("https://api.corp.example:6443", "corp.example:443", True, id="another port"),
        pytest.param("https://api.corp.example", "corp.example:443", False, id="the usual port"),
        pytest.param("https://10.1.2.3:6443", "10.0.0.0/8", False, id="an address range"),
        pytest.param("https://11.1.2.3:6443", "10.0.0.0/8", True, id="outside of it"),
        pytest.param("https://10.1.2.3:6443", "10.1.2.3", False, id="an address"),
        pytest.param("https://10.1.2.3:6443", "10.1.2.3:443", True, id="an address, another port"),
        pytest.param("https://[fd00::1]:6443", "fd00::/8", False, id="a range of version six"),
        pytest.param("https://[fd00::1]:6443", "fd00::1", False, id="an address of version six"),
        pytest.param("https://[fd00::1]:6443", "[fd00::1]:6443", False, id="with its port"),
        pytest.param("https://api.corp.example", "10.0.0.0/8", True, id="a name is in no range"),
        pytest.param("https://api.corp.example", "10.0.0.0/x", True, id="nonsense covers nobody"),
        pytest.param("https://api.corp.example", ",,", True, id="nothing between commas"),
        pytest.param("https://localhost:6443", "", False, id="this machine by name"),
        pytest.param("https://127.0.0.1:6443", "", False, id="this machine"),
        pytest.param("https://127.9.9.9:6443", "", False, id="all of loopback"),
        pytest.param("https://[::1]:6443", "", False, id="loopback of version six"),
    ],
)
def test_who_is_proxied(server, no_proxy, is_proxied):
    found = from_environment(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy})
    assert (found.reveal() if found else None) == (PROXY if is_proxied else None)


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        pytest.param("https://a", {"HTTPS_PROXY": PROXY}, PROXY, id="upper case"),
        pytest.param("https://a", {"https_proxy": PROXY}, PROXY, id="lower case"),
        pytest.param("https://a", {"HTTPS_PROXY": "proxy:1"}, "http://proxy:1", id="no scheme"),
        pytest.param("https://a", {"HTTP_PROXY": PROXY}, None, id="the other scheme's"),
        pytest.param("https://a", {"HTTPS_PROXY": PROXY, "no_proxy": "a"}, None, id="no_proxy"),
        pytest.param("https://a", {}, None, id="none"),
    ],
)
def test_which_variable_counts(server, environ, expected):
    found = from_environment(server, environ)
    assert (found.reveal() if found else None) == expected
