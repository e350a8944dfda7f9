"""What is measured, by name.

A benchmark prepares its inputs, which is not timed, and returns the work, which is. The work tells
what it did in counts (`Work`), so that a slow run can be told from one that did more.

* ``fill-*``: one experiment of the FGD paper, openb's default trace in the published sequence 42.
* ``fill-x10-*``: ten times the cluster and the trace: every node ten times over, and ten copies of
  the sequence interleaved, each beginning a tenth later, so that neighbours in time differ as they
  do in the original (copies in step would ask for each shape ten times in a row).
* ``timed-*``: a generated week of the demo's fleet at load 0.9.
* ``snapshot-*``: single operations of `Snapshot`, many times.
* ``cycle-*``, ``verdict-*``, ``large``, ``idle-*``: what `benchmarks.queues` builds.
* ``webhook-review``: a review of 6 KB through the webhook's ASGI application.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks import manifests, queues, reviews
from gpuyard.lint import Settings, catalogue
from gpuyard.model.deltas import MixEntry, MixObserved, NodeObserved, PodBound, PodGone
from gpuyard.model.nodes import Node
from gpuyard.model.resources import CPU, MEMORY, Resources
from gpuyard.model.workloads import (
    Assignment,
    DeviceRequest,
    PodTemplate,
    Request,
    Workload,
)
from gpuyard.scheduling.mix import typical_mix
from gpuyard.scheduling.placement import Counted, Placer
from gpuyard.scheduling.presets import PLACEMENTS, preset
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.studies.notebook import mix_of
from gpuyard.traces import openb
from gpuyard.traces.arrivals import in_sequence
from gpuyard.traces.fleet import DEMO_FLEET
from gpuyard.traces.generate import generate
from gpuyard.twin.fill import fill, samples
from gpuyard.twin.timed import SECOND_NS, Setting, run
from gpuyard.web.admission.app import Webhook
from gpuyard.web.admission.log import Log
from gpuyard.web.admission.measures import Measures

SEED = 42
WEEK_NS = 7 * 24 * 3600 * SECOND_NS
BINDS = 20_000
GANG_PODS = 512
GANGS = 20
YARDS = 5
VERDICTS = 50
IDLE_CYCLES = 20_000
REVIEWS = 1_000
MEMORY_BYTES = 8 << 30


class Work(NamedTuple):
    """What a run did; `operations` is what a microsecond per operation is told of."""

    operations: int
    counted: Counted


class Benchmark(NamedTuple):
    """Something to measure; `prepare` reads its inputs and returns the work."""

    prepare: Callable[[], Callable[[], Work]]
    needs_data: bool = False


class FillInputs(NamedTuple):
    """An experiment of the *fill* protocol."""

    nodes: tuple[Node, ...]
    arrivals: tuple[Workload, ...]
    mix: tuple[MixEntry, ...]


def data_folder() -> Path | None:
    """Return the folder of published data, `None` where the environment names none."""
    folder = os.environ.get("GPUYARD_DATA")
    return Path(folder) if folder and (Path(folder) / "openb").is_dir() else None


# --- fill


def openb_inputs(copies: int = 1) -> FillInputs:
    """Return openb's default trace and fleet, `copies` times over."""
    data = data_folder()
    if data is None:
        raise FileNotFoundError("GPUYARD_DATA does not name a folder with openb/ in it")
    pods = openb.load_pods(data / "openb" / "openb_pod_list_default.csv.gz")
    sequence = openb.load_sequence(data / "fgd_sequences" / "default.json.gz", SEED)
    nodes_path = data / "openb" / "openb_node_list_gpu_node.csv.gz"
    nodes = openb.load_nodes(nodes_path, sequence.node_rank)
    arrivals = in_sequence(pods, sequence)
    mix = typical_mix(pod.request for pod in pods)
    if copies == 1:
        return FillInputs(nodes, arrivals, mix)
    return FillInputs(
        tuple(_node_copies(nodes, copies)), tuple(_interleaved(arrivals, copies)), mix
    )


