"""Which model server a container runs, which model it serves, and on how many GPUs.

Known are the servers that most manifests run; what is not recognised has no server, and rules about
serving leave it alone. A container is recognised by its command line, or by its image where the
command is the image's own: a server's image that runs ``sleep`` serves nothing.

A *world* is the number of GPUs over which one instance of the server spreads its model: the product
of its parallel sizes. It is `None` where the command line does not decide it: a size comes from a
variable, a file of settings or a script.

Sources: vLLM v0.11 engine arguments and Dockerfile; SGLang v0.5 server arguments; Hugging Face TGI
v3 launcher; TensorRT-LLM 1.0 ``trtllm-serve``; LMDeploy v0.10 CLI.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec

from gpuyard.dialects.workloads import ContainerView, Flag

Engine = Literal["vllm", "sglang", "tgi", "trtllm", "lmdeploy", "triton", "nim"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LOADS_FROM_HUB: frozenset[Engine] = frozenset({"vllm", "sglang", "tgi", "trtllm", "lmdeploy"})
"""Engines that download the model of a Hub id by themselves when they start."""

VIEWS_KEPT = 16
"""Answers kept: many rules ask the same of one container before the next one's turn comes."""

_PROGRAMS: dict[str, Engine] = {
    "trtllm-serve": "trtllm",
    "text-generation-launcher": "tgi",
    "tritonserver": "triton",
}
_MODULES: tuple[tuple[str, Engine], ...] = (
    ("vllm.entrypoints.", "vllm"),
    ("sglang.launch_server", "sglang"),
)
_SERVE: dict[str, Engine] = {"vllm": "vllm", "lmdeploy": "lmdeploy", "sglang": "sglang"}
_IMAGES: tuple[tuple[str, Engine], ...] = (
    ("/vllm-openai", "vllm"),
    ("/text-generation-inference", "tgi"),
    ("nvcr.io/nim/", "nim"),
)
_MODEL_FLAGS: dict[Engine, tuple[str, ...]] = {
    "vllm": ("--model",),
    "sglang": ("--model-path", "--model"),
    "tgi": ("--model-id",),
    "trtllm": (),
    "lmdeploy": (),
    "triton": (),
    "nim": (),
}
_TENSOR: dict[Engine, tuple[str, ...]] = {
    "vllm": ("--tensor-parallel-size", "-tp"),
    "sglang": ("--tensor-parallel-size", "--tp-size", "--tp"),
    "tgi": ("--num-shard",),
    "trtllm": ("--tp_size",),
    "lmdeploy": ("--tp",),
}
_PIPELINE: dict[Engine, tuple[str, ...]] = {
    "vllm": ("--pipeline-parallel-size", "-pp"),
    "sglang": ("--pipeline-parallel-size", "--pp-size"),
    "trtllm": ("--pp_size",),
}
_DATA: dict[Engine, tuple[str, ...]] = {
    "vllm": ("--data-parallel-size-local", "--data-parallel-size", "-dp", "-dpl"),
    "sglang": ("--data-parallel-size", "--dp-size", "--dp"),
    "lmdeploy": ("--dp",),
}
# What else decides the number of GPUs, here or on other nodes.
_OPEN = (
    *("--config", "--nnodes", "--node-rank", "--headless", "--data-parallel-address"),
    *("--dist-init-addr", "--enable-dp-attention", "--prefill-context-parallel-size", "-pcp"),
    *("--data-parallel-hybrid-lb", "--data-parallel-external-lb", "--data-parallel-rank"),
    *("--extra_llm_api_options", "--distributed-executor-backend", "--data-parallel-start-rank"),
)
_NUMBER = re.compile(r"[0-9]{1,4}")
_VARIABLE = re.compile(r"\$[({]?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[)}]?")


class World(msgspec.Struct, frozen=True):
    """Over how many GPUs a server spreads, and the words that say so."""

    gpus: int
    said: str
    """``--tensor-parallel-size 4``; empty where nothing is said and one GPU is the default."""
    path: tuple[str | int, ...]


@lru_cache(maxsize=VIEWS_KEPT)
def engine_of(container: ContainerView) -> Engine | None:
    """Return the model server that a container runs, `None` where none is recognised."""
    words = container.words
    for index, (word, _) in enumerate(words):
        name = word.rpartition("/")[2]
        following = words[index + 1][0] if index + 1 < len(words) else ""
        if name in _SERVE and following == "serve":
            return _SERVE[name]
        found = _PROGRAMS.get(name)
        if found is not None:
            return found
        for module, engine in _MODULES:
            if word.startswith(module):
                return engine
    if container.get("command"):
        return None
    return next((engine for part, engine in _IMAGES if part in container.image), None)


def model_of(container: ContainerView, engine: Engine) -> str:
    """Return the model as it is named on the command line, "" where it is not."""
    flag = container.flag(*_MODEL_FLAGS[engine]) if _MODEL_FLAGS[engine] else None
    if flag is not None:
        return expanded(container, flag.value)
    if engine == "tgi":
        found = container.env("MODEL_ID")
        return (found.value or "") if found else ""
    words = [word for word, _ in container.words]
    if engine == "vllm" and "serve" in words[:-1]:
        after = words[words.index("serve") + 1]
        return "" if after.startswith("-") else expanded(container, after)
    return ""


def expanded(container: ContainerView, value: str) -> str:
    """Return `value` with ``$(NAME)`` filled in from the container's own variables.

    The kubelet does this; a shell's ``$NAME`` and ``${NAME}`` are filled in likewise, because a
    script sees the same variables. What is not known stays as it is.
    """
    if "$" not in value:
        return value

    def filled(match: re.Match[str]) -> str:
        variable = container.env(match["name"])
        known = variable.value if variable else None
        return match[0] if known is None else known

    return _VARIABLE.sub(filled, value)


def is_hub_id(model: str) -> bool:
    """Tell whether `model` names a repository of the Hugging Face Hub, not a path."""
    return bool(HUB_ID.fullmatch(model)) and not model.startswith(("models/", "data/", "mnt/"))


@lru_cache(maxsize=VIEWS_KEPT)
def world_of(container: ContainerView, engine: Engine) -> World | None:
    """Return the GPUs over which a server spreads, `None` where that is decided elsewhere."""
    if engine not in _TENSOR or container.flag(*_OPEN) is not None:
        return None
    product, said, path = 1, [], container.path
    for names in (_TENSOR[engine], _PIPELINE.get(engine, ()), _DATA.get(engine, ())):
        flag = _first_of(container, names)
        if flag is None:
            continue
        value = expanded(container, flag.value)
        if not _NUMBER.fullmatch(value) or int(value) == 0:
            return None
        product *= int(value)
        said.append(f"{flag.name} {value}")
        path = flag.path
    if not said and (engine in {"tgi", "sglang"} or not _says_all(container, engine)):
        return None  # TGI takes all it sees
    return World(product, " ".join(said), path)


def _first_of(container: ContainerView, names: tuple[str, ...]) -> Flag | None:
    """Return the option that comes first among `names`: what is local goes before the total."""
    found = (container.flag(name) for name in names)
    return next((flag for flag in found if flag is not None), None)


def _says_all(container: ContainerView, engine: Engine) -> bool:
    """Tell whether what is not on the command line is left at its default."""
    words = container.words
    return engine == "vllm" and bool(words) and not any("$" in word for word, _ in words)
