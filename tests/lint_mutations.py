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


ENV = "          env:\n"
TOKEN = """\
              valueFrom:
                secretKeyRef:
                  name: hub
                  key: token
"""
CPU_METRIC = """\
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: 70}
"""
SECOND_SCALER = """\
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: chat
spec:
  scaleTargetRef: {name: chat}
  minReplicaCount: 2
  triggers:
    - type: cron
      metadata: {timezone: UTC, start: 0 6 * * *, end: 0 20 * * *, desiredReplicas: "4"}
"""
ANNOTATED = """\
    kueue.x-k8s.io/priority-class: deadline
  annotations:
    cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
"""
WORKERS_TOLERATION = """\
          tolerations:
            - key: nvidia.com/gpu
              operator: Exists
              effect: NoSchedule
"""
SIDECAR = """\
        - name: tokenizer
          image: registry.example/inference/tokenizer:1.0
          resources:
            requests: {cpu: "1", memory: 1Gi}
            limits: {memory: 1Gi, nvidia.com/gpu: 1}
"""
H100 = """\
      nodeSelector:
        nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
"""
DEVICE_FILE = """\
      volumeMounts:
        - {name: gpu, mountPath: /dev/nvidia0}
  volumes:
    - name: gpu
      hostPath: {path: /dev/nvidia0}
"""
ALL_GPUS = "      env:\n        - {name: NVIDIA_VISIBLE_DEVICES, value: all}\n"
SERVICES = "".join(
    f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: other-{n}, namespace: proteins}}\n"
    "spec: {ports: [{port: 80}]}\n"
    for n in range(150)
)
WEIGHTS = "            - name: weights\n              mountPath: /models\n"
MOUNT = "            - {name: models, mountPath: /models}\n"


def with_env(name: str, value: str, *, before: str = ENV) -> Edit:
    """Set a variable as the first of the one container that has some."""
    return swap(before, f'{before}            - {{name: {name}, value: "{value}"}}\n')


