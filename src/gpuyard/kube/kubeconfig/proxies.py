"""The proxy that the environment asks for, by the rules of Go's programs.

People set ``HTTPS_PROXY`` and ``NO_PROXY`` for kubectl, so the same values must mean the same here:
a host in ``NO_PROXY`` also covers its subdomains, ``.x`` only those, ``host:port`` one port, an
address range is written as CIDR, ``*`` is everything, and a loopback address is never proxied.

Semantics: golang.org/x/net/http/httpproxy (config.go).
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from gpuyard.kube.secret import Secret

PORT_OF_SCHEME = {"http": 80, "https": 443}


def from_environment(server: str, environ: Mapping[str, str]) -> Secret | None:
    """Return the proxy address for `server` (it may hold a password), or None for none."""
    url = urlsplit(server)
    name = "HTTPS_PROXY" if url.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    host = (url.hostname or "").rstrip(".")
    if not proxy or not host or _is_loopback(host):
        return None
    unproxied = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    port = url.port or PORT_OF_SCHEME.get(url.scheme, 0)
    if any(_covers(entry.strip().lower(), host, port) for entry in unproxied.split(",")):
        return None
    return Secret(proxy if "://" in proxy else f"http://{proxy}")


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _covers(entry: str, host: str, port: int) -> bool:
    """Say whether one entry of ``NO_PROXY`` covers a host and port."""
    if not entry:
        return False
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
        return address is not None and address in network
    name, named_port = _split_port(entry)
    if named_port is not None and named_port != port:
        return False
    if address is not None:
        return _address(name) == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else _is_in_domain(host, name)


def _is_in_domain(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _split_port(entry: str) -> tuple[str, int | None]:
    if _address(entry) is not None:  # an IPv6 address has colons of its own
        return entry, None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        return name.strip("[]"), int(port)
    return entry, None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
