"""Snapshot files: what comes back, what never gets in, and what a bad one says."""

import gzip
import io
import json

import msgspec
import pytest

from gpuyard.kube import snapshot_file
from gpuyard.kube.snapshot_file import NotRead, Server, Snapshot, SnapshotError, decode, encode

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "train", "namespace": "research"},
    "spec": {"parallelism": 4, "ratio": 0.5, "note": "grün", "big": 2**63},
}
WHOLE = Snapshot(
    taken_ns=1_764_000_000_123_456_000,
    taken_at="2025-11-24T16:00:00.123+00:00",
    seconds=1.5,
    by="gpuyard 0.1",
    context="prod",
    source="context prod",
    server=Server(address="https://prod.example:6443", version="v1.36.3"),
    namespace="default",
    objects={"batch/Job": [JOB], "Node": []},
    not_read=[
        NotRead(kind="Pod", why="forbidden", sentence="missing right", seen_in="research"),
        NotRead(kind="nvidia.com/ClusterPolicy", why="not served", sentence="not served"),
    ],
    misfits={"Node": 2},
)
FIRST = """
{"format": "gpuyard-snapshot/1", "taken_ns": 1764000000123456000,
 "taken_at": "2025-11-24T16:00:00.123+00:00", "seconds": 1.5, "by": "gpuyard 0.1",
 "context": "prod", "source": "context prod",
 "server": {"address": "https://prod.example:6443", "version": "v1.36.3"},
 "namespace": "default", "only_namespace": "",
 "objects": {"batch/Job": [{"apiVersion": "batch/v1", "kind": "Job",
   "metadata": {"name": "train", "namespace": "research"},
   "spec": {"parallelism": 4, "ratio": 0.5, "note": "grün", "big": 9223372036854775808}}],
   "Node": []},
 "not_read": [
  {"kind": "Pod", "why": "forbidden", "sentence": "missing right", "seen_in": "research"},
  {"kind": "nvidia.com/ClusterPolicy", "why": "not served", "sentence": "not served"}],
 "misfits": {"Node": 2}, "managers": {}, "a_field_of_the_future": [1]}
"""


def read(content):
    return decode(io.BytesIO(content), "prod.json")


def written_by(*fields, **metadata):
    return {"metadata": {"name": "a", "managedFields": list(fields), **metadata}}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_written_comes_back(pack):
    assert read(pack(encode(WHOLE))) == WHOLE


def test_the_first_version_stays_readable():
    assert read(FIRST.encode()) == WHOLE


def test_only_the_least_has_to_be_there():
    least = {key: json.loads(FIRST)[key] for key in ("format", "taken_ns", "taken_at", "source")}
    found = read(json.dumps({**least, "server": {"address": "a"}, "objects": {}}).encode())
    assert (found.objects, found.not_read, found.only_namespace) == ({}, [], "")


def test_secrets_never_get_in():
    secret = {"metadata": {"name": "token"}, "data": {"key": "c2VjcmV0"}}
    content = encode(msgspec.structs.replace(WHOLE, objects={"Secret": [secret], "Node": []}))
    assert b"c2VjcmV0" not in content
    assert read(content).objects == {"Node": []}


def test_of_managed_fields_only_the_writers_are_kept():
    value = written_by(
        {"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubelet", "subresource": "status"},
        {"manager": "eksctl"},
        {"manager": "helm"},
        {"manager": 3},
        "no field",
        namespace="gpu",
    )
    before = msgspec.json.encode(value)
    content = encode(msgspec.structs.replace(WHOLE, objects={"apps/DaemonSet": [value]}))
    assert msgspec.json.encode(value) == before
    assert b"managedFields" not in content
    assert b"fieldsV1" not in content
    (found,) = read(content).objects["apps/DaemonSet"]
    assert found == written_by({"manager": "helm"}, {"manager": "eksctl"}, namespace="gpu")


@pytest.mark.parametrize("value", [{}, {"metadata": None}, {"metadata": {"managedFields": 3}}])
def test_objects_without_the_usual_metadata_pass(value):
    content = encode(msgspec.structs.replace(WHOLE, objects={"Node": [value]}))
    document = {**json.loads(content), "managers": {"Node": {"/": ["helm"]}}}
    assert read(json.dumps(document).encode()).objects["Node"][0].keys() == value.keys()


def without(name):
    return json.dumps({k: v for k, v in json.loads(FIRST).items() if k != name}).encode()


def having(**fields):
    return json.dumps({**json.loads(FIRST), **fields}).encode()


PACKED = gzip.compress(FIRST.encode())
OTHER = "is no snapshot of gpuyard; what kubectl get prints is a --bundle"
DEEP = b', "extra": ' + b"[" * 100_000
BAD = [
    pytest.param(b"", "is no JSON", id="empty"),
    pytest.param(FIRST.encode()[:300], "is no JSON", id="cut"),
    pytest.param(b"\xff\xfe", "is no JSON", id="not text"),
    pytest.param(FIRST.encode()[:-3] + DEEP, "is no JSON", id="too deep"),
    pytest.param(PACKED[:-20], "is damaged (gzip: ", id="gzip cut"),
    pytest.param(PACKED[:20] + b"\0" * 9 + PACKED[29:], "is damaged (gzip: ", id="gzip broken"),
    pytest.param(b'{"kind": "List", "items": []}', OTHER, id="a bundle"),
    pytest.param(b"[]", OTHER, id="a list"),
    pytest.param(b'{"format": 1}', OTHER, id="a format that is no text"),
    pytest.param(having(format="gpuyard-record/1"), OTHER, id="another document of ours"),
    pytest.param(having(format="gpuyard-snapshot"), OTHER, id="no version"),
    pytest.param(having(format="gpuyard-snapshot/0"), OTHER, id="never was"),
    pytest.param(
        having(format="gpuyard-snapshot/2", objects=3),
        "is a gpuyard-snapshot/2, written by gpuyard 0.1, newer than the gpuyard-snapshot/1"
        " that this version reads; upgrade gpuyard",
        id="newer",
    ),
    pytest.param(
        without("objects"), "is damaged (Object missing required field `objects`)", id="no"
    ),
    pytest.param(having(objects={"Node": [3]}), "is damaged (Expected `object`", id="no object"),
    pytest.param(having(taken_ns="now"), "$.taken_ns", id="no instant"),
    pytest.param(having(taken_ns=2**62), "taken_ns", id="an instant beyond all calendars"),
    pytest.param(having(not_read=[{"kind": "A"}]), "$.not_read[0]", id="no reason"),
    pytest.param(having(objects={"Secret": []}), "holds Secret objects", id="secrets"),
]


@pytest.mark.parametrize(("content", "expected"), BAD)
def test_a_bad_file_is_one_sentence(content, expected):
    with pytest.raises(SnapshotError) as caught:
        read(content)
    assert str(caught.value).startswith("prod.json: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_too_large_is_not_read_to_its_end(monkeypatch, pack):
    monkeypatch.setattr(snapshot_file, "BYTES_MAX", 1000)
    with pytest.raises(SnapshotError, match="is larger than 1000 bytes"):
        read(pack(b" " * 10_000_000))
