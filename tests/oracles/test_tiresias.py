"""The published Tiresias results of Pollux' artifact, a short form: two workloads of every load.

All 6,400 jobs: ``python -m verification.tiresias``. A comparison that cannot fail proves nothing,
so the same workloads must miss with another threshold, restart cost or way of placing.
"""

import msgspec
import pytest

from gpuyard.model.rounds import LeastAttained
from gpuyard.scheduling.rounds import TIRESIAS
from gpuyard.traces import pollux
from gpuyard.twin import rounds
from gpuyard.twin.rounds import Arrival, RoundWorld
from gpuyard.twin.training import Training
from verification import tiresias

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


@pytest.fixture(scope="module")
def artifact(data_dir):
    return pollux.Artifact(data_dir / tiresias.ARCHIVE)


@pytest.fixture(scope="module")
def measured(artifact):
    return tiresias.applications(artifact)


def missed(artifact, load, workload, ours):
    """Return by job how far `ours` is off, without those that agree."""
    published = pollux.load_summary(artifact, "tiresias", load).jcts[workload]
    off = tiresias.differences(ours, published)
    return {job: difference for job, difference in off.items() if difference}


def lived(artifact, measured, name, policy=TIRESIAS, **options):
    """Return seconds to completion under an altered policy or world."""
    arrivals = [
        Arrival(job.workload, Training(measured[job.application], job.batch))
        for job in pollux.load_jobs(artifact, name)
    ]
    run = rounds.run(pollux.fleet(), arrivals, policy, **options)
    return tiresias.Replayed(run, 0.0).completion_s


@pytest.mark.parametrize(
    ("load", "workload"),
    [
        pytest.param("0.5", "workload-7", id="half the load, five nodes for eight GPUs"),
        pytest.param("0.5", "workload-1", id="half the load"),
        pytest.param("1.0", "workload-4", id="load 1, the artifact's diagonals matter"),
        pytest.param("1.0", "workload-6", id="load 1, the workload of the testbed"),
        pytest.param("1.5", "workload-2", id="load 1.5"),
        pytest.param("1.5", "workload-5", id="load 1.5, the longest"),
        pytest.param("2.0", "workload-3", id="load 2, preempted over and over"),
        pytest.param("2.0", "workload-8", id="load 2"),
    ],
)
def test_every_job_ends_in_the_published_second(artifact, measured, load, workload):
    name = f"{pollux.LOADS[load]}/{workload}.csv"
    ours = tiresias.replay(artifact, measured, name).completion_s
    assert missed(artifact, load, workload, ours) == {}
    some_job = min(ours)
    for by in (1, -1):
        altered = {**ours, some_job: ours[some_job] + by}
        assert missed(artifact, load, workload, altered) == {some_job: by}


def test_a_whole_load_agrees_and_its_mean_is_the_published_one(artifact, measured, monkeypatch):
    monkeypatch.setattr(pollux, "LOADS", {"1.0": "workloads"})
    (compared,) = tiresias.compare(artifact, measured)
    assert compared.is_met
    assert (compared.exact, compared.jobs) == (1280, 1280)
    assert compared.mean_s == compared.published_mean_s
    assert round(compared.mean_s, 2) == 4038.18


def changed_scores(**changes):
    placement = TIRESIAS.placement
    (score,) = placement.scores
    scores = (msgspec.structs.replace(score, **changes),)
    return msgspec.structs.replace(
        TIRESIAS, placement=msgspec.structs.replace(placement, scores=scores)
    )


