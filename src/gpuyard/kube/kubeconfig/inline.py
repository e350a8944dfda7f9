"""Certificates and keys that lie in the kubeconfig itself, as base64."""

import base64
import binascii

from gpuyard.kube.errors import KubeconfigError


def decoded(place: str, field: str, data: str) -> bytes:
    """Return what a ``…-data`` field holds; line breaks in it do no harm, anything else does.

    Raises
    ------
    KubeconfigError
        naming the field, never its content.

    """
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KubeconfigError(f"{place}: {field} is not base64; copy it again") from None
