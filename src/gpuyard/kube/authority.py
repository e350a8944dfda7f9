"""Certificates of our own: an authority, and what it signs.

For a cluster on this machine, and for a webhook that an API server has to believe. Keys are P-256:
made in a millisecond, and taken by every client. Validity begins `BACKDATED` before now, because a
clock that is a minute behind is common in containers.

Needs ``cryptography``: the extra ``gpuyard[local]`` or ``gpuyard[webhook]``.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from typing import Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gpuyard.kube.secret import Secret

BACKDATED = dt.timedelta(minutes=5)
VALID_FOR = dt.timedelta(days=365)


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its key as PEM."""

    certificate_pem: bytes
    key_pem: Secret


class Authority:
    """Signs for one purpose; who believes its certificate believes what it signs."""

    def __init__(self, pair: Pair) -> None:
        key = serialization.load_pem_private_key(pair.key_pem.reveal().encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("an authority of ours has a key on an elliptic curve")
        self.pair = pair
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(pair.certificate_pem)

    @classmethod
    def new(cls, name: str) -> Self:
        """Return an authority that did not exist before."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, ())
        usage = _key_usage(signs_certificates=True)
        builder = _builder(subject, subject, key.public_key(), VALID_FOR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        certificate = builder.add_extension(usage, True).sign(key, hashes.SHA256())
        return cls(_pair(certificate, key))

    def server(self, hosts: Sequence[str], valid_for: dt.timedelta = VALID_FOR) -> Pair:
        """Return a certificate with which a server proves that it is one of `hosts`.

        It may also be shown as a client, which etcd does to itself.
        """
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        uses = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        return self._signed(_name(hosts[0], ()), uses, valid_for, names)

    def client(
        self, user: str, groups: Sequence[str] = (), valid_for: dt.timedelta = VALID_FOR
    ) -> Pair:
        """Return a certificate with which Kubernetes knows `user`; negative validity is over."""
        uses = (ExtendedKeyUsageOID.CLIENT_AUTH,)
        return self._signed(_name(user, groups), uses, valid_for)

    def _signed(
        self,
        subject: x509.Name,
        uses: Sequence[x509.ObjectIdentifier],
        valid_for: dt.timedelta,
        names: x509.SubjectAlternativeName | None = None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._certificate.subject, key.public_key(), valid_for)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
        builder = builder.add_extension(_key_usage(signs_certificates=False), True)
        if names is not None:
            builder = builder.add_extension(names, False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def signing_key() -> Secret:
    """Return a key, as PEM, with which an API server signs service account tokens."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    valid_for: dt.timedelta,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(tz=dt.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
    builder = builder.public_key(public_key).serial_number(x509.random_serial_number())
    begins = min(now, now + valid_for) - BACKDATED
    builder = builder.not_valid_before(begins).not_valid_after(now + valid_for)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return builder.add_extension(identifier, False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str, groups: Sequence[str]) -> x509.Name:
    """Return a subject: Kubernetes reads the user from CN and the groups from O."""
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # what Go's servers read since ever
        serialization.NoEncryption(),
    )
    return Secret(pem.decode("ascii"))
