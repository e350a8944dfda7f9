"""The sentences of the demo's report say what the weeks say, also where we lose."""

import msgspec
import pytest

from gpuyard.studies import validity
from gpuyard.studies.demo import page as demo_page
from gpuyard.studies.demo.page import page, sentences
from gpuyard.studies.validity import Check, Record
from gpuyard.twin.page import render
from tests.small_weeks import CONTENDERS, DEFAULT, OURS, WHOLE, constant, findings, week


def text(sentence):
    return "".join(word if isinstance(word, str) else word.text for word in sentence.words)


def written(*weeks, **options):
    return [text(one) for one in sentences(findings(*weeks, **options))]


def test_a_gain_in_hours_and_money():
    worth = sentences(findings(*constant(default=1000.0, ours=3345.0)))[0]
    assert text(worth) == (
        "gpuyard does 2,345 more GPU-hours of work a week than kube-scheduler default, "
        "worth $4,690."
    )
    assert worth.note.startswith("At load 0.9, one seed. AWS us-east-1")
    assert "see the fifth line" in worth.note


def test_a_loss_is_not_called_a_gain():
    worth = sentences(findings(*constant(ours=900.0)))[0]
    assert text(worth).startswith("gpuyard does 100 fewer GPU-hours")
    assert "worth $200" in text(worth)
    assert "see the fifth line" not in worth.note


@pytest.mark.parametrize(
    ("ours_h", "ours_usd", "expected"),
    [
        pytest.param(1100.0, 1500.0, "100 more GPU-hours", id="more hours, of cheaper GPUs"),
        pytest.param(900.0, 2500.0, "100 fewer GPU-hours", id="fewer hours, of dearer GPUs"),
    ],
)
def test_money_that_goes_the_other_way_says_so(ours_h, ours_usd, expected):
    default, whole, ours = constant(ours=ours_h)
    said = written(default, whole, msgspec.structs.replace(ours, usd=ours_usd))[0]
    assert expected in said
    assert said.endswith("yet worth $500 less." if ours_usd < 2000 else "yet worth $500 more.")


def test_gpus_without_a_price_are_named():
    found = findings(*constant())
    scenario = msgspec.structs.replace(found.scenario, fleet="1x8xH100+1x8xB200")
    assert "No price" not in sentences(found)[0].note
    told = sentences(msgspec.structs.replace(found, scenario=scenario))[0]
    assert "No price is known here of B200: counted as $0." in told.note


def test_seeds_give_the_range():
    weeks = [
        week(one, seed=seed, useful=1000.0 + (100.0 * seed - 150.0 if one is OURS else 0.0))
        for one in CONTENDERS
        for seed in (1, 2)
    ]
    found = findings(*weeks, seeds=(1, 2))
    assert "between −50 and +50 over 2 seeds" in sentences(found)[0].note
    assert sentences(found)[-1].note == (
        "At load 0.9: 0 GPU-hours a week, between −50 and +50 over 2 seeds."
    )


@pytest.mark.parametrize(
    ("useful_by_load", "expected"),
    [
        pytest.param(
            {0.5: 1000, 0.9: 1000},
            "we gain at most 1\xa0% of GPU-hours at any load: placement alone is even.",
            id="even everywhere",
        ),
        pytest.param(
            {0.5: 1000, 0.9: 1100}, "there is nothing to gain at load 0.5.", id="even at one"
        ),
        pytest.param({0.5: 1100, 0.9: 1100}, "we gain GPU-hours at every load.", id="never even"),
        pytest.param({0.5: 900, 0.9: 1100}, "we lose GPU-hours at load 0.5.", id="a loss"),
        pytest.param({0.5: 900, 0.9: 900}, "we lose GPU-hours at load 0.5, 0.9.", id="only losses"),
    ],
)
def test_the_closest_peer_is_met_at_every_load(useful_by_load, expected):
    weeks = [one for load, ours in useful_by_load.items() for one in constant(ours=ours, load=load)]
    last = written(*weeks, loads=tuple(useful_by_load))[-1]
    assert last == f"Against MostAllocated + whole gangs {expected}"


def test_who_waits_longer_is_named():
    waits = {"notebook": 60.0, "batch": 0.0, "training": 7200.0}
    longer = {"notebook": 1860.0, "batch": 300.0, "training": 3600.0}
    weeks = (week(DEFAULT, waits=waits), week(WHOLE, waits=waits), week(OURS, waits=longer))
    pays = sentences(findings(*weeks))[3]
    assert text(pays) == "Who pays: notebook workloads wait 31\xa0min instead of 1\xa0min."
    assert pays.note.endswith(
        "Also longer: batch. Longer than under MostAllocated + whole gangs: "
        "notebook by 30\xa0min, batch by 5\xa0min."
    )
    assert written(*weeks)[1] == (
        "A training job over several nodes waits 1\xa0h instead of 2\xa0h."
    )
    assert "No class of workload waits longer" in written(*constant())[3]


def test_a_fleet_without_such_nodes_or_jobs_says_so():
    found = findings(*constant(waits={"batch": 60.0}, gang=0.0))
    said = [text(one) for one in sentences(found)]
    assert said[1] == "These weeks have no training job over several nodes."
    assert said[2] == "No node with eight free H100 was there at any time, under either."
    render(page(found, command="gpuyard demo", version="gpuyard 0"))  # no link leads nowhere


