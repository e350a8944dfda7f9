"""The files of a cluster that must not be read by others: keys and kubeconfigs.

Everything lies in the cluster's own folder, which only its owner may enter, and each file is
created with mode 0600, not changed to it afterwards. A kubeconfig is written as JSON, which every
reader of kubeconfigs takes.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpuyard.kube.authority import Pair
from gpuyard.kube.secret import Secret

CONTEXT = "gpuyard-local"


def write_private(file: Path, content: bytes) -> Path:
    """Write a new file, or replace one whole, that only we may read."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    return part.rename(file)


def write_pair(folder: Path, name: str, pair: Pair) -> tuple[Path, Path]:
    """Write a certificate and its key; return both paths."""
    certificate = write_private(folder / f"{name}.crt", pair.certificate_pem)
    return certificate, write_private(folder / f"{name}.key", pair.key_pem.reveal().encode())


def kubeconfig_text(server: str, ca_pem: bytes, user: Mapping[str, object]) -> bytes:
    """Return a kubeconfig with one context; `user` has kubeconfig's own field names."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": dict(user)}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }
    return msgspec.json.encode(whole)


def user_of_pair(pair: Pair) -> dict[str, object]:
    """Return a kubeconfig's user for a client certificate; it holds the key in clear."""
    return {
        "client-certificate-data": base64.b64encode(pair.certificate_pem).decode(),
        "client-key-data": base64.b64encode(pair.key_pem.reveal().encode()).decode(),
    }


def user_of_token(token: Secret) -> dict[str, object]:
    """Return a kubeconfig's user for a token; it holds the token in clear."""
    return {"token": token.reveal()}
