"""The reports that commands write, in a real browser: the demo's, and a replay's in both forms."""

import pytest
from playwright.sync_api import sync_playwright

from gpuyard.studies import validity
from gpuyard.studies.demo.page import page
from gpuyard.studies.validity import Check, Record
from gpuyard.twin.page import render
from tests.browser import COLOURS, FLAGS, THEMES, Visit, assert_prints, assert_readable, shade
from tests.program import run
from tests.small_trace import write_own
from tests.small_weeks import constant, findings

pytestmark = pytest.mark.tier("browser")

DEMO = ("demo", "--fleet", "2x8xH100+1x8xL4", "--load", "0.7", "--load", "1.1", "--seeds", "2")
POLICIES = "gpuyard,kube,kube-most-allocated,random"
PLOTS = {
    "demo": [
        "useful",
        "allocated",
        "held",
        "fragment",
        "unreachable",
        "wait-mean",
        "wait-p95",
        "sweep-useful",
        "sweep-wait",
        "teams-wait",
    ],
    "fill": ["allocated", "frag", "frag-idle"],
    "timed": ["useful", "waiting"],
}
ROW = {"demo": "#row-training", "fill": "#counts", "timed": "#waits"}
NAMES = {
    "demo": ["kube-scheduler default", "MostAllocated + whole gangs", "gpuyard"],
    "fill": POLICIES.split(","),
    "timed": POLICIES.split(","),
}
UNSEEN_TEXT = """() => [...document.querySelectorAll('p, li, h1, h2, h3, th, td, summary, text')]
  .map(place => place.textContent.trim())"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The three reports as files, written by the command line."""
    folder = tmp_path_factory.mktemp("reports")
    trace = ("replay", *write_own(folder), "--compare", POLICIES)
    asked = {
        "demo": DEMO,
        "fill": trace,
        "timed": (*trace, "--protocol", "timed"),
    }
    for name, args in asked.items():
        done = run(*args, "-o", "html", "--to", f"{name}.html", cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
    written = {path.name for path in folder.iterdir()}
    assert written == {"nodes.csv", "pods.csv", "demo.html", "fill.html", "timed.html"}
    return {name: folder / f"{name}.html" for name in asked}


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, reports):
    """Open a report with a window of this width and theme."""
    opened = []

    def open_report(name, width=1280, theme="light"):
        viewport = {"width": width, "height": 900}
        opened.append(Visit(browser, reports[name], viewport=viewport, color_scheme=theme))
        return opened[-1]

    yield open_report
    for one in opened:
        one.page.close()


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (390, "dark")])
def test_every_plot_is_drawn_and_can_be_read(visit, name, width, theme):
    seen = visit(name, width, theme)
    assert_readable(seen, width, PLOTS[name])
    paper, ink = seen.page.evaluate(COLOURS)
    assert (shade(paper) > shade(ink)) == (theme == "light")


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("width", [1280, 390])
def test_no_word_is_cut_and_none_is_missing(visit, name, width):
    seen = visit(name, width)
    texts = seen.page.evaluate(UNSEEN_TEXT)
    for text in texts:
        assert not text.endswith("…"), text
        assert "nan" not in text.lower().split(), text
        assert "None" not in text.split(), text
    whole = " ".join(seen.page.locator("body").inner_text().split())
    for policy in NAMES[name]:
        assert policy in whole
    assert ", , " not in whole
    assert ".." not in whole.replace("...", "")


@pytest.mark.parametrize("name", PLOTS)
def test_it_prints(visit, name):
    assert assert_prints(visit(name, theme="dark"), ROW[name]) >= 1


def test_the_demo_opens_with_seven_sentences(visit):
    seen = visit("demo")
    sentences = seen.page.locator("ol.summary > li")
    assert sentences.count() == 7
    titles = seen.page.locator("h2:not(.strip h2)").all_inner_texts()
    assert titles[:2] == ["GPUs over the week", "Waits"]
    assert titles[-1] == "What is not modelled"


@pytest.mark.parametrize("theme", THEMES)
def test_a_number_of_the_demo_leads_to_its_rows(visit, theme):
    opened = visit("demo", theme=theme).page
    links = opened.locator(".summary a")
    for index in range(links.count()):
        target = links.nth(index).get_attribute("href")
        links.nth(index).click()
        opened.locator(target).wait_for(state="visible")


def test_the_pointer_reads_the_demo(visit):
    seen = visit("demo")
    figure = seen.page.locator("#useful")
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg.drawing:visible").bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    text = figure.locator(".readout").inner_text()
    for name in NAMES["demo"]:
        assert name in text
    assert seen.complaints == []


RECORD = Record(
    version="1.2.3",
    recorded="2026-01-02",
    checks=(
        Check(
            name="FGD, USENIX ATC'23: 8 traces, 10 seeds, 5 policies, 131 points each within 0.01",
            result="400 of 400 experiments exact",
            is_met=True,
            command="python -m verification.fgd",
        ),
        Check(
            name="kube-scheduler v1.36.3's own filter and score tables",
            result="611 of 612 rows, 93 out of scope",
            is_met=False,
            command="python -m verification.oracles kube-scheduler",
        ),
    ),
)


@pytest.mark.parametrize("width", [1280, 390])
def test_what_was_reproduced_stands_on_the_page(browser, monkeypatch, tmp_path, width):
    monkeypatch.setattr(validity, "record", lambda: RECORD)
    report = tmp_path / "report.html"
    weeks = findings(*constant(), *constant(load=0.5), loads=(0.5, 0.9))
    made = page(weeks, command="gpuyard demo", version="gpuyard 1.2.3")
    report.write_text(render(made), encoding="utf-8")
    seen = Visit(browser, report, viewport={"width": width, "height": 900})
    assert_readable(seen, width, [plot for plot in PLOTS["demo"] if plot != "teams-wait"])
    strip = " ".join(seen.page.locator(".strip").inner_text().split())
    for known in ("2026-01-02", "400 of 400", "611 of 612", "python -m verification.fgd"):
        assert known in strip
    assert seen.page.locator(".strip li").count() == 2
    seen.page.close()


def test_the_page_of_a_bare_record_has_no_empty_strip(visit):
    strip = visit("demo").page.locator(".strip")
    assert strip.count() == 0 or strip.locator("li").count() > 0
