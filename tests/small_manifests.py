"""Small manifests, right and wrong, for tests of the command line."""

from pathlib import Path

TRAIN = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources: # two H100
            limits:
              cpu: "16"
              memory: 64Gi
              nvidia.com/gpu: 2
      priorityClassName: research
  activeDeadlineSeconds: 172800
  ttlSecondsAfterFinished: 86400
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
"""
# What every rule of the catalogue has nothing to say about.
WEB = """\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
    - port: 80
"""
TEMPLATE = """\
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-vllm
"""
BROKEN = "apiVersion: v1\nkind: [\n"
NODE = """\
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-0"},
   "spec": {"providerID": "example://0"},
   "status": {"allocatable": {"cpu": "96", "memory": "512Gi", "nvidia.com/gpu": "8"}}}
]}
"""
RULE = "GPU-SHM"  # what TRAIN breaks
PLACE = "train.yaml:12:11"


def write_manifests(folder: Path) -> None:
    """Write a folder with one finding, in a file of its own."""
    (folder / "k8s").mkdir()
    (folder / "k8s" / "train.yaml").write_text(TRAIN)
    (folder / "k8s" / "web.yml").write_text(WEB)
