"""FGD's published experiments, a short form: every trace and every policy once, exact.

All of them: ``python -m verification.fgd --random --ties``. A comparison that cannot fail proves
nothing, so the same rows must fail against altered results, and FGD must lose its advantage when
ties are left to chance.
"""

import msgspec
import pytest

from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.traces import openb
from gpuyard.twin.fill import Sample, fill, samples
from verification import fgd
from verification.fgd import Experiment, worst_difference

SHORT = 1500  # arrivals


def altered(curves, measure, point, by):
    """Return the curves of a row with one point moved."""
    moved = list(curves[measure])
    moved[point] += by
    return {**curves, measure: tuple(moved)}


@pytest.mark.parametrize(
    ("trace", "policy", "seed"),
    [
        pytest.param("default", "fgd", 42, id="default: fgd"),
        pytest.param("default", "best-fit", 43, id="default: best-fit"),
        pytest.param("cpu050", "packing", 44, id="cpu050: packing"),
        pytest.param("cpu100", "dot-product", 45, id="cpu100: dot-product"),
        pytest.param("gpushare40", "clustering", 46, id="gpushare40: clustering"),
        pytest.param("gpushare60", "best-fit", 47, id="gpushare60: best-fit"),
        pytest.param("gpuspec10", "fgd", 48, id="gpuspec10: fgd"),
        pytest.param("gpuspec20", "packing", 49, id="gpuspec20: packing"),
        pytest.param("gpuspec20", "fgd", 50, id="gpuspec20: fgd"),
        pytest.param("multigpu20", "clustering", 51, id="multigpu20: clustering"),
        pytest.param("multigpu20", "fgd", 42, id="multigpu20: fgd"),
    ],
)
def test_a_published_row_is_exact_and_an_altered_one_is_not(data_dir, trace, policy, seed):
    replayed = fgd.replay(Experiment(data_dir, trace, seed, PLACEMENTS[policy]))
    expected = fgd.published(data_dir)[trace, fgd.POLICIES[policy], seed]
    assert worst_difference(replayed.curve, expected) <= fgd.TOLERANCE
    for measure, point in zip(fgd.MEASURES, (20, 77, 130), strict=True):
        for by in (0.02, -0.02):
            moved = altered(expected, measure, point, by)
            assert worst_difference(replayed.curve, moved) > fgd.TOLERANCE


def test_the_policies_can_be_told_apart(data_dir):
    expected = fgd.published(data_dir)
    replayed = fgd.replay(Experiment(data_dir, "default", 44, PLACEMENTS["packing"]))
    for policy, published_name in fgd.POLICIES.items():
        is_exact = (
            worst_difference(replayed.curve, expected["default", published_name, 44])
            <= fgd.TOLERANCE
        )
        assert is_exact == (policy == "packing")


def test_ties_left_to_chance_cost_fgd_its_advantage(data_dir):
    chance = msgspec.structs.replace(PLACEMENTS["fgd"], tie_break="random")
    replayed = fgd.replay(Experiment(data_dir, "default", 42, chance))
    assert fgd.at_full_load(replayed.curve) < 91
    expected = fgd.published(data_dir)["default", fgd.POLICIES["fgd"], 42]
    assert expected["allocated_pct"][100] > 95


def test_random_is_near_the_published_mean(data_dir):
    replayed = fgd.replay(Experiment(data_dir, "default", 1000, PLACEMENTS["random"], False))
    assert fgd.at_full_load(replayed.curve) == pytest.approx(86.3, abs=1.5)


@pytest.mark.parametrize(
    ("trace", "policy"),
    [
        ("cpu200", "fgd"),
        ("cpu250", "best-fit"),
        ("gpushare80", "dot-product"),
        ("gpushare100", "packing"),
        ("gpuspec25", "clustering"),
        ("gpuspec33", "random"),
        ("multigpu30", "gpuyard"),
        ("multigpu40", "kube"),
        ("multigpu50", "kube-most-allocated"),
    ],
)
def test_a_trace_without_published_results_runs(data_dir, trace, policy):
    nodes, arrivals, mix = fgd.inputs(Experiment(data_dir, trace, 42, PLACEMENTS[policy]))
    assert (len(nodes), len(arrivals)) == (1213, len({arrival.key for arrival in arrivals}))
    filled = fill(nodes, arrivals[:SHORT], mix, PLACEMENTS[policy], seed=42)
    assert filled.devices == 6212
    assert len(filled.placed) == SHORT
    assert filled.placed.mean() > 0.95  # as yet most fit under any policy
    curve = samples(filled)
    assert [at.arrived_pct for at in curve] == list(range(len(curve)))
    assert curve[-1].allocated_pct == pytest.approx(curve[-1].arrived_pct, abs=3)


