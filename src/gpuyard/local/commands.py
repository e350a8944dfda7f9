"""The command lines of a cluster's programs: files and ports in, arguments out.

etcd does not wait for the disk, because nothing here has to survive a power cut. Everything listens
on loopback only, and everybody shows a certificate, etcd included: other users of the machine are
not let in. ServiceAccount admission is off where no controller-manager makes service accounts, or
no pod could be created.

Flags: kube-apiserver, kube-controller-manager, kube-scheduler 1.34 to 1.37, etcd 3.6 and 3.7.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gpuyard.local.ports import LOOPBACK

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ISSUER = "https://kubernetes.default.svc"
SERVER_NAMES = (
    LOOPBACK,
    "localhost",
    "kubernetes",
    "kubernetes.default.svc",
    "10.96.0.1",  # the first address of the service range is the API server's
)


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Where the cluster's certificates and keys lie."""

    folder: Path
    ca: tuple[Path, Path]
    etcd_ca: tuple[Path, Path]
    server: tuple[Path, Path]
    etcd: tuple[Path, Path]
    service_accounts: Path


class Ports(msgspec.Struct, frozen=True):
    """Which ports the programs listen on."""

    server: int
    etcd: int
    etcd_peers: int


def etcd(program: Path, files: Files, ports: Ports) -> list[str]:
    """Return how to run etcd."""
    clients, peers = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peers}"
    certificate, key = map(str, files.etcd)
    return [
        str(program),
        f"--data-dir={files.folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        "--client-cert-auth",
        f"--trusted-ca-file={files.etcd_ca[0]}",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={files.etcd_ca[0]}",
        "--log-level=warn",
    ]


def apiserver(
    program: Path, files: Files, ports: Ports, *, has_controllers: bool, extra: Sequence[str]
) -> list[str]:
    """Return how to run kube-apiserver; `extra` comes last and so has the last word."""
    off = [] if has_controllers else ["--disable-admission-plugins=ServiceAccount"]
    return [
        str(program),
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={files.etcd_ca[0]}",
        f"--etcd-certfile={files.etcd[0]}",
        f"--etcd-keyfile={files.etcd[1]}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",  # a loopback address is no endpoint
        f"--secure-port={ports.server}",
        f"--cert-dir={files.folder / 'apiserver'}",
        f"--tls-cert-file={files.server[0]}",
        f"--tls-private-key-file={files.server[1]}",
        f"--client-ca-file={files.ca[0]}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={SERVICE_ISSUER}",
        f"--service-account-key-file={files.service_accounts}",
        f"--service-account-signing-key-file={files.service_accounts}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged",
        "--profiling=false",
        *off,
        *extra,
    ]


def controllers(program: Path, files: Files, kubeconfig: Path) -> list[str]:
    """Return how to run kube-controller-manager."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={files.service_accounts}",
        f"--root-ca-file={files.ca[0]}",
        f"--cluster-signing-cert-file={files.ca[0]}",
        f"--cluster-signing-key-file={files.ca[1]}",
    ]


def scheduler(program: Path, kubeconfig: Path) -> list[str]:
    """Return how to run kube-scheduler."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--authentication-skip-lookup",
        "--secure-port=0",
    ]


def needed_programs(*, controllers: bool, scheduler: bool) -> tuple[str, ...]:
    """Return the programs of such a cluster, in the order in which they start."""
    wanted: Mapping[str, bool] = {
        "etcd": True,
        "kube-apiserver": True,
        "kube-controller-manager": controllers,
        "kube-scheduler": scheduler,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)
