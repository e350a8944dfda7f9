"""The TLS side of an `Access`: whom we believe, what we show, and what a failure means.

The server is always verified, by the kubeconfig's authority or the system's, unless the kubeconfig
itself says otherwise. Verification follows what kubectl (Go) accepts: any given certificate may
anchor a chain, names must be in subjectAltName, and authorities without a key identifier pass,
which Python ≥ 3.13 would refuse by default (VERIFY_X509_STRICT) although many clusters have one.
"""

import ssl
import tempfile
from pathlib import Path

from gpuyard.kube.access import Trust
from gpuyard.kube.errors import CredentialError, KubeconfigError
from gpuyard.kube.login.identity import ClientCertificate

# openssl/x509_vfy.h; the numbers are part of its API
NOT_YET_VALID, EXPIRED, WRONG_HOST, WRONG_ADDRESS = 9, 10, 62, 64
UNKNOWN_AUTHORITY = (18, 19, 20, 21)

ALERTS = {
    "CERTIFICATE_EXPIRED": ("it refuses our client certificate as expired", "renew it"),
    "CERTIFICATE_REQUIRED": (
        "it wants a client certificate",
        "name a user that has one",
    ),
    "BAD_CERTIFICATE": ("it refuses our client certificate", "renew it or name another user"),
    "UNKNOWN_CA": (
        "it does not know who signed our client certificate",
        "name a user of this cluster",
    ),
    "WRONG_VERSION_NUMBER": (
        "it does not speak TLS",
        "check the address, or a proxy on the way",
    ),
}


def context_for(trust: Trust, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """Return the context for connections to one server, showing `certificate` if there is one.

    Raises
    ------
    KubeconfigError, CredentialError
        where the authority or the client certificate is not what it should be.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca_pem is None:
        context.load_default_certs()
    else:
        _believe(context, trust.ca_pem)
    if certificate is not None:
        _show(context, certificate)
    return context


def _believe(context: ssl.SSLContext, ca_pem: bytes) -> None:
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise KubeconfigError(
            "reading the cluster's certificate authority: it holds no PEM certificate;"
            " copy it again from the cluster's owner"
        ) from None


def _show(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Load a client certificate; ``ssl`` takes one only from a file, so there is one for a moment.

    The file lies in a folder that only we may enter.
    """
    joined = certificate.certificate_pem.rstrip() + b"\n" + certificate.key_pem.reveal().encode()
    with tempfile.TemporaryDirectory(prefix="gpuyard-") as folder:
        file = Path(folder) / "client.pem"
        file.write_bytes(joined)
        try:
            context.load_cert_chain(file, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", "") or ""
            wrong = (
                "the key belongs to another certificate"
                if reason == "KEY_VALUES_MISMATCH"
                else "it is not a PEM certificate with an unencrypted PEM key"
            )
            raise CredentialError(
                f"loading the client certificate: {wrong}; get both halves again"
            ) from None


def _no_password() -> str:
    """Answer instead of the terminal: we never ask for a password in the middle of a request."""
    return ""


def explain(error: ssl.SSLError, server: str) -> str:
    """Return what a failed handshake means: what is wrong and what to do, as one clause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_verification(error, server)
    reason = error.reason or ""
    for name, (wrong, remedy) in ALERTS.items():
        if name in reason:
            return f"the TLS handshake with {server} failed: {wrong}; {remedy}"
    said = reason.replace("_", " ").lower() or "no reason given"
    return f"the TLS handshake with {server} failed ({said}); check the address and any proxy"


def _explain_verification(error: ssl.SSLCertVerificationError, server: str) -> str:
    code = error.verify_code
    if code == EXPIRED:
        return f"the certificate of {server} has expired; its owner must renew it"
    if code == NOT_YET_VALID:
        return f"the certificate of {server} is not valid yet; compare this machine's clock"
    if code in {WRONG_HOST, WRONG_ADDRESS}:
        said = error.verify_message.rstrip(".")
        return (
            f"the certificate of {server} belongs to somebody else ({said}); correct the address"
            " or set tls-server-name"
        )
    if code in UNKNOWN_AUTHORITY:
        return (
            f"the certificate of {server} is signed by an authority that is not trusted here;"
            " put the cluster's certificate-authority into the kubeconfig"
        )
    return f"the certificate of {server} is not accepted ({error.verify_message}); renew it"
