"""SIGTERM, and whether it reaches the one who should write the checkpoint.

The kubelet sends SIGTERM to the first process of a container. Where that is a shell, the shell gets
it and passes it on to nobody: the trainer runs on until it is killed. A shell that ends with
``exec`` is replaced by the trainer, and a ``trap`` may pass the signal on. bash (5.1 and later)
replaces itself by the last simple command of ``bash -c``; dash, the sh of Debian and Ubuntu, does
so only where it is the only one.

A ``preStop`` hook runs before SIGTERM and within the grace period: one that sleeps as long as the
period leaves two seconds. torchrun passes SIGTERM on to its workers and kills them after 30
seconds, whatever the grace period, unless it is told another time: ``--shutdown-timeout`` or
``TORCH_ELASTIC_SHUTDOWN_TIMEOUT``, which PyTorch has since March 2026.

Sources: Kubernetes documentation, Pod Lifecycle, Termination of Pods; k8s.io/api 1.37, core/v1
SleepAction (refused where longer than the grace period); PyTorch #119856, #68258, #172596;
SkyRL #1688; bash 5.2 and dash 0.5.12, tried.
"""

import re
from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.launch.torchrun import Torchrun, launches
from gpuyard.lint.rules.samples import POD, SERVER, TRAIN, changed
from gpuyard.lint.wording import count
from gpuyard.lint.world import World

GRACE_DEFAULT = 30
TORCHRUN_KILLS_AFTER = 30
SHUTDOWN_TIMEOUT = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
BASHES = frozenset({"bash", "zsh"})
RUNNERS = frozenset(
    {"torchrun", "accelerate", "deepspeed", "python", "python3", "vllm", "composer", "sglang"}
)
_TRAP = re.compile(r"(^|[\s;&|])(trap|exec|wait|tini|dumb-init|supervisord)\s")
_HEREDOC = re.compile(r"<<-?\s*['\"]?\w")
_SLEEP = re.compile(r"\bsleep\s+([0-9]{1,6})s?\b")
_COMPOUND = re.compile(r"(^|[\s;])(if|for|while|until|case|function)\s|\(\)\s*\{|<<")
_SUBSTITUTED = re.compile(r"\$\([^()]*\)|`[^`]*`")
_BREAKS = re.compile(r";|&&|\|\||\n")