def test_the_gang_is_told_in_gpus():
    weeks = (week(DEFAULT, gang=0.5), week(WHOLE), week(OURS, gang=2.0))
    assert "has 16 GPUs instead of 4." in written(*weeks)[2]


def test_a_page_lists_everything_once():
    found = findings(*constant())
    made = page(found, command="gpuyard demo --seeds 1", version="gpuyard 1.2.3")
    text_of_page = render(made)
    assert "at load 0.9: kube-scheduler default; MostAllocated + whole gangs; gpuyard." in (
        made.subtitle
    )
    assert made.source.seeds == "seed 1"
    assert len(made.not_modelled) == len(demo_page.NOT_MODELLED) == len(set(made.not_modelled))
    for known in ("gpuyard demo --seeds 1", "gpuyard 1.2.3", "2x8xH100"):
        assert known in text_of_page


def test_one_load_is_no_sweep():
    swept = page(
        findings(*constant(), *constant(load=0.5), loads=(0.5, 0.9)), command="c", version="v"
    )
    assert "at loads from 0.5 to 0.9: " in swept.subtitle
    single = page(findings(*constant()), command="c", version="v")
    plots = [{block.id for block in made.blocks} for made in (swept, single)]
    assert plots[0] - plots[1] == {"load", "sweep-useful", "sweep-wait"}
    assert plots[1] < plots[0]


def test_every_plot_shows_its_own_figures():
    weeks = [*constant(ours=40.0, load=0.5), *constant(ours=48.0, waits={"batch": 30.0})]
    made = page(findings(*weeks, loads=(0.5, 0.9)), command="c", version="v")
    plots = {block.id: block for block in made.blocks if hasattr(block, "series")}
    lines = {name: plot.series for name, plot in plots.items() if not name.startswith("wait")}
    assert {name: series[0].y for name, series in lines.items() if "sweep" not in name} == {
        "useful": (10.0, 11.0, 12.0, 13.0),
        "allocated": (10.0, 12.0, 14.0, 16.0),
        "held": (0.0, 1.0, 2.0, 3.0),
        "fragment": (1.0, 1.0, 1.0, 1.0),
        "unreachable": (0.0, 0.0, 0.0, 0.0),
    }
    assert lines["useful"][0].x == (1800.0, 5400.0, 9000.0, 12600.0)  # the middle of each hour
    assert lines["useful"][-1].y == (16.0, 16.0)  # all there are
    assert lines["sweep-useful"][-1].x == (0.5, 0.9)
    assert lines["sweep-useful"][-1].y == (62.5, 75.0)  # of 16 GPUs x 4 hours
    assert lines["sweep-wait"][-1].y == (60.0, 60.0)
    assert plots["wait-mean"].groups == ("batch", "training")
    bars = {name: plots[name].series[-1].bars for name in ("wait-mean", "wait-p95")}
    assert [bar.value for bar in bars["wait-mean"]] == [30.0, 0.0]
    assert [bar.value for bar in bars["wait-p95"]] == [120.0, 0.0]


def test_bands_reach_from_the_smallest_to_the_largest_seed():
    weeks = [
        week(one, seed=seed, waits={"batch": 10.0 * seed}) for one in CONTENDERS for seed in (1, 3)
    ]
    made = page(findings(*weeks, seeds=(1, 3)), command="c", version="v")
    bar = next(block for block in made.blocks if block.id == "wait-mean").series[0].bars[0]
    assert (bar.value, bar.low, bar.high) == (20.0, 10.0, 30.0)


@pytest.mark.parametrize(
    ("loads", "seeds", "expected"),
    [
        pytest.param((0.9,), (1,), "seed 1", id="one"),
        pytest.param((0.9,), (1, 2, 3), "seeds 1, 2, 3: means, bands", id="one load"),
        pytest.param((0.5, 0.9), (1, 2), "seeds 1, 2: means, bands", id="the same everywhere"),
        pytest.param(
            (0.5, 0.9), (1, 2, 3), "seeds 1, 2, 3 at load 0.9, the first 2 at others: ", id="thin"
        ),
    ],
)
def test_the_page_says_which_seeds_are_where(loads, seeds, expected):
    weeks = [one for load in loads for seed in seeds for one in constant(load=load, seed=seed)]
    made = page(findings(*weeks, loads=loads, seeds=seeds), command="c", version="v")
    assert made.source.seeds.startswith(expected)


def test_the_strip_is_the_record(monkeypatch):
    checks = (
        Check(name="a paper", result="5 of 5", is_met=True, command="python -m one"),
        Check(name="another", result="4 of 5", is_met=False, command="python -m other"),
    )
    kept = Record(version="1", recorded="2026-01-02", checks=checks)
    monkeypatch.setattr(validity, "record", lambda: kept)
    strip = validity.strip()
    assert "2026-01-02" in strip.title
    assert [(one.result, one.verdict) for one in strip.items] == [
        ("5 of 5", "ok"),
        ("4 of 5", "warn"),
    ]
    assert strip.items[0].name == "a paper (python -m one)"


def test_without_a_record_there_is_no_strip(monkeypatch):
    kept = Record(version="1", recorded="2026-01-02", checks=())
    monkeypatch.setattr(validity, "record", lambda: kept)
    assert validity.strip() is None
    assert "2026-01-02" not in render(page(findings(*constant()), command="c", version="v"))


def test_the_record_of_the_package_can_be_read():
    assert validity.record().recorded
