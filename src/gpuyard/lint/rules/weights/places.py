"""Where a server keeps the weights that it downloads, and what holds that folder.

The Hugging Face libraries look at a chain of variables; the first that is set decides. Without any
they use ``.cache/huggingface`` of the user's home, which is root's in the images of vLLM, SGLang
and TensorRT-LLM. TGI's image sets the variable to ``/data``. A folder that depends on a variable
from elsewhere, or on the home of an unknown user, is not known.

Sources: huggingface_hub 1.x constants; vLLM v0.11 ``--download-dir``; TGI v3 Dockerfile.
"""

from gpuyard.dialects.workloads import ContainerView
from gpuyard.lint.servers import LOADS_FROM_HUB, Engine, engine_of, is_hub_id, model_of

ROOT_HOME = "/root"
BELOW: tuple[tuple[str, str], ...] = (
    ("HF_HUB_CACHE", ""),
    ("HUGGINGFACE_HUB_CACHE", ""),
    ("HF_HOME", "/hub"),
    ("XDG_CACHE_HOME", "/huggingface/hub"),
)
OF_IMAGES: dict[str, str] = {"tgi": "/data"}
FETCHES_OTHERWISE = ("runai_streamer", "tensorizer", "modelexpress", "dummy")
ON = frozenset({"1", "on", "yes", "true"})


def hub_model(container: ContainerView) -> tuple[Engine, str] | None:
    """Return the server and the Hub id of the model it downloads, `None` where it does not."""
    engine = engine_of(container)
    if engine is None or engine not in LOADS_FROM_HUB:
        return None
    model = model_of(container, engine)
    loading = container.flag("--load-format")
    if loading and loading.value.startswith(FETCHES_OTHERWISE):
        return None
    return (engine, model) if is_hub_id(model) else None


def cache_of(container: ContainerView, engine: Engine) -> str:
    """Return the folder to which a server downloads, "" where that is not known."""
    flag = container.flag("--download-dir") if engine in {"vllm", "sglang"} else None
    if flag is not None:
        return _absolute(flag.value)
    for name, below in BELOW:
        variable = container.env(name)
        if variable is not None:
            folder = _absolute(variable.value or "")
            return folder and folder + below
    if container.get("envFrom"):
        return ""
    if engine in OF_IMAGES:
        return OF_IMAGES[engine]
    return _home(container) and f"{_home(container)}/.cache/huggingface/hub"


def is_on(container: ContainerView, name: str) -> bool:
    """Tell whether a variable that switches something on is set so."""
    variable = container.env(name)
    return variable is not None and (variable.value or "").lower() in ON


def _home(container: ContainerView) -> str:
    home = container.env("HOME")
    if home is not None:
        return _absolute(home.value or "").rstrip("/")
    return ROOT_HOME if container.security("runAsUser") in (None, 0) else ""


def _absolute(folder: str) -> str:
    return folder if folder.startswith("/") and "$" not in folder else ""