def check_shell(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find trainers and servers behind a shell that keeps their SIGTERM."""
    if pod.spec.is_true("shareProcessNamespace"):
        return
    for container in pod.containers:
        found = _script(container)
        if found is None or not container.gpu_asks:
            continue
        shell, script, path = found
        runner = _kept_from_signal(shell, script)
        if runner:
            yield Hit(
                path,
                f"container {container.name}: {shell} gets SIGTERM and does not pass it on to "
                f"{runner}",
                of="value",
                remedy=f"write exec {runner} … as the last command, or trap the signal",
            )


def check_prestop(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find hooks that sleep for the whole grace period."""
    written = pod.spec.whole("terminationGracePeriodSeconds")
    grace = GRACE_DEFAULT if written is None else written
    for container in pod.containers:
        hook = container.mapping("lifecycle", "preStop")
        seconds = _sleeps(hook)
        if seconds is not None and 0 < grace <= seconds:
            by_default = " (the default)" if written is None else ""
            yield Hit(
                container.at("lifecycle", "preStop"),
                f"container {container.name} sleeps {count(seconds, 'second')} before SIGTERM, "
                f"and is killed after {grace}{by_default}",
                remedy=f"set terminationGracePeriodSeconds: {seconds + GRACE_DEFAULT} or more",
            )


def check_torchrun(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find grace periods of which torchrun lets its workers use 30 seconds only."""
    grace = pod.spec.whole("terminationGracePeriodSeconds") or 0
    if grace <= TORCHRUN_KILLS_AFTER:
        return
    if any(not _is_told(launch) for launch in launches(pod)):
        yield Hit(
            pod.spec.at("terminationGracePeriodSeconds"),
            f"{grace} seconds of grace, but torchrun kills its workers after "
            f"{TORCHRUN_KILLS_AFTER} unless told otherwise",
            of="value",
        )


def _is_told(launch: Torchrun) -> bool:
    """Tell whether torchrun was given the time that its workers have."""
    variable = launch.container.env(SHUTDOWN_TIMEOUT)
    return variable is not None or launch.option("shutdown_timeout") is not None


def _script(container: ContainerView) -> tuple[str, str, Path] | None:
    """Return the shell, the script of its ``-c`` and its place; `None` where there is none."""
    if not plain.words(container.value, "command"):
        return None  # the entrypoint of the image comes first
    line = container.command_line
    shell = line[0][0].rpartition("/")[2]
    if shell not in SHELLS:
        return None
    for at, (word, _) in enumerate(line[1:-1], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return shell, line[at + 1][0], line[at + 1][1]
    return None


def _kept_from_signal(shell: str, script: str) -> str:
    """Return the program that a shell keeps from its SIGTERM, "" where none is certain."""
    if _TRAP.search(script) or _HEREDOC.search(script):
        return ""
    joined = _SUBSTITUTED.sub("x", script.replace("\\\n", " ")).strip().rstrip(";&").strip()
    if _COMPOUND.search(joined):
        return ""
    commands = [one.strip() for one in _BREAKS.split(joined)]
    commands = [one for one in commands if one and not one.startswith("#")]
    at = next((at for at, one in enumerate(commands) if _runner(one) and _is_long(one)), None)
    if at is None or any("'" in one or '"' in one for one in commands[at:]):
        return ""  # what a quote holds may have been taken apart
    is_last, is_piped = at == len(commands) - 1, "|" in commands[at]
    if is_last and not is_piped and (shell in BASHES or len(commands) == 1):
        return ""
    return _runner(commands[at])


def _runner(command: str) -> str:
    """Return the program that a command starts, if it is one that trains or serves."""
    words = command.split()
    while words and ("=" in words[0] or words[0] in {"nohup", "time", "env"}):
        words = words[1:]
    name = words[0].rpartition("/")[2] if words else ""
    return name if name in RUNNERS else ""


def _is_long(command: str) -> bool:
    """Tell whether a command trains or serves: not pip, not a one-liner of Python."""
    words = command.split()
    is_python = any(word.startswith("python") for word in words[:3])
    if " -c " in command or "--version" in words or "-m pip" in command:
        return False
    return not is_python or any(
        word.endswith(".py") and ("train" in word or "serve" in word or "main" in word)
        for word in words
    )


def _sleeps(hook: Mapping[str, object]) -> int | None:
    """Return how many seconds a preStop hook sleeps, `None` where it does something else."""
    seconds = plain.whole(hook, "sleep", "seconds")
    if seconds is not None:
        return seconds
    command = " ".join(word for _, word in plain.words(hook, "exec", "command"))
    found = _SLEEP.findall(command)
    return sum(map(int, found)) if found and not _COMPOUND.search(command) else None


_IN_SHELL = changed(
    POD,
    "      resources:\n",
    """\
      command:
        - sh
        - -c
        - cd /workspace && exec torchrun train.py
      resources:
""",
)
_HOOK = changed(
    SERVER,
    "          resources:\n",
    """\
          lifecycle:
            preStop:
              exec: {command: [sleep, "15"]}
          resources:
""",
)
_GRACE = changed(
    TRAIN,
    "      subdomain: train\n",
    "      subdomain: train\n      terminationGracePeriodSeconds: 30\n",
)

RULES = (
    Rule(
        id="GRACE-SHELL",
        severity="warning",
        title="SIGTERM reaches the trainer and not a shell",
        why="A shell that waits for a command does not pass SIGTERM on. The trainer learns nothing "
        "of its end, writes no checkpoint and is killed when the grace period is over.",
        remedy="start it with exec as the last command of the script",
        source="Kubernetes documentation, Pod Lifecycle, Termination of Pods; NovaSky-AI/SkyRL "
        "#1688; dash(1) and bash(1)",
        scope="pod",
        check=check_shell,
        failing=changed(_IN_SHELL, "exec torchrun train.py", "torchrun train.py # <- here"),
        passing=_IN_SHELL,
    ),
    Rule(
        id="GRACE-PRESTOP",
        severity="warning",
        title="A preStop hook leaves time for the rest of the end",
        why="The hook runs within the grace period. One that uses it up leaves the process two "
        "seconds between SIGTERM and SIGKILL, and requests in flight are lost.",
        remedy="set terminationGracePeriodSeconds well above the hook's sleep",
        source="Kubernetes documentation, Pod Lifecycle, Termination of Pods; k8s.io/api 1.37, "
        "core/v1 SleepAction",
        scope="pod",
        check=check_prestop,
        failing=changed(_HOOK, '[sleep, "15"]', '[sleep, "60"]').replace(
            "preStop:", "preStop: # <- here"
        ),
        passing=_HOOK,
    ),
    Rule(
        id="GRACE-TORCHRUN",
        severity="info",
        title="A long grace period is told to torchrun too",
        why="torchrun passes SIGTERM on and kills its workers 30 seconds later by itself. A "
        "checkpoint that takes longer is cut off, however long the grace period is.",
        remedy="set TORCH_ELASTIC_SHUTDOWN_TIMEOUT to a little less than the grace period (PyTorch "
        "since March 2026), or write the checkpoint within 30 seconds",
        source="pytorch/pytorch #119856, #68258, #172596, #192815",
        scope="pod",
        check=check_torchrun,
        failing=changed(
            _GRACE,
            "terminationGracePeriodSeconds: 30",
            "terminationGracePeriodSeconds: 300 # <- here",
        ),
        passing=_GRACE,
    ),
)
