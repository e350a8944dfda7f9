"""Reading a review: what an API server sends is understood, and everything else is one sentence."""

import msgspec
import pytest

from gpuyard.web.admission.reviews import ReviewError, read_review
from tests.admission_reviews import UID, deployment, review


def test_a_review_is_read_as_far_as_it_is_used():
    asked = read_review(msgspec.json.encode(review(deployment(), subResource="status")))
    assert (asked.uid, asked.operation, asked.sub_resource) == (UID, "CREATE", "status")
    assert (asked.kind.kind, asked.namespace, asked.name) == ("Deployment", "team", "llm")
    assert msgspec.json.decode(asked.object) == deployment()
    assert bytes(asked.old_object) == b"null"
    assert "jane" not in repr(asked)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param(b"", "it is not JSON that can be read", id="nothing"),
        pytest.param(b"{", "it is not JSON that can be read", id="cut off"),
        pytest.param(b"\xff\xfe{}", "it is not JSON that can be read", id="not UTF-8"),
        pytest.param(
            b'{"a":' + b"[" * 100_000, "it is not JSON that can be read", id="a tower of lists"
        ),
        pytest.param(b"[]", "Expected `object`, got `array`", id="a list"),
        pytest.param(b"{}", "of admission.k8s.io/v1; ask for that version", id="another object"),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}',
            "Object missing required field `uid`",
            id="no uid",
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}',
            "ask for that version",
            id="an old version",
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}',
            "has no request",
            id="no request",
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}',
            "1 to 128 characters",
            id="an empty uid",
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":7}}',
            "Expected `str`, got `int` - at `$.request.uid`",
            id="a number as uid",
        ),
    ],
)
def test_what_is_no_review_is_told_in_one_sentence(body, sentence):
    with pytest.raises(ReviewError) as caught:
        read_review(body)
    said = str(caught.value)
    assert sentence in said
    assert "\n" not in said
    assert len(said) < 200
