"""Tokens and certificates in files that somebody else renews.

A kubelet, an agent or a script replaces such a file while we run. It is read again when it is not
the file that was read last (other inode, size or time of change), and once more when the server
refuses what it gave. A file that is missing for a moment in the middle of a replacement does no
harm: the last good content counts until the server says otherwise.
"""

import os
from pathlib import Path

from gpuyard.kube.errors import CredentialError

CREDENTIAL_BYTES_MAX = 2**20

_Version = tuple[int, int, int]


class WatchedFile:
    """A small file whose current content is wanted again and again."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what
        self._version: _Version | None = None
        self._content: bytes | None = None

    def content(self) -> bytes:
        """Return what the file holds now, or held when it could last be read.

        Raises
        ------
        CredentialError
            where it has never been readable.

        """
        try:
            version = self._stat()
            if self._content is None or version != self._version:
                self._content = self._read()
                self._version = version
        except OSError as error:
            if self._content is None:
                reason = (error.strerror or "it cannot be read").lower()
                raise CredentialError(
                    f"reading the {self._what} {self.path}: {reason}; put it there, or name"
                    " another user"
                ) from None
        return self._content

    def forget(self) -> bool:
        """Drop what was read; say whether the file now holds something else."""
        before, self._version = self._content, None
        try:
            return self.content() != before
        except CredentialError:
            return False

    def _stat(self) -> _Version:
        found = os.stat(self.path)  # noqa: PTH116  follows the links of a mounted secret
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self) -> bytes:
        with self.path.open("rb") as file:
            content = file.read(CREDENTIAL_BYTES_MAX + 1)
        if len(content) > CREDENTIAL_BYTES_MAX:
            raise CredentialError(
                f"reading the {self._what} {self.path}: it is larger than {CREDENTIAL_BYTES_MAX}"
                " bytes; is it the right file?"
            )
        return content
