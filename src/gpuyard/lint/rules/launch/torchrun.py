"""torchrun on a command line: which options it was given, as far as they are written down.

An option may stand on the command line or, with ``PET_`` before its name, in the environment; the
command line wins. Its value may come from a variable; then it is not known, and a rule that asks
for a number gets none. What follows the script belongs to the script and is not looked at.

Source: PyTorch 2.10, torch/distributed/run.py (options, ``action=env``, defaults) and
torch/distributed/argparse_util.py.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ContainerView, Flag, PodView
from gpuyard.dialects.workloads.commands import Words, find_flag

STARTERS = frozenset({"torchrun", "torch.distributed.run", "torch.distributed.launch"})
_ENDS = frozenset({"|", "||", "&&", "&", ";", ";;"})
_NUMBER = re.compile(r"[0-9]{1,6}")
_RANGE = re.compile(r"([0-9]{1,6})(?::([0-9]{1,6}))?")
ENVIRONMENT = frozenset(
    {"MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "NNODES", "COORDINATOR_ADDRESS"}
    | {"JAX_COORDINATOR_ADDRESS", "PET_MASTER_ADDR", "PET_RDZV_ENDPOINT", "PET_NNODES"}
)
JOINS = ("--dist-init-addr", "--nccl-init-addr")  # SGLang 0.5, of a server over several nodes
_DISTRIBUTED_WORDS = frozenset({"mpirun", "mpiexec", "horovodrun", "deepspeed"})


class Torchrun:
    """One call of torchrun in one container."""

    def __init__(self, container: ContainerView, words: Words) -> None:
        self.container = container
        self.words = words

    def option(self, name: str) -> Flag | None:
        """Return an option (``nnodes``) from the command line or the environment."""
        found = find_flag(self.words, (f"--{name}",))
        if found is not None:
            return found
        variable = self.container.env("PET_" + name.upper())
        if variable is None:
            return None
        return Flag(variable.name, "" if variable.value is None else variable.value, variable.path)

    @cached_property
    def is_certain(self) -> bool:
        """Tell whether an option that is not written is not given: no variable may hold more."""
        hidden = any(
            word.startswith("$") and ("=" in before or not before.startswith("-"))
            for (before, _), (word, _) in pairwise(self.words)
        )
        return not hidden and not self.container.mappings("envFrom")

    @property
    def path(self) -> Path:
        """The argument that calls it."""
        return self.words[0][1]

    @property
    def backend(self) -> str:
        """The rendezvous backend, "" where a variable decides it."""
        if find_flag(self.words, ("--standalone",)):
            return "c10d"
        found = self.option("rdzv_backend")
        if found is None:
            return "static"
        return found.value if found.value.isalnum() else ""

    @cached_property
    def nodes(self) -> tuple[int, int] | None:
        """The fewest and the most nodes; `None` where a variable decides."""
        if find_flag(self.words, ("--standalone",)):
            return (1, 1)
        found = self.option("nnodes")
        if found is None:
            return (1, 1)
        match = _RANGE.fullmatch(found.value)
        return (int(match[1]), int(match[2] or match[1])) if match else None


def launches(pod: PodView) -> Iterator[Torchrun]:
    """Return the calls of torchrun in a pod's containers, where a container makes just one."""
    for container in pod.containers:
        words = container.words
        starts = [at for at, (word, _) in enumerate(words) if _starts(word)]
        if len(starts) == 1:
            yield Torchrun(container, tuple(_own(words[starts[0] :])))


def is_distributed(pod: PodView) -> bool:
    """Tell whether a pod's containers show that they work with others of their kind."""
    return any(
        container.variables.keys() & ENVIRONMENT
        or any(word.rpartition("/")[2] in _DISTRIBUTED_WORDS for word, _ in container.words)
        or container.flag(*JOINS) is not None
        for container in pod.containers
    ) or any(one.nodes != (1, 1) for one in launches(pod))


def number(flag: Flag | None) -> int | None:
    """Return the number that an option gives, `None` where it gives none."""
    return int(flag.value) if flag is not None and _NUMBER.fullmatch(flag.value) else None


def _starts(word: str) -> bool:
    return word.rpartition("/")[2] in STARTERS


def _own(words: Words) -> Iterator[tuple[str, Path]]:
    """Return the words up to the script: its own options are not torchrun's."""
    for word, path in words:
        if word in _ENDS or word.endswith(".py") or word in {"-m", "--module"}:
            return
        yield word, path
