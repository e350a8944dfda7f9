"""What an API server asks of a webhook, and an ASGI server small enough for a test."""

import asyncio
import copy

import msgspec
import yaml

from gpuyard.lint import catalogue

UID = "7d1b3c4e-0001"

DEPLOYMENT = yaml.safe_load("""
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
  namespace: team
  labels: {app: llm}
spec:
  replicas: 1
  selector: {matchLabels: {app: llm}}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: server
          image: registry.example/nccl-server:1.4
          resources:
            limits: {nvidia.com/gpu: 4, memory: 64Gi}
          volumeMounts:
            - {name: dshm, mountPath: /dev/shm}
      volumes:
        - name: dshm
          emptyDir: {medium: Memory, sizeLimit: 8Gi}
""")
RULE = "GPU-SHM"  # an error; what `without_shm` lacks
MESSAGE = "container server has 4 GPUs, but /dev/shm is the default 64 MiB"
REMEDY = catalogue.rule(RULE).remedy


def deployment(**metadata):
    """Return a Deployment without an error."""
    value = copy.deepcopy(DEPLOYMENT)
    value["metadata"].update(metadata)
    return value


def without_shm(**metadata):
    """Return the same with one error."""
    value = deployment(**metadata)
    spec = value["spec"]["template"]["spec"]
    del spec["volumes"], spec["containers"][0]["volumeMounts"]
    return value


def review(value, *, old=None, operation="CREATE", **request):
    """Return a review as an API server sends it, with all that nobody here looks at."""
    kind = value.get("kind", "") if isinstance(value, dict) else ""
    asked = {
        "uid": UID,
        "kind": {"group": "apps", "version": "v1", "kind": kind},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "llm",
        "namespace": "team",
        "operation": operation,
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": value,
        "oldObject": old,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **request,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


def asked_of(app, path, body=b"", method="POST", parts=1):
    """Ask an ASGI application, with the body in so many parts; return status and body."""
    size = -(-len(body) // parts) or 1
    waiting = [
        {"type": "http.request", "body": body[at : at + size], "more_body": at + size < len(body)}
        for at in range(0, max(1, len(body)), size)
    ]
    sent = []

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "server": ("127.0.0.1", 8443),
        "client": ("127.0.0.1", 40000),
    }
    asyncio.run(app(scope, receive, send))
    whole = b"".join(one.get("body", b"") for one in sent[1:])
    return sent[0]["status"], whole


def answered(app, path, value):
    """Ask with a review; return the response in the answer."""
    status, body = asked_of(app, path, msgspec.json.encode(value))
    assert status == 200, body
    answer = msgspec.json.decode(body)
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer["response"]["uid"] == UID
    return answer["response"]