@pytest.mark.parametrize(
    ("policy", "world"),
    [
        pytest.param(
            msgspec.structs.replace(
                TIRESIAS, queueing=LeastAttained(thresholds_device_ns=(8 * HOUR_NS,))
            ),
            RoundWorld(),
            id="threshold of 8 GPU-hours",
        ),
        pytest.param(
            msgspec.structs.replace(TIRESIAS, queueing=LeastAttained(thresholds_device_ns=())),
            RoundWorld(),
            id="one queue: first come, first served",
        ),
        pytest.param(TIRESIAS, RoundWorld(restart_ns=0), id="restarts for nothing"),
        pytest.param(TIRESIAS, RoundWorld(round_ns=30 * SECOND_NS), id="rounds of 30 s"),
        pytest.param(changed_scores(name="most-allocated"), RoundWorld(), id="fullest node first"),
    ],
)
def test_another_policy_or_world_misses(artifact, measured, policy, world):
    ours = lived(artifact, measured, "workloads/workload-6.csv", policy, world=world)
    assert len(ours) == 160
    assert len(missed(artifact, "1.0", "workload-6", ours)) > 10


def test_deciding_every_round_changes_nothing(artifact, measured):
    name = "workloads-0.5/workload-7.csv"
    assert lived(artifact, measured, name) == lived(artifact, measured, name, every_round=True)


def test_rounds_that_could_change_nothing_are_not_decided(artifact, measured):
    replayed = tiresias.replay(artifact, measured, "workloads/workload-6.csv")
    last_ns = max(one.completed_ns for one in replayed.run.outcomes)
    assert replayed.run.decisions < last_ns // (60 * SECOND_NS) / 2


# What scipy 1.13.1's LinearNDInterpolator says of the published tables, one of its answers for each
# rectangle that a job meets between batch sizes: nodes, pods, batch per pod, step and sync seconds.
@pytest.mark.parametrize(
    ("name", "nodes", "pods", "batch", "expected"),
    [
        ("bert", 5, 12, 10, (1.7254569168995928, 0.9757581278483072)),
        ("cifar10", 5, 8, 256, (0.22743188110987342, 0.03399824025344842)),
        ("cifar10", 5, 12, 341, (0.28723558949724437, 0.022537284730815246)),
        ("cifar10", 5, 16, 256, (0.2294679536819458, 0.022130909154891895)),
        ("cifar10", 7, 16, 256, (0.24714334154129025, 0.050819490001678395)),
        ("deepspeech2", 5, 12, 53, (1.7940098434405303, 0.26909132645661704)),
        ("imagenet", 7, 24, 134, (0.7507138098279635, 0.07941898830731706)),
        ("imagenet", 13, 48, 134, (0.7710429857174556, 0.09334818913141885)),
        ("imagenet", 14, 48, 134, (0.7545170078674952, 0.07785129086176552)),
    ],
)
def test_step_times_between_columns_are_the_artifact_s(
    artifact, measured, name, nodes, pods, batch, expected
):
    spread = (1,) * (nodes - 1) + (pods - nodes + 1,)
    time = measured[name].step_times.at(spread, batch)
    assert time == pytest.approx(expected, rel=1e-12)
    plain = pollux.load_application(artifact, name).step_times.at(spread, batch)
    assert plain != pytest.approx(expected, rel=1e-12)
    assert plain.step_s == pytest.approx(expected[0], rel=0.03)


def test_no_stated_diagonal_is_idle(artifact, measured):
    for name, cuts in tiresias.CUTS.items():
        for rectangle in cuts:
            other = {rectangle: "rising" if cuts[rectangle] == "falling" else "falling"}
            nodes = rectangle.nodes_low + 1
            spread = (1,) * (nodes - 1) + (rectangle.pods - nodes + 1,)
            batch = rectangle.batch_low + 1
            said = measured[name].step_times.at(spread, batch)
            turned = pollux.load_application(artifact, name, other).step_times
            assert turned.at(spread, batch) != said


def test_the_program_counts_and_says_when_it_misses(data_dir, monkeypatch, capsys):
    monkeypatch.setattr(pollux, "LOADS", {"0.5": "workloads-0.5"})
    path = str(data_dir / tiresias.ARCHIVE)
    assert tiresias.main([path]) == 0
    said = capsys.readouterr().out
    assert "640 of  640 jobs to the second" in said
    assert "MISSED" not in said
    assert tiresias.main([path, "--mean"]) == 1
    said = capsys.readouterr().out
    assert "636 of  640 jobs to the second" in said
    assert "MISSED" in said
