"""What is shown to the server with one request, and where it comes from."""

from typing import Protocol

import msgspec

from gpuyard.kube.secret import Secret


class ClientCertificate(msgspec.Struct, frozen=True):
    """A certificate chain and its key as PEM."""

    certificate_pem: bytes
    key_pem: Secret


class Identity(msgspec.Struct, frozen=True):
    """An ``Authorization`` header, a client certificate, both or neither."""

    authorization: Secret | None = None
    certificate: ClientCertificate | None = None


class Source(Protocol):
    """Gives credentials that are good now."""

    async def identity(self) -> Identity:
        """Return current credentials, renewed where they are known to be over."""

    def forget(self) -> bool:
        """Hear that the server refused them; say whether other ones may now be had."""

    def remedy(self) -> str:
        """Return what a person can do about a refusal: a clause such as "renew FILE"."""