def test_every_pod_list_is_either_compared_or_run(data_dir):
    lists = {
        path.name.removeprefix("openb_pod_list_").removesuffix(".csv.gz")
        for path in (data_dir / "openb").glob("openb_pod_list_*.csv.gz")
    }
    published = {trace for trace, _, _ in fgd.published(data_dir)}
    assert len(published) == 8
    assert len(lists - published) == 9
    assert all((data_dir / "fgd_sequences" / f"{name}.json.gz").is_file() for name in lists)


def test_the_published_order_is_not_the_order_of_the_list(data_dir):
    ours = fgd.inputs(Experiment(data_dir, "default", 1000, PLACEMENTS["random"], False))
    theirs = fgd.inputs(Experiment(data_dir, "default", 42, PLACEMENTS["fgd"]))
    pods = openb.load_pods(data_dir / "openb" / "openb_pod_list_default.csv.gz")
    heads = [[arrival.key for arrival in arrivals[:20]] for _, arrivals, _ in (ours, theirs)]
    assert heads[0] != heads[1]
    assert [pod.name for pod in pods[:20]] not in heads
    assert [node.name for node in ours[0]] == [node.name for node in theirs[0]]
    assert [node.rank for node in ours[0]] != [node.rank for node in theirs[0]]


# --- The comparison ------------------------------------------------------------------------------


def flat(value):
    return [
        Sample(
            arrived_pct=point,
            allocated_pct=value,
            frag_pct_of_cluster=value,
            frag_pct_of_idle=value,
        )
        for point in fgd.POINTS
    ]


EXPECTED = {measure: (5.0,) * len(fgd.POINTS) for measure in fgd.MEASURES}


@pytest.mark.parametrize(
    ("curve", "expected", "difference"),
    [
        pytest.param(flat(5.0), EXPECTED, 0.0, id="equal"),
        pytest.param(flat(5.25), EXPECTED, 0.25, id="all above"),
        pytest.param(
            flat(5.0), altered(EXPECTED, "frag_pct_of_idle", 0, -0.5), 0.5, id="one point"
        ),
        pytest.param(flat(5.0)[:-1], EXPECTED, float("inf"), id="a point is missing"),
        pytest.param([], EXPECTED, float("inf"), id="nothing was replayed"),
        pytest.param(flat(float("nan")), EXPECTED, float("inf"), id="no number is no agreement"),
        pytest.param(
            [*flat(5.0)[:-1], *flat(float("nan"))[-1:]], EXPECTED, float("inf"), id="not even one"
        ),
    ],
)
def test_worst_difference(curve, expected, difference):
    assert worst_difference(curve, expected) == difference


# --- The program ---------------------------------------------------------------------------------


class InThisProcess:
    """Stands in for a pool of processes."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    map = staticmethod(map)


@pytest.fixture
def one_policy(monkeypatch, data_dir):
    monkeypatch.setenv("GPUYARD_DATA", str(data_dir))
    monkeypatch.setattr(fgd, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(fgd, "POLICIES", {"clustering": "03-GpuClustering"})


ASK = ["--traces", "default", "--seeds", "42"]


def test_the_program_says_that_rows_are_exact(one_policy, capsys):
    assert fgd.main(ASK) == 0
    line, end = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "default      clustering     1 of   1 rows exact   worst difference 0.00"
    )
    assert "MISSED" not in line
    assert end.startswith("all reproduced, ")


def test_the_program_fails_where_a_point_differs(one_policy, monkeypatch, capsys):
    published = fgd.published

    def moved(data):
        rows = published(data)
        key = "default", "03-GpuClustering", 42
        return {**rows, key: altered(rows[key], "allocated_pct", 99, 0.02)}

    monkeypatch.setattr(fgd, "published", moved)
    assert fgd.main(ASK) == 1
    line, end = capsys.readouterr().out.splitlines()
    assert "  0 of   1 rows exact" in line
    assert line.endswith("MISSED")
    assert end.startswith("1 comparisons missed")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--traces", "default,cpu999"], "no published results for cpu999", id="trace"),
        pytest.param(["--traces", "cpu200"], "no published results for cpu200", id="unpublished"),
        pytest.param(["--seeds", "42,7"], "no published results for seeds [7]", id="seed"),
    ],
)
def test_what_was_not_published_is_refused(one_policy, capsys, arguments, said):
    assert fgd.main(arguments) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert said in line
    assert "known: " in line


def test_a_seed_that_is_no_number_is_refused(one_policy, capsys):
    with pytest.raises(SystemExit) as ended:
        fgd.main(["--seeds", "first"])
    assert ended.value.code == 2
    assert "argument --seeds: invalid" in capsys.readouterr().err


@pytest.mark.parametrize("folder", [None, "", "."])
def test_without_data_the_program_says_what_to_set(monkeypatch, capsys, tmp_path, folder):
    if folder is None:
        monkeypatch.delenv("GPUYARD_DATA", raising=False)
    else:
        monkeypatch.setenv("GPUYARD_DATA", folder and str(tmp_path / folder))
    assert fgd.main(ASK) == 2
    assert "set GPUYARD_DATA to the folder with fgd_expected/" in capsys.readouterr().out
