"""A thousand manifests of model servers, and none that is quite right.

Each is a Deployment of the usual size with its comments, 1.6 KB; 1.6 MB together. Each leaves out
one thing in turn, so that every run has findings whose places are looked up. Names and numbers
differ from file to file, so that nothing is read twice.

`lint` reads and checks them in this process. `lint_one` starts the program anew for one file, as a
commit hook does; its time is that of the program, from the first instruction to its exit.
"""

import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gpuyard.lint import Text, examine, read_texts

FILES = 1_000
STARTS = 4
MANIFEST = """\
# {name}: a chat model of team {team}, on {gpus} GPUs. Who changes the number of GPUs changes the
# parallel size beside it, and the memory, in the same commit.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: team-{team}
  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: inference}}
spec:
  replicas: 2
  strategy:
    rollingUpdate: {{maxSurge: 0, maxUnavailable: 1}}
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: inference}}
    spec:
      terminationGracePeriodSeconds: 120
      tolerations:
        - {{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}}
      containers:
        - name: vllm
          image: registry.example/inference/vllm:0.11.{number}
          command: [vllm, serve, example-lab/{name}]
          args: [--tensor-parallel-size={gpus}, --max-model-len=32768]
          ports:
            - {{name: http, containerPort: 8000}}
          env:
            - {{name: HF_HOME, value: /models}}
          readinessProbe:
            httpGet: {{path: /health, port: http}}
          resources:
            requests: {{cpu: "{cpus}", memory: 64Gi}}
            limits: {{memory: 64Gi, nvidia.com/gpu: {gpus}}}
          volumeMounts:
            - {{name: models, mountPath: /models}}
            - {{name: dshm, mountPath: /dev/shm}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models-{number}}}
        - name: dshm
          emptyDir: {{medium: Memory, sizeLimit: 16Gi}}
"""
LEFT_OUT = (
    "            - {name: dshm, mountPath: /dev/shm}\n",
    "            - {name: models, mountPath: /models}\n",
    "      terminationGracePeriodSeconds: 120\n",
    "          readinessProbe:\n            httpGet: {path: /health, port: http}\n",
)


def manifests(files: int = FILES) -> list[Text]:
    """Return the manifests, each with one thing left out."""
    return [Text(f"k8s/server-{number}.yaml", _manifest(number)) for number in range(files)]


def lint(texts: list[Text]) -> int:
    """Read and check all of them; return how many findings there are."""
    gc.disable()  # as the program does
    given = read_texts(texts)
    return len(examine(given.documents, given.problems).findings)


def lint_one() -> Callable[[], int]:
    """Return the work of starting the program for one file, several times over."""
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "server.yaml"
    file.write_text(_manifest(0), encoding="utf-8")

    def work() -> int:
        with folder:
            for _ in range(STARTS):
                done = subprocess.run(
                    [sys.executable, "-m", "gpuyard", "lint", str(file)],
                    capture_output=True,
                    check=False,
                )
                assert done.returncode == 1, "the file has findings"
        return STARTS

    return work


def _manifest(number: int) -> str:
    gpus = 2 << number % 3
    text = MANIFEST.format(
        name=f"chat-{number}", number=number, team=number % 40, gpus=gpus, cpus=8 * gpus
    )
    return text.replace(LEFT_OUT[number % len(LEFT_OUT)], "")
