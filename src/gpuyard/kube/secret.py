"""A text that must not be seen: tokens, keys, passwords, proxy addresses with a password.

A struct that holds one can be printed, logged and compared without care; only `reveal` gives the
text, and its callers are few enough to read.
"""

import hmac
from typing import NoReturn

import msgspec


class Secret:
    """A text that shows itself only to who asks by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; the result goes to the wire or a private file, nowhere else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written down: it can be neither pickled nor copied")


class SecretJson(Secret):
    """Any value, as JSON text: what somebody else's program is told, passwords perhaps included."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> "SecretJson":
        """Return a value as JSON; raises TypeError where it has no such form."""
        return cls(msgspec.json.encode(value).decode())
