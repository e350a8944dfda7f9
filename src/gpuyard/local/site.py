"""A cluster's folder: its certificates, its addresses, the kubeconfigs made for it.

`make` writes one, `open_site` reads it again, from any process of the same user. Whoever has the
site can reach the cluster as anybody; it says nothing about whether the programs run.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpuyard.kube.authority import VALID_FOR, Authority, Pair, signing_key
from gpuyard.kube.secret import Secret
from gpuyard.local import commands
from gpuyard.local.credentials import (
    kubeconfig_text,
    user_of_pair,
    write_pair,
    write_private,
)
from gpuyard.local.errors import LocalError
from gpuyard.local.ports import LOOPBACK

ADMINS = "system:masters"
CARD_NAME = "cluster.json"


class Card(msgspec.Struct, frozen=True):
    """What cannot be told from the certificates."""

    version: str
    ports: commands.Ports


class Site:
    """Where a cluster lies and how to reach it. Each file with a credential has mode 0600.

    `server` is the API server's address and `ca_pem` proves it; `etcd_url` with the certificate
    files `etcd_pair` and `etcd_ca` reaches the store, for tests that meddle with it.
    """

    def __init__(self, folder: Path, card: Card, authority: Authority) -> None:
        self.folder = folder
        self.version = card.version
        self.ports = card.ports
        self.authority = authority
        self.ca_pem = authority.pair.certificate_pem
        self.server = f"https://{LOOPBACK}:{card.ports.server}"
        self.etcd_url = f"https://{LOOPBACK}:{card.ports.etcd}"
        self.etcd_ca = folder / "etcd-ca.crt"
        self.etcd_pair = (folder / "etcd.crt", folder / "etcd.key")
        self.admin_kubeconfig = folder / "admin.kubeconfig"

    def user(
        self, name: str, *groups: str, valid_for: dt.timedelta = VALID_FOR
    ) -> dict[str, object]:
        """Return a user known by a new certificate, in kubeconfig's own fields."""
        return user_of_pair(self.authority.client(name, groups, valid_for))

    def kubeconfig(self, name: str, user: Mapping[str, object]) -> Path:
        """Write a kubeconfig for a user, in kubeconfig's own fields; return the file."""
        text = kubeconfig_text(self.server, self.ca_pem, user)
        return write_private(self.folder / f"{name}.kubeconfig", text)


def make(folder: Path, card: Card) -> tuple[Site, commands.Files]:
    """Write certificates, keys and the administrator's kubeconfig of a new cluster."""
    authority = Authority.new("gpuyard-local")
    etcd = Authority.new("gpuyard-local-etcd")  # another: its clients may read everything
    files = commands.Files(
        folder=folder,
        ca=write_pair(folder, "ca", authority.pair),
        etcd_ca=write_pair(folder, "etcd-ca", etcd.pair),
        server=write_pair(folder, "server", authority.server(commands.SERVER_NAMES)),
        etcd=write_pair(folder, "etcd", etcd.server((LOOPBACK, "localhost"))),
        service_accounts=write_private(
            folder / "service-accounts.key", signing_key().reveal().encode()
        ),
    )
    site = Site(folder, card, authority)
    site.kubeconfig("admin", site.user("admin", ADMINS))
    write_private(folder / CARD_NAME, msgspec.json.encode(card))
    return site, files


def open_site(folder: Path) -> Site:
    """Return the site in a folder.

    Raises
    ------
    LocalError
        where there is none.

    """
    try:
        card = msgspec.json.decode((folder / CARD_NAME).read_bytes(), type=Card)
        pair = Pair(
            (folder / "ca.crt").read_bytes(),
            Secret((folder / "ca.key").read_text(encoding="ascii")),
        )
        return Site(folder, card, Authority(pair))
    except (OSError, ValueError):
        raise LocalError(
            f"opening the cluster in {folder}: there is none; start one, or name another folder"
        ) from None
