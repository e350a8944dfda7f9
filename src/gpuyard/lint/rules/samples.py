"""Manifests that examples start from: each is right, and a rule's example differs in one place.

The two examples of a rule are read side by side, so they should differ where the rule looks and
nowhere else. `changed` makes one from the other and insists that the place is there.
"""

from typing import Final

POD: Final = """\
apiVersion: v1
kind: Pod
metadata:
  name: rank-0
spec:
  restartPolicy: Never
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
"""

SERVER: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm
spec:
  replicas: 1
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: vllm
          image: registry.example/vllm:0.11
          resources:
            limits:
              nvidia.com/gpu: 1
"""

TRAIN: Final = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
  labels:
    kueue.x-k8s.io/queue-name: research
spec:
  completionMode: Indexed
  parallelism: 2
  completions: 2
  template:
    spec:
      subdomain: train
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          command:
            - torchrun
            - --nnodes=2
            - --nproc_per_node=8
            - --node_rank=$(JOB_COMPLETION_INDEX)
            - --master_addr=train-0.train
            - train.py
          resources:
            limits:
              memory: 1Ti
              nvidia.com/gpu: 8
          volumeMounts:
            - name: dshm
              mountPath: /dev/shm
      volumes:
        - name: dshm
          emptyDir:
            medium: Memory
            sizeLimit: 64Gi
"""
"""Two nodes with eight GPUs each, and all that such a job needs."""

GPU_NODE: Final = """\
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
spec:
  taints:
    - {key: nvidia.com/gpu, value: present, effect: NoSchedule}
status:
  allocatable:
    nvidia.com/gpu: "8"
"""


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with the one place that reads `old` changed to `new`."""
    if text.count(old) != 1:
        raise ValueError(f"{text.count(old)} places read {old!r}, not one")
    return text.replace(old, new)


def together(*texts: str) -> str:
    """Return several manifests as the documents of one file."""
    return "---\n".join(texts)
