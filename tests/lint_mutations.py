"""One mistake at a time in the correct workloads of ``tests/corpus``, and the rule that sees it.

A row of `MUTATIONS` is a file, an edit, and the rules that fire because of it: usually one. Where
the mistake breaks two promises at once both are named, and why they belong together is said.
`NOT_SHOWN` are the rules for which no workload of the corpus carries a key, with the reason.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

Edit = Callable[[str], str]


class Mutation(NamedTuple):
    """A file of the corpus, what is done to it, and the rules that must fire."""

    file: str
    edit: Edit
    rules: frozenset[str]

    def __str__(self) -> str:
        return f"{'+'.join(sorted(self.rules))}-{self.file}"


def gone(start: str) -> Edit:
    """Take away the one line that starts with `start`, and what is indented below it."""

    def edit(text: str) -> str:
        lines = text.splitlines(keepends=True)
        (first,) = [at for at, line in enumerate(lines) if line.strip().startswith(start)]
        depth = _depth(lines[first])
        last = first + 1
        while last < len(lines) and lines[last].strip() and _depth(lines[last]) > depth:
            last += 1
        return "".join(lines[:first] + lines[last:])

    return edit


def swap(old: str, new: str) -> Edit:
    """Write `new` in the one place where `old` stands."""

    def edit(text: str) -> str:
        assert text.count(old) == 1, f"{text.count(old)} times: {old!r}"
        return text.replace(old, new)

    return edit


def everywhere(old: str, new: str) -> Edit:
    """Write `new` in all places where `old` stands; a group of pods makes one mistake together."""

    def edit(text: str) -> str:
        assert text.count(old) > 1, f"{text.count(old)} times: {old!r}"
        return text.replace(old, new)

    return edit


def both(*edits: Edit) -> Edit:
    """Do one edit after the other, where a mistake shows in two places."""

    def edit(text: str) -> str:
        for one in edits:
            text = one(text)
        return text

    return edit


def _depth(line: str) -> int:
    return len(re.match(r"[ ]*", line).group())  # type: ignore[union-attr]


def of(file: str, *rows: tuple[Edit, str]) -> list[Mutation]:
    """Return the mutations of one file; ids that fire together are written with a blank."""
    return [Mutation(f"{file}.yaml", edit, frozenset(rules.split())) for edit, rules in rows]


PRIVILEGED = "          securityContext: {privileged: true}\n"
HUB_TOKEN = "              valueFrom:\n                secretKeyRef:\n                  name: hub\n                  key: token\n"

MUTATIONS = [
    *of(
        "vllm_deployment",
        (swap("            - name: dshm\n              mountPath: /dev/shm\n", ""), "GPU-SHM"),
        (gone("medium: Memory"), "GPU-SHM-DISK"),
        (swap("sizeLimit: 32Gi", "sizeLimit: 512Gi"), "GPU-SHM-SIZE"),
        (swap("256Gi\n              nvidia.com/gpu: 4\n      ", "256Gi\n      "), "GPU-LIMITS"),
        (swap("gpu: 4\n            limits", "gpu: 2\n            limits"), "GPU-LIMITS"),
        (swap("            limits:\n              memory: 256Gi\n              nvi", "            nvi"), "x"),
        (gone("priorityClassName:"), "GPU-NO-PRIORITY"),
        (swap("priorityClassName: serving", "priorityClassName: service"), "PRIORITY-UNKNOWN"),
        (swap("value: 100000", "value: -100"), "PRIORITY-EXPENDABLE"),
        (swap("vllm:0.11.2", "vllm:latest"), "GPU-IMAGE-TAG"),
        (swap("maxSurge: 0", "maxSurge: 1"), "ROLLOUT-SURGE"),
        (gone("terminationGracePeriodSeconds:"), "SERVE-GRACE"),
        (swap('[sleep, "15"]', '[sleep, "300"]'), "GRACE-PRESTOP"),
        (gone("startupProbe:"), "SERVE-LIVENESS"),
        (gone("readinessProbe:"), "SERVE-READINESS"),
        (swap("parallel-size=4", "parallel-size=8"), "SERVE-GPUS-SHORT"),
        (swap("parallel-size=4", "parallel-size=2"), "SERVE-GPUS-IDLE"),
        (swap("            - name: weights\n              mountPath: /models\n", ""), "WEIGHTS-NO-CACHE"),
        (swap("persistentVolumeClaim:\n            claimName: chat-weights", "hostPath:\n            path: /data"), "WEIGHTS-HOSTPATH"),
        (gone("- --safetensors-load-strategy"), "WEIGHTS-MAPPED"),
        (swap("[ReadWriteMany]", "[ReadWriteOnce]"), "PVC-ONE-NODE"),
        (swap("[ReadWriteMany]", "[ReadWriteOncePod]"), "PVC-ONE-POD"),
        (swap(HUB_TOKEN, "              value: hf_0123456789abcdefghijklmnopqrstuvwx\n"), "POD-TOKEN"),
        (swap("          operator: Exists\n", '          operator: Equal\n          value: "true"\n'), "TOLERATION-VALUE"),
        (swap("    spec:\n      priority", "    spec:\n      hostUsers: false\n      priority"), "GPU-USER-NAMESPACE"),
        (swap("          startupProbe:\n", PRIVILEGED + "          startupProbe:\n"), "GPU-PRIVILEGED"),
        (swap("            - name: HF_HOME\n", '            - {name: HF_XET_HIGH_PERFORMANCE, value: "1"}\n            - name: HF_HOME\n'), "HF-BUFFERS"),
        (swap("            - name: HF_HOME\n", '            - {name: HF_HUB_ENABLE_HF_TRANSFER, value: "1"}\n            - name: HF_HOME\n'), "HF-UNREAD"),
        (swap("            - name: HF_HOME\n", '            - {name: NVIDIA_DISABLE_REQUIRE, value: "1"}\n            - name: HF_HOME\n'), "CUDA-UNCHECKED"),
        (swap("            - name: HF_HOME\n", "            - {name: NCCL_P2P_LEVEL, value: NVL}\n            - name: HF_HOME\n"), "NCCL-DEBUGGING"),
        (swap("            - --max-model-len=32768\n", "            - --trust-remote-code\n"), "HF-REMOTE-CODE"),
        (swap("spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: chat}", "spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: talk}"), "GPU-NO-PDB"),
        (swap("spec:\n  maxUnavailable: 1\n", "spec:\n  maxUnavailable: 0\n"), "EVICT-BUDGET"),
        (swap('vllm:num_requests_running', "vllm:gpu_cache_usage_perc"), "HPA-METRIC-GONE"),
        (swap('vllm:num_requests_running', "vllm:kv_cache_usage_perc"), "HPA-UNIT"),
        (swap('vllm:num_requests_running', "DCGM_FI_DEV_GPU_UTIL"), "HPA-GPU-UTIL"),
        (swap('vllm:num_requests_running', "DCGM_FI_DEV_FB_USED"), "HPA-GPU-MEMORY"),
        (both(gone("pods:"), swap("    - type: Pods\n", "    - type: Resource\n      resource:\n        name: cpu\n        target: {type: Utilization, averageUtilization: 70}\n")), "HPA-CPU"),
        (swap("stabilizationWindowSeconds: 1200", "stabilizationWindowSeconds: 60"), "HPA-DOWN"),
        (gone("scaleUp:"), "HPA-UP"),
        (swap("spec:\n  strategy:", "spec:\n  replicas: 2\n  strategy:"), "HPA-REPLICAS"),
    ),
]
