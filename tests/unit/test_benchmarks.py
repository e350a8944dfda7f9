"""The benchmark programs: that they say no where they should. No test here looks at a clock."""

import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.child import Measurement
from benchmarks.ranges import RangesError, beyond, load_ranges
from benchmarks.workloads import BENCHMARKS, openb_inputs

TINY = "snapshot-gang"
RUN = Measurement(
    cpu_s=2.0,
    calibration_s=0.5,
    peak_mb=100.0,
    operations=10,
    placements=8,
    rows_built=1,
    nodes_refreshed=30,
    nodes_scored=20,
)


def test_every_benchmark_has_a_range_and_every_range_a_benchmark():
    assert set(load_ranges()) == set(BENCHMARKS)


def test_every_range_has_a_reason_and_leaves_room_for_what_was_measured():
    for name, bounds in load_ranges().items():
        measured = bounds.measured
        assert bounds.reason, name
        assert measured.runs >= 5, name
        for spread in (measured.cpu_s, measured.ratio, measured.peak_mb):
            assert list(spread) == sorted(spread), name
        assert measured.ratio[2] < bounds.ratio, name
        assert measured.peak_mb[2] < bounds.peak_mb, name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("fill-fgd: {ratio: 1}\n", "peak_mb", id="a field is missing"),
        pytest.param("- 1\n", "object", id="a list"),
        pytest.param("a: b: c\n", "ranges.yaml", id="no YAML"),
    ],
)
def test_a_range_file_that_cannot_be_used_is_named(tmp_path, text, named):
    path = tmp_path / "ranges.yaml"
    path.write_text(text)
    with pytest.raises(RangesError, match=named):
        load_ranges(path)


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        pytest.param({}, [], id="all at their bounds"),
        pytest.param({"ratio": 3.9}, ["ratio 4.00 (4.00 to 4.00) is beyond 3.9"], id="ratio"),
        pytest.param(
            {"peak_mb": 99.0}, ["peak_mb 100.00 (100.00 to 100.00) is beyond 99"], id="memory"
        ),
        pytest.param(
            {"refreshed": 2.5, "scored": 1.5},
            [
                "refreshed 3.00 (3.00 to 3.00) is beyond 2.5",
                "scored 2.00 (2.00 to 2.00) is beyond 1.5",
            ],
            id="counted work",
        ),
    ],
)
def test_beyond(bound, found):
    at = {"ratio": 4.0, "peak_mb": 100.0, "refreshed": 3.0, "scored": 2.0, **bound}
    bounds = msgspec.structs.replace(load_ranges()[TINY], **at)
    assert beyond(bounds, [RUN, RUN, RUN]) == found


def test_one_slow_run_of_three_is_noise():
    slow = msgspec.structs.replace(RUN, cpu_s=20.0)
    bounds = msgspec.structs.replace(
        load_ranges()[TINY], ratio=4.5, peak_mb=100.0, refreshed=3.0, scored=2.0
    )
    assert beyond(bounds, [RUN, slow, RUN]) == []
    assert beyond(bounds, [RUN, slow, slow]) != []


@pytest.mark.parametrize(
    ("factor", "status"),
    [
        pytest.param(1000.0, 0, id="wide"),
        pytest.param(0.001, 1, id="artificially low"),
    ],
)
def test_check(tmp_path, capsys, factor, status):
    bounds = load_ranges()[TINY]
    moved = msgspec.structs.replace(
        bounds,
        **{name: getattr(bounds, name) * factor for name in ("ratio", "peak_mb", "scored")},
    )
    path = tmp_path / "ranges.yaml"
    path.write_bytes(msgspec.yaml.encode({TINY: moved}))
    assert main([TINY, "--runs", "1", "--check", "--ranges", str(path)]) == status
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert ("beyond" in last) == bool(status)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["fill-fdg"], "did you mean 'fill-fgd'?", id="unknown name"),
        pytest.param([TINY, "--runs", "0"], "--runs", id="no runs"),
        pytest.param([TINY, "--ranges", "nowhere.yaml"], "nowhere.yaml", id="no range file"),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_sentence(capsys, arguments, named):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_without_data_a_replay_of_it_is_refused(capsys, monkeypatch):
    monkeypatch.delenv("GPUYARD_DATA", raising=False)
    assert main(["fill-fgd"]) == 2
    assert "GPUYARD_DATA" in capsys.readouterr().err


def test_copies_of_a_cluster_keep_ranks_and_pods(data_dir):
    one, three = openb_inputs(), openb_inputs(3)
    assert sorted(node.rank for node in three.nodes) == list(range(3 * len(one.nodes)))
    assert len({node.name for node in three.nodes}) == len(three.nodes)
    assert len({arrival.key for arrival in three.arrivals}) == 3 * len(one.arrivals)
    asked = sorted(arrival.device_milli for arrival in one.arrivals)
    assert sorted(arrival.device_milli for arrival in three.arrivals) == sorted(3 * asked)