MUTATIONS = [
    *of(
        "vllm_deployment",
        (swap("            - name: dshm\n              mountPath: /dev/shm\n", ""), "GPU-SHM"),
        (gone("medium: Memory"), "GPU-SHM-DISK"),
        (
            both(
                gone("sizeLimit: 32Gi"),
                swap("            limits:\n              memory: 256Gi\n", "            limits:\n"),
            ),
            "GPU-SHM-UNBOUNDED",
        ),
        (
            swap("persistentVolumeClaim:\n            claimName: chat-weights", "emptyDir: {}"),
            "WEIGHTS-EMPTYDIR",
        ),
        (swap("sizeLimit: 32Gi", "sizeLimit: 512Gi"), "GPU-SHM-SIZE"),
        (
            swap("256Gi\n              nvidia.com/gpu: 4\n          vol", "256Gi\n          vol"),
            "GPU-LIMITS",
        ),
        (swap("gpu: 4\n            limits", "gpu: 2\n            limits"), "GPU-LIMITS"),
        (gone("priorityClassName:"), "GPU-NO-PRIORITY"),
        (swap("priorityClassName: serving", "priorityClassName: service"), "PRIORITY-UNKNOWN"),
        (swap("value: 100000", "value: -100"), "PRIORITY-EXPENDABLE"),
        (swap("vllm:0.11.2", "vllm:latest"), "GPU-IMAGE-TAG"),
        (gone("strategy:"), "ROLLOUT-SURGE"),
        (gone("terminationGracePeriodSeconds:"), "SERVE-GRACE"),
        (swap('[sleep, "15"]', '[sleep, "300"]'), "GRACE-PRESTOP"),
        (gone("startupProbe:"), "SERVE-LIVENESS"),
        (gone("readinessProbe:"), "SERVE-READINESS"),
        (swap("parallel-size=4", "parallel-size=8"), "SERVE-GPUS-SHORT"),
        (swap("parallel-size=4", "parallel-size=2"), "SERVE-GPUS-IDLE"),
        (swap(WEIGHTS, ""), "WEIGHTS-NO-CACHE"),
        (
            swap(
                "persistentVolumeClaim:\n            claimName: chat-weights",
                "hostPath:\n            path: /data",
            ),
            "WEIGHTS-HOSTPATH",
        ),
        (swap("[ReadWriteMany]", "[ReadWriteOnce]"), "PVC-ONE-NODE"),
        (swap("[ReadWriteMany]", "[ReadWriteOncePod]"), "PVC-ONE-POD"),
        (swap(TOKEN, "              value: hf_0123456789abcdefghijklmnopqrstuvwx\n"), "POD-TOKEN"),
        (
            swap("operator: Exists\n", 'operator: Equal\n          value: "true"\n'),
            "TOLERATION-VALUE",
        ),
        (
            swap("    spec:\n      prio", "    spec:\n      hostUsers: false\n      prio"),
            "GPU-USER-NAMESPACE",
        ),
        (
            swap(ENV, "          securityContext: {privileged: true}\n" + ENV),
            "GPU-PRIVILEGED",
        ),
        (with_env("HF_HUB_ENABLE_HF_TRANSFER", "1"), "HF-UNREAD"),
        (with_env("NVIDIA_DISABLE_REQUIRE", "1"), "CUDA-UNCHECKED"),
        (with_env("NCCL_P2P_LEVEL", "NVL"), "NCCL-DEBUGGING"),
        (swap("--max-model-len=32768", "--trust-remote-code"), "HF-REMOTE-CODE"),
        (
            swap(
                "spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: chat}",
                "spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: talk}",
            ),
            "GPU-NO-PDB",
        ),
        (swap("spec:\n  maxUnavailable: 1\n", "spec:\n  maxUnavailable: 0\n"), "EVICT-BUDGET"),
        # a metric between 0 and 1 that is gone has a target out of reach as well
        (
            swap("vllm:num_requests_running", "vllm:gpu_cache_usage_perc"),
            "HPA-METRIC-GONE HPA-UNIT",
        ),
        (swap("vllm:num_requests_running", "vllm:kv_cache_usage_perc"), "HPA-UNIT"),
        (swap("vllm:num_requests_running", "DCGM_FI_DEV_GPU_UTIL"), "HPA-GPU-UTIL"),
        (swap("vllm:num_requests_running", "DCGM_FI_DEV_FB_USED"), "HPA-GPU-MEMORY"),
        (both(gone("pods:"), swap("    - type: Pods\n", CPU_METRIC)), "HPA-CPU"),
        (swap("WindowSeconds: 1200", "WindowSeconds: 60"), "HPA-DOWN"),
        (gone("scaleUp:"), "HPA-UP"),
        (swap("spec:\n  strategy:", "spec:\n  replicas: 2\n  strategy:"), "HPA-REPLICAS"),
        (
            swap("periodSeconds: 300}\n", "periodSeconds: 300}\n" + SECOND_SCALER),
            "HPA-TWICE HPA-UP",
        ),
    ),
    *of(
        "vllm_keda",
        (
            swap("@sha256:6f1f2c1c2b9d5b2f0c8b3f0f4f4b6cbe1d1e6bb2a3e64ad5d0cf5f5d2f8a7e11", ""),
            "GPU-IMAGE-TAG",
        ),
        (
            swap("            - {name: weights, mountPath: /models, readOnly: true}\n", ""),
            "WEIGHTS-OFFLINE",
        ),
        (swap("minReplicaCount: 1", "minReplicaCount: 0"), "KEDA-ASLEEP"),
        (
            swap(
                'sum(vllm:num_requests_waiting{namespace="helpdesk"})',
                "max(vllm:num_requests_waiting)",
            ),
            "KEDA-AVERAGE",
        ),
        (
            swap(
                'sum(vllm:num_requests_waiting{namespace="helpdesk"})', "vllm:num_requests_waiting"
            ),
            "KEDA-SERIES",
        ),
        (swap('helpdesk"})\n', 'helpdesk"}) or vector(0)\n'), "KEDA-OR-ZERO"),
        (gone("ignoreNullValues:"), "KEDA-FALLBACK KEDA-SILENCE"),
        (both(gone("ignoreNullValues:"), gone("fallback:")), "KEDA-SILENCE"),
        (
            both(
                swap("minReplicaCount: 1", "minReplicaCount: 0"),
                swap("vllm:num_requests_waiting", "gateway_requests_waiting"),
                swap("cooldownPeriod: 1200", "cooldownPeriod: 60"),
            ),
            "KEDA-COOLDOWN",
        ),
        (gone("requests: {cpu"), "GPU-NO-REQUESTS"),
        (gone("minReplicaCount:"), "KEDA-ASLEEP"),
    ),
    *of(
        "sglang_deployment",
        (gone("- --dp-size=2"), "SERVE-GPUS-IDLE"),
        (swap("--tp-size=2", "--tp-size=4"), "SERVE-GPUS-SHORT"),
        (gone("- {name: shm, mountPath"), "GPU-SHM"),
        (swap("minAvailable: 1", "minAvailable: 2"), "EVICT-BUDGET"),
        (swap("NVIDIA-H100-80GB-HBM3", "H100"), "CLOUD-LABEL"),
    ),
    *of(
        "sglang_leaderworkerset",
        (gone("- {name: dshm, mountPath"), "GPU-SHM"),
        (gone("securityContext:"), "RDMA-IPC-LOCK"),
    ),
    *of(
        "vllm_leaderworkerset",
        (
            swap(
                "vllm-ray:0.11.2\n            command: [/bin/bash, -c]\n            args:\n",
                "vllm-ray\n            command: [/bin/bash, -c]\n            args:\n",
            ),
            "GPU-IMAGE-TAG",
        ),
        (
            swap("              - |\n", "              - |\n                ulimit -l unlimited\n"),
            "POD-MEMLOCK",
        ),
    ),
    *of(
        "kserve_inferenceservice",
        (swap("limits: {memory: 40Gi, nvidia.com/gpu: 1}", "limits: {memory: 40Gi}"), "GPU-LIMITS"),
        (
            swap(
                "nvidia.com/gpu, operator: Exists",
                "nvidia.com/gpu, operator: Equal, value: present",
            ),
            "TOLERATION-VALUE",
        ),
    ),
    *of(
        "kserve_custom_predictor",
        (gone("- {name: dshm, mountPath"), "GPU-SHM"),
        (swap("parallel-size=2", "parallel-size=4"), "SERVE-GPUS-SHORT"),
        (gone("terminationGrace"), "SERVE-GRACE"),
    ),
    *of(
        "kserve_llminferenceservice",
        (everywhere("sizeLimit: 16Gi", "sizeLimit: 500Gi"), "GPU-SHM-SIZE"),
        (everywhere("medium: Memory, ", ""), "GPU-SHM-DISK"),
    ),
    *of(
        "pytorchjob",
        (gone("schedulingPolicy:"), "GANG-MISSING"),
        (everywhere("karpenter.sh/do-not-disrupt", "karpenter.sh/do-not-evict"), "EVICT-OLD-NAME"),
        (
            swap(
                "              persistentVolumeClaim: {claimName: vision-checkpoints}\n",
                "              emptyDir: {}\n",
            ),
            "CKPT-EPHEMERAL",
        ),
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
        (swap("                - {name: dshm, mountPath: /dev/shm}\n", ""), "GPU-SHM"),
        (swap(WORKERS_TOLERATION, ""), "POD-TOLERATIONS"),
    ),
    *of(
        "trainjob",
        (
            swap(
                "                        limits: {memory: 900Gi, nvidia.com/gpu: 8}",
                "                        limits: {memory: 900Gi, nvidia.com/gpu: 32}",
            ),
            "GPU-TOO-MANY",
        ),
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
    ),
    *of(
        "mpijob",
        (gone("schedulingPolicy:"), "GANG-MISSING"),
        (swap("minAvailable: 2", "minAvailable: 3"), "GANG-MPI-LAUNCHER"),
        (gone("securityContext:"), "RDMA-IPC-LOCK"),
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
    ),
    *of(
        "jobset",
        (gone("kueue.x-k8s.io/queue-name:"), "GANG-MISSING QUEUE-MISSING"),
        (swap("queue-name: foundation", "queue-name: foundations"), "QUEUE-UNKNOWN"),
        (swap("clusterQueue: foundation", "clusterQueue: base"), "QUEUE-NO-CLUSTER-QUEUE"),
        (swap("[cpu, memory, nvidia.com/gpu]", "[cpu, memory]"), "QUEUE-RESOURCE"),
        (swap("enableDNSHostnames: true", "enableDNSHostnames: false"), "LAUNCH-JOBSET-DNS"),
        (gone("maxRestarts:"), "JOBSET-RESTARTS"),
        (swap("backoffLimit: 0", "backoffLimit: 6"), "JOBSET-BACKOFF"),
        (swap("parallelism: 4", "parallelism: 2"), "LAUNCH-PARALLELISM LAUNCH-NODES"),
        (gone("- --node_rank="), "LAUNCH-RANK-MISSING"),
        (swap("--nnodes=4", "--nnodes=2"), "LAUNCH-NODES"),
        (swap("--nproc_per_node=8", "--nproc_per_node=16"), "LAUNCH-PROCESSES"),
        (swap("--nproc_per_node=8", "--nproc_per_node=4"), "LAUNCH-IDLE-GPUS"),
        (gone("- --nproc_per_node=8"), "LAUNCH-IDLE-GPUS"),
        (swap("BestEffortFIFO", "StrictFIFO"), "QUEUE-STRICT"),
        (swap("Seconds: 30\n", "Seconds: 300\n"), "GRACE-TORCHRUN"),
        (swap("Seconds: 30\n", "Seconds: 3600\n"), "GRACE-TORCHRUN GRACE-AUTOSCALER"),
        (swap("persistentVolumeClaim: {claimName: pretrain}", "emptyDir: {}"), "CKPT-EPHEMERAL"),
    ),
    *of(
        "jobset_in_place",
        (swap("backoffLimit: 2147483647", "backoffLimit: 6"), "JOBSET-IN-PLACE"),
        (gone("podReplacementPolicy:"), "JOBSET-IN-PLACE"),
        (
            both(
                swap("parallelism: 2", "parallelism: 16"),
                swap("completions: 2", "completions: 16"),
                swap("--nnodes=2", "--nnodes=16"),
            ),
            "LAUNCH-RANK-ORDER",
        ),
        (
            swap(
                "--rdzv_backend=c10d]", "--rdzv_backend=c10d, --node_rank=$(JOB_COMPLETION_INDEX)]"
            ),
            "LAUNCH-RANK-IGNORED",
        ),
    ),
    *of(
        "raycluster",
        (gone("ray.io/gang-scheduling-enabled:"), "GANG-RAY-HEAD"),
        (swap('num-gpus: "4"', 'num-gpus: "8"'), "RAY-GPUS-MISSING"),
        (swap('num-gpus: "4"', 'num-gpus: "2"'), "RAY-GPUS-HIDDEN"),
        (swap('num-gpus: "0"', 'num-gpus: "1"'), "RAY-GPUS-MISSING"),
        (swap("medium: Memory, ", ""), "GPU-SHM-DISK"),
        (swap("sizeLimit: 80Gi", "sizeLimit: 300Gi"), "GPU-SHM-SIZE"),
    ),
    *of(
        "rayjob",
        (swap("rayStartParams: {}", 'rayStartParams: {num-gpus: "2"}'), "RAY-GPUS-MISSING"),
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
        (gone("kueue.x-k8s.io/queue-name:"), "GANG-RAY-HEAD"),
    ),
    *of(
        "rayservice",
        (swap("rayStartParams: {}", 'rayStartParams: {num-gpus: "0"}'), "RAY-GPUS-HIDDEN"),
    ),
    *of(
        "kueue_job",
        (gone("kueue.x-k8s.io/queue-name:"), "GANG-MISSING QUEUE-MISSING"),
        (swap("queue-name: team-proteins", "queue-name: team-protein"), "QUEUE-UNKNOWN"),
        (swap("priority-class: deadline", "priority-class: urgent"), "QUEUE-PRIORITY"),
        (swap("clusterQueue: research", "clusterQueue: reserch"), "QUEUE-NO-CLUSTER-QUEUE"),
        (swap("stopPolicy: None", "stopPolicy: Hold"), "QUEUE-STOPPED"),
        (swap('status: "True"', 'status: "False"'), "QUEUE-INACTIVE"),
        (swap("[cpu, memory, nvidia.com/gpu]", "[cpu, memory]"), "QUEUE-RESOURCE"),
        (
            swap(
                "podset-required-topology: cloud.google.com/gce-topology-block",
                "podset-required-topology: cloud.google.com/gce-topology-rack",
            ),
            "TOPOLOGY-FLAVOR",
        ),
        (gone("clusterIP:"), "LAUNCH-HEADLESS"),
        (swap("    - from:\n", "    - ports: [{port: 29500}]\n      from:\n"), "NETPOL-RANKS"),
        (gone("ingress:"), "NETPOL-RANKS"),
        (gone("subdomain:"), "LAUNCH-SUBDOMAIN"),
        (gone("completionMode:"), "LAUNCH-NOT-INDEXED"),
        (swap("completions: 4", "completions: 8"), "LAUNCH-PARALLELISM"),
        (swap("--nnodes=4", "--nnodes=8"), "LAUNCH-NODES"),
        (gone("- --node_rank"), "LAUNCH-RANK-MISSING"),
        (gone("- --nproc_per_node"), "LAUNCH-IDLE-GPUS"),
        (swap("nproc_per_node=8", "nproc_per_node=16"), "LAUNCH-PROCESSES"),
        (swap("value: eth0", "value: ens5"), "NCCL-INTERFACE"),
        # beside a podFailurePolicy the API server takes Failed only
        (
            both(gone("podFailurePolicy:"), swap("Policy: Failed", "Policy: TerminatingOrFailed")),
            "JOB-DISRUPTIONS JOB-REPLACEMENT",
        ),
        (gone("podFailurePolicy:"), "JOB-DISRUPTIONS"),
        (swap("restartPolicy: Never", "restartPolicy: OnFailure"), "JOB-FAILURE-POLICY"),
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
        (gone("ttlSecondsAfterFinished:"), "JOB-TTL"),
        (
            both(
                gone("cluster-autoscaler.kubernetes.io/safe-to-evict"),
                swap(
                    "    kueue.x-k8s.io/priority-class: deadline\n",
                    ANNOTATED,
                ),
            ),
            "EVICT-MISPLACED",
        ),
        (
            both(
                gone("enableServiceLinks:"),
                swap("sizeLimit: 128Gi}\n", "sizeLimit: 128Gi}\n" + SERVICES),
            ),
            "SERVICE-LINKS",
        ),
    ),
    *of(
        "kueue_pod_group",
        (
            both(
                everywhere("    kueue.x-k8s.io/pod-group-name: sweep\n", ""),
                everywhere("    kueue.x-k8s.io/queue-name: sweeps\n", "    app: sweep\n"),
                everywhere('    kueue.x-k8s.io/pod-group-total-count: "2"\n', ""),
            ),
            "JOB-BARE-POD",
        ),
        (
            everywhere(
                "limits: {memory: 48Gi, nvidia.com/gpu: 1}",
                "limits: {memory: 48Gi, nvidia.com/gpu: 0.5}",
            ),
            "GPU-LIMITS",
        ),
    ),
    *of(
        "volcano_job",
        (swap("                - {name: dshm, mountPath: /dev/shm}\n", ""), "GPU-SHM"),
        (everywhere("          terminationGracePeriodSeconds: 120\n", ""), "CKPT-GRACE"),
        (swap("persistentVolumeClaim: {claimName: climate}", "emptyDir: {}"), "CKPT-EPHEMERAL"),
        (gone("ttlSecondsAfterFinished:"), "JOB-TTL"),
        (gone("tolerations: *"), "POD-TOLERATIONS"),
    ),
    *of(
        "argo_rollout",
        (
            swap(
                "spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: ranking}",
                "spec:\n  maxUnavailable: 1\n  selector:\n    matchLabels: {app: rank}",
            ),
            "GPU-NO-PDB",
        ),
        (gone("startupProbe:"), "SERVE-LIVENESS"),
        (gone("readinessProbe:"), "SERVE-READINESS"),
        (gone("terminationGrace"), "SERVE-GRACE"),
        (gone("requests: {cpu"), "GPU-NO-REQUESTS"),
        (
            swap(
                "      volumes:\n",
                SIDECAR + "      volumes:\n",
            ),
            "GPU-SPLIT",
        ),
    ),
    *of(
        "cronjob",
        (gone("activeDeadlineSeconds:"), "JOB-DEADLINE"),
        (gone("podFailurePolicy:"), "JOB-DISRUPTIONS"),
        (
            swap(
                "                limits: {memory: 64Gi, nvidia.com/gpu: 1}\n",
                "                nvidia.com/gpu: 1\n",
            ),
            "GPU-MISPLACED",
        ),
        (swap("restartPolicy: Never", "restartPolicy: OnFailure"), "JOB-FAILURE-POLICY"),
    ),
    *of(
        "statefulset",
        (gone("podManagementPolicy:"), "LAUNCH-ORDERED"),
        (gone("clusterIP:"), "LAUNCH-HEADLESS"),
        (gone("publishNotReadyAddresses:"), "LAUNCH-NOT-READY"),
        (gone("- {name: dshm, mountPath"), "GPU-SHM"),
    ),
    *of(
        "knative_service",
        (gone("autoscaling.knative.dev/min-scale:"), "KNATIVE-ZERO"),
        (swap("metric: concurrency", "metric: cpu"), "KNATIVE-CPU"),
        (swap("nvidia.com/gpu: 1", "nvidia.com/gpu: 2"), "GPU-SHM-UNKNOWN"),
    ),
    *of(
        "mig_consumer",
        (swap("strategy: mixed", "strategy: single"), "MIG-STRATEGY"),
        (
            both(
                swap("strategy: mixed", "strategy: single"),
                swap('{"1g.10gb": 7}', '{"1g.10gb": 2, "3g.40gb": 1}'),
            ),
            "MIG-STRATEGY MIG-SINGLE",
        ),
        (swap("mig-1g.10gb: 1", "mig-1g.15gb: 1"), "MIG-PROFILE"),
        (swap("mig-1g.10gb: 1", "mig-1g.10gb: 2"), "MIG-SEVERAL"),
        (
            both(
                swap("mig-1g.10gb: 1", "mig-1g.10gb: 2"),
                swap("[--runner=pooling,", "[--runner=pooling, --tensor-parallel-size=2,"),
            ),
            "MIG-SPREAD",
        ),
        (
            both(
                swap("nvidia.com/mig-1g.10gb: 1", "nvidia.com/gpu: 1"),
                swap(
                    "      priorityClassName: serving\n",
                    "      priorityClassName: serving\n" + H100,
                ),
            ),
            "GPU-TOO-BIG",
        ),
        (swap("default: all-disabled", "default: all-1g.10gb"), "OPERATOR-VALUE"),
        (swap("[ReadOnlyMany]", "[ReadWriteOnce]"), "PVC-ONE-NODE"),
        (
            both(
                swap("replicas: 4", "replicas: 1"),
                swap("  strategy:\n    rollingUpdate: {maxSurge: 0, maxUnavailable: 1}\n", ""),
                swap("[ReadOnlyMany]", "[ReadWriteOnce]"),
            ),
            "PVC-ROLLOUT ROLLOUT-SURGE",
        ),
    ),
    *of(
        "shared_gpu",
        (swap("gpu.shared: 1", "gpu.shared: 2"), "GPU-SHARES"),
        (swap("            replicas: 4", "            replicas: 1"), "PLUGIN-CONFIG"),
        (swap("renameByDefault: true", "rename: true"), "PLUGIN-CONFIG-KEY"),
        (both(gone("renameByDefault:"), gone("failRequestsGreaterThanOne:")), "SHARE-SILENT"),
        (swap("default: quarters", "default: halves"), "PLUGIN-DEFAULT-MISSING"),
        (gone("default: quarters"), "PLUGIN-NO-DEFAULT"),
        (swap("KUBERNETES_VIRTUAL_GPUS", "DCGM_EXPORTER_KUBERNETES"), "SHARE-METRICS"),
    ),
    *of(
        "dra_claim",
        (gone("constraints:"), "RDMA-PCIE-ROOT"),
    ),
    *of(
        "efa_training",
        (gone("hugepages-2Mi:"), "EFA-HUGEPAGES"),
        (swap("efa: 32", "efa: 4"), "EFA-INTERFACES"),
        (with_env("RDMAV_FORK_SAFE", "1"), "EFA-FORK-SAFE"),
        (with_env("FI_PROVIDER", "efa"), "EFA-PINNED"),
        (
            both(swap('cpu: "96", memory: 1400Gi', ""), gone("memory: 1400Gi")),
            "GPU-NO-REQUESTS HUGEPAGES-ALONE",
        ),
        (gone("subdomain:"), "LAUNCH-SUBDOMAIN"),
        (gone("- {name: dshm, mountPath"), "GPU-SHM"),
    ),
    *of(
        "rdma_training",
        (gone("capabilities:"), "RDMA-IPC-LOCK"),
        (swap("runAsUser: 0", "runAsUser: 1000"), "RDMA-IPC-LOCK-INERT"),
        (gone("k8s.v1.cni.cncf.io/networks:"), "RDMA-UNATTACHED"),
        (swap("networks: rail-a", "networks: rail-b"), "RDMA-NETWORK-UNKNOWN"),
        (swap("networks: rail-a", "networks: rail-a@net1,rail-a@net2"), "RDMA-NETWORK-COUNT"),
        (swap("deleteEmptyDir: false", "deleteEmptyDir: true"), "RDMA-DRIVER-DRAIN"),
        (
            both(swap("kernelModuleType: open", "kernelModuleType: proprietary"), gone("rdma:")),
            "RDMA-GPUDIRECT",
        ),
        (swap("limits: {memory: 400Mi}", "limits: {memory: 50Mi}"), "RDMA-MULTUS-MEMORY"),
        (swap("syncStatus: Succeeded", "syncStatus: Failed"), "RDMA-SRIOV-SYNC"),
        (swap('"=mlx5_0', '"mlx5_0'), "NCCL-HCA-PREFIX"),
        (with_env("NCCL_IB_GID_INDEX", "3"), "NCCL-GID-INDEX"),
        (with_env("NCCL_IB_DISABLE", "1"), "NCCL-DEBUGGING NCCL-RDMA-OFF"),
        (swap("exec torchrun", "ulimit -l unlimited && exec torchrun"), "POD-MEMLOCK"),
        (swap("exec torchrun", "torchrun"), "GRACE-SHELL"),
    ),
    *of(
        "host_network_training",
        (gone("dnsPolicy:"), "LAUNCH-HOST-DNS"),
        (gone("ports:"), "LAUNCH-HOST-PORT"),
        (
            swap("      hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet\n", ""),
            "NCCL-INTERFACE",
        ),
        (
            both(
                swap("parallelism: 2", "parallelism: 12"),
                swap("completions: 2", "completions: 12"),
                swap("--nnodes=2", "--nnodes=12"),
            ),
            "LAUNCH-RANK-ORDER",
        ),
    ),
    *of(
        "compute_domain",
        (swap("numNodes: 2", "numNodes: 4"), "NVLINK-DOMAIN-SIZE"),
        (both(gone("resourceClaims:"), gone("claims:")), "NVLINK-NO-DOMAIN"),
    ),
    *of(
        "gke_bucket",
        (gone("gke-gcsfuse/volumes:"), "GCSFUSE-ANNOTATION"),
        (gone("args: [--safetensors"), "WEIGHTS-MAPPED"),
        (swap("gke-accelerator: nvidia-l4", "gke-accelerator: l4"), "CLOUD-LABEL"),
        (
            swap("nvidia-l4\n", "nvidia-l4\n        karpenter.k8s.aws/instance-gpu-name: l4\n"),
            "CLOUD-MIXED",
        ),
        (gone("strategy:"), "ROLLOUT-SURGE"),
    ),
    *of(
        "aks_server",
        (swap("{key: sku,", "{key: nvidia.com/gpu,"), "TOLERATION-KEY"),
        (swap("emptyDir: {sizeLimit: 60Gi}", "emptyDir: {sizeLimit: 200Gi}"), "WEIGHTS-DISK-LIMIT"),
        (
            swap(
                "          volumeMounts:\n" + MOUNT + "      volumes",
                "      volumes",
            ),
            "WEIGHTS-PREFETCH",
        ),
        (
            swap(
                "            limits: {memory: 8Gi}\n",
                "            limits: {memory: 8Gi, nvidia.com/gpu: 2}\n",
            ),
            "GPU-INIT",
        ),
        (with_env("HF_XET_HIGH_PERFORMANCE", "1"), "HF-BUFFERS"),
    ),
    *of(
        "spot_training",
        (swap("terminationGracePeriod: 48h", "terminationGracePeriod: 1m"), "GRACE-NODE-POOL"),
        (gone("karpenter.sh/do-not-disrupt:"), "EVICT-UNPROTECTED"),
        (swap("Seconds: 90", "Seconds: 600"), "SPOT-GRACE"),
        (swap("persistentVolumeClaim: {claimName: distill}", "emptyDir: {}"), "SPOT-NO-STORE"),
        (
            swap(
                "  template:\n    metadata:\n",
                "  nodeSelector: {karpenter.sh/capacity-type: spot}\n  template:\n    metadata:\n",
            ),
            "POD-LEVEL",
        ),
        (swap("nvidia.com/gpu: 4}", "nvidia.com/gpu: 32}"), "GPU-TOO-MANY"),
    ),
    *of(
        "mesh_job",
        (gone("sidecar.istio.io/inject:"), "JOB-MESH"),
        (swap('value: "0,1"', 'value: "0"'), "GPU-CUDA-FEWER"),
        (swap('value: "0,1"', 'value: "2,3"'), "GPU-CUDA-INDEX"),
        (swap("nproc_per_node=2", "nproc_per_node=4"), "LAUNCH-PROCESSES"),
        (swap("nproc_per_node=2, ", "nproc_per_node=1, "), "LAUNCH-IDLE-GPUS"),
    ),
    *of(
        "bare_pod",
        (gone("ignore.gpuyard.io/JOB-BARE-POD"), "JOB-BARE-POD"),
        (swap("gone within the hour, and nobody misses it", '""'), "JOB-BARE-POD LINT-REASON"),
        (swap("JOB-BARE-POD:", "JOB-BARE-PODS:"), "JOB-BARE-POD LINT-UNKNOWN-RULE"),
        (
            both(
                swap(", nvidia.com/gpu: 1}", "}"),
                swap(
                    "      resources:\n",
                    ALL_GPUS + "      resources:\n",
                ),
            ),
            "GPU-UNCOUNTED",
        ),
        (
            swap(
                ", nvidia.com/gpu: 1}\n",
                "}\n" + DEVICE_FILE,
            ),
            "GPU-DEVICE-FILES",
        ),
        (
            swap(
                'requests: {cpu: "1", memory: 2Gi}\n        limits: {memory: 2Gi, ',
                "limits: {",
            ),
            "GPU-NO-REQUESTS",
        ),
    ),
    *of(
        "gpu_operator_values",
        (
            swap(
                "  upgradePolicy:\n    maxParallelUpgrades: 2\n    drain:\n      enable: false\n",
                "  maxParallelUpgrades: 2\n",
            ),
            "HELM-DEAD-KEY",
        ),
        (
            swap("      enable: false\n", "      enable: true\n      deleteEmptyDir: true\n"),
            "DRIVER-DRAIN",
        ),
        (swap("  rdma:\n    enabled: true\n    useHostMofed: true\n", "  rdma:\n"), "HELM-NULL"),
        (
            swap("    enabled: true\n    useHostMofed: true\n", "    useHostMofed: true\n"),
            "OPERATOR-IDLE",
        ),
        (
            swap(
                'CONTAINERD_SET_AS_DEFAULT\n      value: "true"',
                "CONTAINERD_SET_AS_DEFAULT\n      value: true",
            ),
            "HELM-TYPE",
        ),
        (swap("default: all-disabled", "default: all-1g.10gb"), "OPERATOR-VALUE"),
        (
            both(
                swap("# gpuyard:chart gpu-operator v25.10.1\n", ""),
                swap("kernelModuleType: open", "useOpenKernelModules: true"),
            ),
            "HELM-OLD-KEY",
        ),
        (swap("KUBERNETES_VIRTUAL_GPUS", "DCGM_EXPORTER_KUBERNETES"), "SHARE-METRICS"),
        (swap("default: quarters", "default: halves"), "PLUGIN-DEFAULT-MISSING"),
        (both(gone("renameByDefault:"), gone("failRequestsGreaterThanOne:")), "SHARE-SILENT"),
    ),
    *of(
        "gke_operator_values",
        (gone("env:"), "GKE-TOOLKIT"),
        (swap("driver:\n", "gpuCluster:\n  deployCR: true\ndriver:\n"), "OPERATOR-CONFLICT"),
    ),
    *of(
        "gpu_daemons",
        (
            swap("operator: Exists}\n      runtimeClassName: nvidia\n", "operator: Exists}\n"),
            "CDI-RUNTIME-CLASS",
        ),
        (swap("devicePlugin:\n  enabled: false", "devicePlugin:\n  enabled: true"), "PLUGIN-TWICE"),
        (gone("- {name: DCGM_REMOTE"), "DCGM-TWICE"),
    ),
]

NOT_SHOWN = {
    "NODE-MENDERS": "about the controllers of a platform, not about a workload",
}
