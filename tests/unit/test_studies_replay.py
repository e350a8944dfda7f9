"""The study behind ``gpuyard replay``: which order, which instants, which page."""

import msgspec
import numpy as np
import pytest

from gpuyard.scheduling.presets import placement, preset
from gpuyard.studies.replay import runs as study
from gpuyard.studies.replay.page import SERIES_MAX, page
from gpuyard.studies.replay.runs import Task, TimedSample, load_inputs, named_policy, replay
from gpuyard.traces.trace import TraceError
from gpuyard.twin import timed
from gpuyard.twin.page import render
from gpuyard.twin.page.content import LinePlot, Table
from tests.small_fleet import arrival, node, template
from tests.small_trace import SEQUENCES, write_openb, write_own

MADE_BY = {"trace": "pods", "command": "gpuyard replay", "version": "gpuyard 0"}


@pytest.fixture
def own(tmp_path):
    write_own(tmp_path)
    return tmp_path / "nodes.csv", tmp_path / "pods.csv"


@pytest.fixture
def openb(tmp_path):
    write_openb(tmp_path)
    return tmp_path / "openb-nodes.csv", tmp_path / "openb-pods.csv"


def run_one(inputs, name="fgd", tie_break=None):
    policy = named_policy(name, tie_break)
    return replay(Task(inputs=inputs, name=name, policy=policy, seed=inputs.seed))


def keys(inputs):
    return [timed.workload.key for timed in inputs.arrivals]


# --- Order --------------------------------------------------------------------------------------


def test_without_a_seed_the_order_is_the_traces_own(openb):
    inputs = load_inputs(*openb, protocol="fill")
    assert keys(inputs) == [f"p{index}" for index in range(8)]
    assert (inputs.seed, [node.rank for node in inputs.nodes]) == (0, [0, 1, 2])


@pytest.mark.parametrize(("seed", "taken"), [(42, 42), (7, 7), (None, 7)])
def test_a_sequence_gives_order_clones_and_ranks(openb, tmp_path, seed, taken):
    path = tmp_path / "sequences.json"
    inputs = load_inputs(*openb, protocol="fill", sequence_path=path, seed=seed)
    published = SEQUENCES[str(taken)]
    assert [int(key[1]) for key in keys(inputs)] == published["pods"]
    assert len(set(keys(inputs))) == len(published["pods"])  # a clone is a pod of its own
    assert [node.rank for node in inputs.nodes] == published["node_rank"]
    assert [node.name for node in inputs.nodes] == ["n1", "n2", "n3"]
    assert inputs.seed == taken


def test_a_seed_shuffles_openb_in_fill_only(openb):
    shuffled = load_inputs(*openb, protocol="fill", seed=5)
    assert keys(shuffled) == keys(load_inputs(*openb, protocol="fill", seed=5))
    assert keys(shuffled)[:8] != [f"p{index}" for index in range(8)]
    assert {key.partition("+")[0] for key in keys(shuffled)} == {f"p{i}" for i in range(8)}
    timed = load_inputs(*openb, protocol="timed", seed=5)
    assert keys(timed) == [f"p{index}" for index in range(8)]
    assert timed.seed == 5


def test_our_own_table_has_an_order_of_its_own(own, tmp_path):
    inputs = load_inputs(*own, protocol="fill", seed=5)
    assert keys(inputs) == ["first", "ann", "bob", "serve", "second"]
    assert inputs.seed == 5
    with pytest.raises(TraceError, match=r"pods\.csv:1: --sequence orders an openb pod list"):
        load_inputs(*own, protocol="fill", sequence_path=tmp_path / "no.json")


def test_a_sequence_orders_openb_pods_on_a_fleet_of_our_own_form(own, openb, tmp_path):
    _, pods = openb
    pods.write_text(pods.read_text().replace("P100", "L4").replace("T4", "H100"))
    write_openb_sequences = tmp_path / "sequences.json"
    inputs = load_inputs(own[0], pods, protocol="fill", sequence_path=write_openb_sequences, seed=7)
    by_name = {node.name: node.rank for node in inputs.nodes}
    # Ranks are given to nodes sorted by name: small, train-0, train-1.
    assert by_name == {"small": 2, "train-0": 0, "train-1": 1}


def test_ties_are_replaced_only_when_asked():
    assert named_policy("kube", None) is preset("kube")
    ranked = named_policy("kube", "rank")
    assert ranked.placement == msgspec.structs.replace(placement("kube"), tie_break="rank")


# --- What is counted ----------------------------------------------------------------------------


def test_fill_counts_what_was_placed(own):
    done = run_one(load_inputs(*own, protocol="fill"))
    assert (done.arrivals, done.placed, done.failed) == (5, 4, 1)
    assert done.waits == ()
    assert b'"waits"' not in msgspec.json.encode(done)


def test_timed_waits_are_those_of_the_classes(own):
    done = run_one(load_inputs(*own, protocol="timed"))
    waits = {wait.kind: wait for wait in done.waits}
    assert (waits["training"].p50_s, waits["training"].mean_s) == (1770.0, 1770.0)
    assert waits["training"].p95_s == pytest.approx(0.95 * 3540)
    assert (waits["notebook"].mean_s, waits["inference"].workloads) == (0.0, 1)
    assert all(wait.never_started == 0 for wait in done.waits)


