"""What can go wrong between us and an API server, each as one sentence.

A sentence says what was being done, what was wrong and what to do, in this order. The type tells
callers what they may do about it: `KubeconfigError` and `CredentialError` need the user,
`UnreachableError` may pass by itself, `ApiError` is the server's own verdict and carries its
status, `AnswerError` means that what came back is not what was asked for.
"""

import difflib
from collections.abc import Iterable
from typing import Literal, Self

Fault = Literal["connect", "tls", "proxy", "cut", "silent"]

NAMES_SHOWN_MAX = 12


class KubeError(Exception):
    """One sentence about a request that came to nothing."""

    def during(self, doing: str) -> Self:
        """Put what was being done in front of the sentence; return the error, to be raised."""
        self.args = (f"{doing}: {self}",)
        return self


class KubeconfigError(KubeError):
    """The kubeconfig does not say how to reach a cluster, or says it wrongly."""


class CredentialError(KubeError):
    """Credentials cannot be had: a plugin failed, a file is missing, a certificate is over."""


class UnreachableError(KubeError):
    """No whole answer came; `fault` says where it broke.

    ``connect``: nothing was sent. ``tls`` and ``proxy``: nothing was sent, and trying again does
    not help. ``cut`` and ``silent``: the server may have acted on the request.
    """

    def __init__(self, sentence: str, *, fault: Fault) -> None:
        super().__init__(sentence)
        self.fault: Fault = fault


class AnswerError(KubeError):
    """An answer came, and it is not what the API promises: not JSON, too large, another type."""


class ApiError(KubeError):
    """The server refused: its HTTP status, its reason (``Forbidden``, ``Expired``), its words."""

    def __init__(
        self,
        sentence: str,
        *,
        status: int,
        reason: str = "",
        message: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? (x, y, z)`` for an unknown `name`, or the known names alone."""
    names = sorted(known)
    if not names:
        return "there are none"
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    if len(names) > NAMES_SHOWN_MAX:
        shown += f", and {len(names) - NAMES_SHOWN_MAX} more"
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}? ({shown})" if close else f"there are: {shown}"
