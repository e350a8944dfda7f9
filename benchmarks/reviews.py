"""Admission reviews as an API server sends them: a Deployment, and what clients leave in it.

The object is what ``kubectl apply`` of a vLLM server becomes: defaults filled in, who manages which
field, the last applied text. It lacks shared memory, so that there is something to say.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

REVIEW_BYTES = 6_000
PROBE = {
    "httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
}


def deployment(name: str = "llm", namespace: str = "team") -> dict[str, Any]:
    """Return a Deployment of four GPUs a pod, without a /dev/shm of its own."""
    labels = {"app.kubernetes.io/name": "llm", "app.kubernetes.io/part-of": "chat"}
    environment = [{"name": f"VLLM_SETTING_{number}", "value": str(number)} for number in range(12)]
    container = {
        "name": "server",
        "image": "registry.example/vllm-openai@sha256:" + "0" * 64,
        "command": ["vllm", "serve"],
        "args": ["/models/llm", "--tensor-parallel-size=4", "--port=8000"],
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "env": environment,
        "resources": {
            "limits": {"cpu": "32", "memory": "256Gi", "nvidia.com/gpu": "4"},
            "requests": {"cpu": "32", "memory": "256Gi", "nvidia.com/gpu": "4"},
        },
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        "startupProbe": {**PROBE, "failureThreshold": 120},
        "readinessProbe": {**PROBE, "failureThreshold": 3},
        "livenessProbe": {**PROBE, "failureThreshold": 6},
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 120,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def review() -> bytes:
    """Return a review of `REVIEW_BYTES`; what clients leave in metadata fills it up."""
    value = deployment()
    applied = msgspec.json.encode(value).decode()
    value["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    request = {
        "uid": "7d1b3c4e-6f63-4d9c-9d0b-4f8c2a1f0e11",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "name": "llm",
        "namespace": "team",
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": value,
        "oldObject": None,
    }
    whole: dict[str, Any] = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": request,
    }
    lacking = REVIEW_BYTES - len(msgspec.json.encode(whole))
    fields = value["metadata"]["managedFields"] = []
    entry = {"manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}
    for _ in range(lacking // len(msgspec.json.encode(entry))):
        fields.append(entry)  # noqa: PERF401  the list is already in the object
    return msgspec.json.encode(whole)


def answering(app: Callable[..., Any], body: bytes, times: int) -> Callable[[], None]:
    """Return the work of answering the same review so many times, as a server would ask for it."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/admit",
        "raw_path": b"/admit",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8443),
    }
    message = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> dict[str, object]:
        return message

    async def send(sent: MutableMapping[str, Any]) -> None:
        if sent.get("status", 200) != 200:  # noqa: PLR2004  HTTP
            raise ValueError(f"a review is answered with {sent['status']}")

    async def ask() -> None:
        for _ in range(times):
            await app(dict(scope), receive, send)

    return lambda: asyncio.run(ask())