def test_who_never_starts_is_counted(own):
    nodes, pods = own
    endless = pods.read_text().replace(",0,3600,training", ",0,,training")
    pods.write_text(endless)
    done = run_one(load_inputs(nodes, pods, protocol="timed"))
    training = next(wait for wait in done.waits if wait.kind == "training")
    assert (done.placed, done.failed, training.never_started) == (4, 1, 1)
    assert training.mean_s == (620 - 60) / 2  # waited until nothing happened any more


def test_timed_samples_are_the_instants_at_which_something_happened(own):
    done = run_one(load_inputs(*own, protocol="timed"))
    at = {sample.at_s: sample for sample in done.samples}
    assert at[0].allocated_pct == pytest.approx(100 * 16 / 24)
    assert at[10].allocated_pct == pytest.approx(100 * 16.5 / 24)
    assert at[60].waiting_gpus == 16
    assert at[3600].waiting_gpus == 0
    assert at[7200].allocated_pct == pytest.approx(100 * 4 / 24)
    assert all(one.useful_pct <= one.allocated_pct for one in done.samples)


def test_many_instants_become_evenly_spread_ones(own, monkeypatch):
    monkeypatch.setattr(study, "TIMED_SAMPLES", 4)
    done = run_one(load_inputs(*own, protocol="timed"))
    assert [sample.at_s for sample in done.samples] == [0.0, 2400.0, 4800.0, 7200.0]
    assert [sample.waiting_gpus for sample in done.samples] == [0.0, 16.0, 0.0, 0.0]
    assert done.samples[-1].allocated_pct == pytest.approx(100 * 4 / 24)


def test_samples_of_a_trace_that_begins_late_begin_with_its_first_instant(monkeypatch):
    monkeypatch.setattr(study, "TIMED_SAMPLES", 3)
    late_ns = 2**53 + 1  # 104 days; the nearest float is smaller
    ask = template(100, 1)
    arrivals = tuple(arrival(f"w{at}", (1, ask), at=late_ns + at, runs=100) for at in range(5))
    setting = timed.Setting(nodes=(node("n", gpus="A" * 5),), arrivals=arrivals, mix=())
    samples = study.timed_samples(timed.run(setting, preset("best-fit")))
    assert [one.allocated_pct for one in samples] == [20.0, 100.0, 0.0]


# --- The page -----------------------------------------------------------------------------------


def sample(at_s, useful_pct):
    return TimedSample(
        at_s=at_s,
        allocated_pct=useful_pct,
        useful_pct=useful_pct,
        frag_pct_of_cluster=0.0,
        unreachable_pct_of_cluster=0.0,
        waiting_gpus=0.0,
    )


def test_a_line_over_time_keeps_its_value_until_the_next_instant(own):
    done = run_one(load_inputs(*own, protocol="timed"))
    done = msgspec.structs.replace(done, samples=(sample(0.0, 10.0), sample(5.0, 40.0)))
    useful = next(block for block in page([done], **MADE_BY).blocks if block.id == "useful")
    assert (useful.series[0].x, useful.series[0].y) == ((0.0, 5.0, 5.0), (10.0, 10.0, 40.0))


@pytest.mark.parametrize("protocol", ["fill", "timed"])
def test_a_page_has_every_policy_in_every_plot(own, protocol):
    inputs = load_inputs(*own, protocol=protocol)
    names = ("fgd", "kube", "packing", "random", "gpuyard")
    made = page([run_one(inputs, name) for name in names], **MADE_BY)
    plots = [block for block in made.blocks if isinstance(block, LinePlot)]
    assert len(plots) >= 2
    for plot in plots:
        assert [series.name for series in plot.series] == list(names)
        assert len({series.role for series in plot.series}) == SERIES_MAX
    counts = next(
        block for block in made.blocks if isinstance(block, Table) and "counts" in block.id
    )
    assert [row.cells[0] for row in counts.rows] == list(names)
    assert len(made.sentences) == len(names)
    render(made)


def test_more_policies_than_can_be_told_apart_are_refused(own):
    done = run_one(load_inputs(*own, protocol="fill"))
    with pytest.raises(ValueError, match="6 policies on one page; compare at most 5"):
        page([done] * (SERIES_MAX + 1), **MADE_BY)


def test_a_trace_without_gpus_is_replayed_too(own):
    nodes, pods = own
    pods.write_text("workload,cpu_milli,memory_mib,gpus,arrival_s\na,1000,1024,0,0\n")
    nodes.write_text("name,cpu_milli,memory_mib,gpus\nn,4000,4096,0\n")
    done = run_one(load_inputs(nodes, pods, protocol="fill"))
    assert (done.gpus, done.placed, done.samples) == (0, 1, ())
    render(page([done], **MADE_BY))
    timed = run_one(load_inputs(nodes, pods, protocol="timed"))
    assert not np.any([one.allocated_pct for one in timed.samples])
    render(page([timed], **MADE_BY))
