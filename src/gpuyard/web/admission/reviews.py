"""What an API server asks: AdmissionReview v1, as far as anybody here looks.

The object stays bytes until it is judged. User names, groups and options are not read at all, so
they cannot be logged.

API: admission.k8s.io/v1 (k8s.io/api 1.36, admission/v1/types.go).
"""

import msgspec

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
UID_CHARS_MAX = 128
NOTHING = b"null"


class ReviewError(ValueError):
    """What was sent is no review: one sentence."""


class GroupVersionKind(msgspec.Struct, frozen=True):
    """A kind, as reviews spell it."""

    group: str = ""
    version: str = ""
    kind: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The request inside a review."""

    uid: str
    kind: GroupVersionKind = GroupVersionKind()
    name: str = ""
    namespace: str = ""
    operation: str = ""
    sub_resource: str = ""
    object: msgspec.Raw = msgspec.Raw(NOTHING)
    old_object: msgspec.Raw = msgspec.Raw(NOTHING)


class _Review(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: Asked | None = None


_READER = msgspec.json.Decoder(_Review)


def read_review(body: bytes) -> Asked:
    """Return the request in a review.

    Raises
    ------
    ReviewError
        where there is none.

    """
    try:
        review = _READER.decode(body)
    except msgspec.ValidationError as error:
        raise ReviewError(f"this is no {KIND}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ReviewError(f"this is no {KIND}: it is not JSON that can be read") from None
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise ReviewError(f"this is no {KIND} of {API_VERSION}; ask for that version")
    if review.request is None:
        raise ReviewError(f"this {KIND} has no request")
    if not 0 < len(review.request.uid) <= UID_CHARS_MAX:
        raise ReviewError(f"the uid of a request has 1 to {UID_CHARS_MAX} characters")
    return review.request
