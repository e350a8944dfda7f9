"""Tokens in plain sight.

A token for the Hugging Face Hub, or for a registry of models, that is written into a manifest
stands in the repository, in the API server and in every ``kubectl describe`` from then on.
Placeholders are left alone: nobody is harmed by ``<your-token>``.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.world import World

NAMES = frozenset(
    {
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HF_API_TOKEN"),
        *("HUGGINGFACEHUB_API_TOKEN", "NGC_API_KEY", "NVIDIA_API_KEY", "WANDB_API_KEY"),
        *("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"),
    }
)
TOKEN = re.compile(r"hf_[A-Za-z0-9]{20,}|nvapi-[\w-]{20,}|[A-Za-z0-9+/_-]{32,}=*")
PLACEHOLDER = re.compile(r"(?i)your|token|example|placeholder|changeme|replace|insert|x{4,}|\*{3,}")


def check(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find variables that hold a token."""
    for container in pod.all_containers:
        for name in NAMES.intersection(container.variables):
            variable = container.variables[name]
            value = variable.value or ""
            if TOKEN.fullmatch(value) and not PLACEHOLDER.search(value):
                yield Hit(
                    (*variable.path, "value"),
                    f"{name} of container {container.name} is written out "
                    f"({len(value)} characters)",
                )


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: llm
spec:
  containers:
    - name: vllm
      image: registry.example/vllm:0.11
      resources:
        limits:
          nvidia.com/gpu: 1
      env:
        - name: HF_TOKEN
"""

RULES = (
    Rule(
        id="POD-TOKEN",
        severity="warning",
        title="A token comes from a Secret",
        why="What is written into a manifest is readable in the repository and by everybody who "
        "may look at pods, and it stays in the history when it is removed.",
        remedy="take it from a Secret with valueFrom.secretKeyRef, and revoke this one",
        source="Kubernetes documentation, Good practices for Kubernetes Secrets; Hugging Face "
        "documentation, User access tokens",
        scope="pod",
        check=check,
        failing=_POD
        + """\
          value: "hf_0000000000000000000000000000000000" # <- here
""",
        passing=_POD
        + """\
          valueFrom:
            secretKeyRef: {name: hub, key: token}
""",
    ),
)
