"""From when until when a certificate is valid.

The API server answers an expired client certificate with a bare "Unauthorized", so we look at the
date ourselves to tell expired from unknown. Python's ``ssl`` hands out dates only of certificates
that it has verified; hence these few steps through the certificate's DER form: two headers, then
serial number, algorithm, issuer, and the pair of times.

Format: RFC 5280, section 4.1 (Certificate, TBSCertificate, Validity); X.690 for lengths.
"""

import datetime as dt
import ssl
from typing import NamedTuple

SEQUENCE, INTEGER, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0
TIME_FORMATS = {UTC_TIME: "%y%m%d%H%M%S%z", GENERALIZED_TIME: "%Y%m%d%H%M%S%z"}
LONG_FORM = 0x80
BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class Validity(NamedTuple):
    """Both ends, in UTC."""

    begins: dt.datetime
    ends: dt.datetime


class _Element(NamedTuple):
    tag: int
    content: bytes
    rest: bytes


def validity(certificate_pem: bytes) -> Validity | None:
    """Return when the first certificate of a PEM text is valid; None if it cannot be read."""
    begin = certificate_pem.find(BEGIN)
    end = certificate_pem.find(END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        text = certificate_pem[begin : end + len(END)].decode("ascii")
        return _validity_of_der(ssl.PEM_cert_to_DER_cert(text))
    except (ValueError, IndexError):
        return None


def _validity_of_der(der: bytes) -> Validity:
    certificate = _element(der, SEQUENCE)
    to_be_signed = _element(certificate.content, SEQUENCE).content
    if to_be_signed[0] == VERSION:
        to_be_signed = _element(to_be_signed, VERSION).rest
    serial = _element(to_be_signed, INTEGER)
    algorithm = _element(serial.rest, SEQUENCE)
    issuer = _element(algorithm.rest, SEQUENCE)
    times = _element(issuer.rest, SEQUENCE).content
    begins = _any_element(times)
    ends = _any_element(begins.rest)
    return Validity(_time(begins), _time(ends))


def _time(element: _Element) -> dt.datetime:
    form = TIME_FORMATS.get(element.tag)
    if form is None:
        raise ValueError(f"tag {element.tag} is no time")
    return dt.datetime.strptime(element.content.decode("ascii"), form)  # noqa: DTZ007  %z is in it


def _element(data: bytes, tag: int) -> _Element:
    found = _any_element(data)
    if found.tag != tag:
        raise ValueError(f"tag {found.tag} where {tag} belongs")
    return found


def _any_element(data: bytes) -> _Element:
    tag, length, start = data[0], data[1], 2
    if length & LONG_FORM:
        size = length & ~LONG_FORM
        start += size
        length = int.from_bytes(data[2:start], "big")
    end = start + length
    if end > len(data):
        raise ValueError("the certificate ends in the middle")
    return _Element(tag, data[start:end], data[end:])