def _node_copies(nodes: Sequence[Node], copies: int) -> Iterator[Node]:
    """Yield every node `copies` times; the ranks stay a permutation in the same order."""
    for copy in range(copies):
        for node in nodes:
            yield msgspec.structs.replace(
                node, name=f"{node.name}-{copy}", rank=node.rank * copies + copy
            )


def _interleaved(arrivals: Sequence[Workload], copies: int) -> Iterator[Workload]:
    """Yield the arrivals of all copies in turn, each copy a part of the sequence later."""
    count = len(arrivals)
    for index in range(count):
        for copy in range(copies):
            workload = arrivals[(index + copy * count // copies) % count]
            yield msgspec.structs.replace(
                workload, key=f"{workload.key}-{copy}", created_ns=index * copies + copy
            )


def _fill(policy: str, copies: int = 1) -> Callable[[], Work]:
    inputs = openb_inputs(copies)

    def work() -> Work:
        done = fill(inputs.nodes, inputs.arrivals, inputs.mix, PLACEMENTS[policy], seed=SEED)
        samples(done)
        return Work(len(inputs.arrivals), done.counted)

    return work


# --- timed


def _timed(policy: str) -> Callable[[], Work]:
    trace = generate(DEMO_FLEET, SEED)
    setting = Setting(
        nodes=tuple(DEMO_FLEET),
        arrivals=trace.workloads,
        mix=mix_of(trace.workloads),
        until_ns=WEEK_NS,
    )

    def work() -> Work:
        done = run(setting, preset(policy), seed=SEED)
        return Work(len(trace.workloads), done.counted)

    return work


# --- snapshot


def _one_gpu() -> PodTemplate:
    resources = Resources(((CPU, 4_000), (MEMORY, MEMORY_BYTES)))
    return PodTemplate(request=Request(resources=resources, devices=DeviceRequest(count=1)))


def _demo_snapshot() -> Snapshot:
    snapshot = Snapshot()
    for node in DEMO_FLEET:
        snapshot.apply(NodeObserved(node))
    snapshot.apply(MixObserved(typical_mix([_one_gpu().request])))
    return snapshot


def _bind_and_unbind() -> Callable[[], Work]:
    snapshot, template = _demo_snapshot(), _one_gpu()
    names = [node.name for node in DEMO_FLEET]

    def work() -> Work:
        for index in range(BINDS):
            node = names[index % len(names)]
            snapshot.apply(PodBound(Assignment(pod="pod", template=template, node=node)))
            snapshot.apply(PodGone("pod"))
        return Work(2 * BINDS, Counted())

    return work


def _gang_undone() -> Callable[[], Work]:
    snapshot, template = _demo_snapshot(), _one_gpu()
    placer = Placer(snapshot, PLACEMENTS["fgd"], np.random.default_rng(SEED))
    gang = [(f"pod-{index}", template) for index in range(GANG_PODS)]

    def work() -> Work:
        for _ in range(GANGS):
            with snapshot.trial():
                assert placer.place_all(gang), "the gang fits the empty fleet exactly"
        assert not snapshot.bookings
        return Work(GANGS * GANG_PODS, placer.counted)

    return work


# --- queues


def _cycles(prepare: Callable[[], queues.Yard]) -> Callable[[], Work]:
    """Return the work of one cycle in each of several yards, for a cycle changes its yard."""
    yards = [prepare() for _ in range(YARDS)]

    def work() -> Work:
        for one in yards:
            one.cycle()
        return Work(YARDS, Counted())

    return work


def _victims() -> queues.Yard:
    return queues.victims(queues.ONE_ROUND, has_places=True)[0]


def _cheapest() -> Callable[[], Work]:
    made, running = queues.victims(queues.ONE_ROUND, has_places=False)

    def work() -> Work:
        for _ in range(YARDS):
            queues.cheapest_victims(made, running)
        return Work(YARDS, Counted())

    return work


def _verdicts(verdict: Callable[[Snapshot], int]) -> Callable[[], Work]:
    snapshot = queues.verdict_fleet()

    def work() -> Work:
        for _ in range(VERDICTS):
            verdict(snapshot)
        return Work(VERDICTS, Counted())

    return work


def _large() -> Callable[[], Work]:
    def work() -> Work:
        made = queues.large()
        made.cycle()
        return Work(queues.LARGE_NODES + 2 * queues.LARGE_EACH, Counted())

    return work


def _idle_cycles(parked: int) -> Callable[[], Work]:
    made = queues.parked(parked)

    def work() -> Work:
        for _ in range(IDLE_CYCLES):
            made.cycle()
        return Work(IDLE_CYCLES, Counted())

    return work


def _idle_reasons() -> Callable[[], Work]:
    made = queues.pending(queues.ONE_ROUND, has_victims=False, free_nodes=200)

    def work() -> Work:
        for _ in range(YARDS):
            queues.idle_reasons(made)
        return Work(YARDS, Counted())

    return work


# --- lint


def _lint() -> Callable[[], Work]:
    texts = manifests.manifests()
    manifests.lint(texts[:4])  # rules are imported when they are first needed

    def work() -> Work:
        assert manifests.lint(texts) >= len(texts), "each file leaves something out"
        return Work(len(texts), Counted())

    return work


def _lint_one() -> Callable[[], Work]:
    start = manifests.lint_one()

    def work() -> Work:
        return Work(start(), Counted())

    return work


def _reviews() -> Callable[[], Work]:
    webhook = Webhook(Settings(), Measures(lambda: 0.0), Log(len), lambda: "")
    catalogue.rules(for_cluster=False)
    answer = reviews.answering(webhook.app, reviews.review(), REVIEWS)

    def work() -> Work:
        answer()
        return Work(REVIEWS, Counted())

    return work


FILL_POLICIES = ("fgd", "best-fit", "dot-product", "packing", "clustering", "random")
TIMED_POLICIES = ("kube", "kube-most-allocated", "fgd")

BENCHMARKS: dict[str, Benchmark] = {
    **{f"fill-{name}": Benchmark(partial(_fill, name), True) for name in FILL_POLICIES},
    **{
        f"fill-x10-{name}": Benchmark(partial(_fill, name, 10), True)
        for name in ("fgd", "best-fit")
    },
    **{f"timed-{name}": Benchmark(partial(_timed, name)) for name in TIMED_POLICIES},
    "snapshot-bind": Benchmark(_bind_and_unbind),
    "snapshot-gang": Benchmark(_gang_undone),
    "cycle-victims": Benchmark(partial(_cycles, _victims)),
    "cycle-cheapest": Benchmark(_cheapest),
    "cycle-pending": Benchmark(
        partial(_cycles, partial(queues.pending, queues.ONE_ROUND, has_victims=False))
    ),
    "cycle-pending-victims": Benchmark(
        partial(_cycles, partial(queues.pending, queues.ONE_ROUND, has_victims=True))
    ),
    "cycle-pending-rounds": Benchmark(
        partial(_cycles, partial(queues.pending, queues.MANY_ROUNDS, has_victims=False))
    ),
    "verdict-fleet": Benchmark(partial(_verdicts, queues.verdict)),
    "verdict-rack": Benchmark(partial(_verdicts, queues.rack_verdict)),
    "large": Benchmark(_large),
    "idle-cycle-0": Benchmark(partial(_idle_cycles, 0)),
    "idle-cycle-100000": Benchmark(partial(_idle_cycles, 100_000)),
    "idle-reasons": Benchmark(_idle_reasons),
    "lint-1000": Benchmark(_lint),
    "lint-one": Benchmark(_lint_one),
    "webhook-review": Benchmark(_reviews),
}
