"""Tables of the command line: what fits is shown, what does not is left out and named."""

import io
import sys

import msgspec
import pytest
from rich.console import Console

from gpuyard.cli import demo, output, replay
from gpuyard.cli.replay import MARKS_PCT
from gpuyard.studies.replay.runs import Replay, TimedSample, Waits
from gpuyard.twin.fill import Sample
from tests.small_weeks import CONTENDERS, findings, story, team_days, week


def drawn(draw, *args, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    draw(*args, console)
    return console.file.getvalue()


def filled(policy="kube-most-allocated", count=1_000_000, marks=MARKS_PCT, **changes):
    at = {"allocated_pct": 100.0, "frag_pct_of_cluster": 12.345, "frag_pct_of_idle": 50.0}
    facts = {
        "policy": policy,
        "protocol": "fill",
        "tie_break": "rank",
        "seed": 42,
        "nodes": 12_130,
        "gpus": 62_120,
        "arrivals": count,
        "placed": count - 1,
        "failed": 1,
        "samples": tuple(Sample(arrived_pct=mark, **at) for mark in marks),
        "seconds": 1234.567,
    }
    return Replay(**{**facts, **changes})


def timed(policy="kube-most-allocated"):
    kinds = ("batch", "fine-tuning", "inference", "notebook", "training")
    waits = tuple(
        Waits(kind=kind, workloads=100_000, mean_s=1e6, p50_s=59, p95_s=3601, never_started=12_345)
        for kind in kinds
    )
    moment = TimedSample(
        at_s=0,
        allocated_pct=0,
        useful_pct=0,
        frag_pct_of_cluster=0,
        unreachable_pct_of_cluster=0,
        waiting_gpus=0,
    )
    return filled(policy, protocol="timed", samples=(moment,), waits=waits)


@pytest.mark.parametrize(
    ("make", "width"),
    [
        *((filled, width) for width in (100, 80, 60, 40)),
        *((timed, width) for width in (100, 80, 60)),
    ],
)
def test_no_line_is_too_long_and_nothing_is_cut(make, width):
    text = drawn(replay._draw, [make(), make("fgd")], width=width)
    assert "kube-most-allocated" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_what_matters_most_is_left_out_last():
    text = drawn(replay._draw, [filled()])
    assert "Left out for want of room: failed, @50 %; -o json has everything." in text
    assert "999,999" in text
    text = drawn(replay._draw, [filled()], width=40)
    assert "@130 %   frag %" in text
    assert "12.35" in text
    text = drawn(replay._draw, [timed()], width=60)
    assert "mean wait" in text
    assert "11.6 d" in text


def test_what_fits_is_all_shown():
    text = drawn(replay._draw, [filled("fgd", count=10_866)])
    assert "Left out" not in text
    for heading in ("placed", "failed", "@50 %", "@130 %", "frag %", "CPU s"):
        assert heading in text


def test_only_marks_that_every_policy_has_are_columns():
    some = filled("fgd", count=9, marks=(50, 100))
    text = drawn(replay._draw, [some, filled("kube", count=9, marks=(50, 90))])
    assert "@50 %" in text
    assert "@90 %" not in text
    assert "@100 %" not in text
    text = drawn(replay._draw, [filled("fgd", count=9, marks=(12, 47))])
    assert "@47 %" in text  # the last there is


def test_without_samples_there_is_still_a_table():
    assert "999,999" in drawn(replay._draw, [filled(samples=())])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "60 min"), (3600, "1.0 h"), (86_400, "1.0 d")],
)
def test_spans_are_said_as_people_do(seconds, expected):
    assert replay._span(seconds) == expected


@pytest.mark.parametrize("width", [100, 60, 40])
def test_the_demo_fits_too(width):
    waits = dict.fromkeys(("batch", "fine-tuning", "inference", "notebook", "training"), 1e6)
    loads = (0.5, 0.7, 0.9, 1.1, 1.3)
    weeks = [
        week(one, load=load, useful=123_456.0, held=12_345.0, waits=waits)
        for one in CONTENDERS
        for load in loads
    ]
    found = msgspec.structs.replace(findings(*weeks, loads=loads), teams=team_days(), story=story())
    text = drawn(demo._draw, found, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "Kueue, cohorts and topology" in text
    assert "06:20:00" in text
    assert text.count("MostAllocated + whole gangs") >= 3
    assert "load 0.9" in text
    assert text.startswith("16 GPUs, 2x8xH100, ")
    assert "one seed" in text
    if width == 100:
        assert "Left out" not in text


def test_a_column_is_left_out_only_when_it_must_be():
    console = Console(file=io.StringIO(), width=14, color_system=None)
    grid = output.table([("name", False), ("a", True), ("b", True)])
    grid.add_row("x", "1", "2")
    output.draw(console, "Title", grid, spare=("b", "a"))
    assert "Left out" not in console.file.getvalue()
    grid.add_row("longer name", "1", "2")
    output.draw(console, "Title", grid, spare=("b", "a"))
    assert "b, a" in console.file.getvalue()
    assert "longer name" in console.file.getvalue()


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {}])
def test_no_colour_means_no_escape_codes(monkeypatch, settings):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console = output.console(no_color=not settings)
    with console.capture() as captured:
        console.print("Title", style="bold red")
    assert captured.get() == "Title\n"
