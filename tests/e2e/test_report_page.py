"""A report in a real browser: nothing is fetched, everything is drawn, everything can be read."""

import re

import pytest
from playwright.sync_api import sync_playwright

from gpuyard.twin.page import render
from tests.browser import (
    COLOURS,
    FLAGS,
    THEMES,
    WIDTHS_PX,
    Visit,
    assert_prints,
    assert_readable,
    shade,
)
from tests.page_example import example_page

pytestmark = pytest.mark.tier("browser")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The example page as a file."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(example_page()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, report):
    """Open the report with a window of this width and theme."""
    opened = []

    def open_report(width=1280, theme="light", **options):
        viewport = {"width": width, "height": 900}
        opened.append(Visit(browser, report, viewport=viewport, color_scheme=theme, **options))
        return opened[-1]

    yield open_report
    for one in opened:
        one.page.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS_PX)
def test_everything_is_drawn_and_can_be_read(visit, width, theme):
    seen = visit(width, theme)
    plots = [block.id for block in example_page().blocks if hasattr(block, "series")]
    assert_readable(seen, width, plots)


@pytest.mark.parametrize("theme", THEMES)
def test_the_theme_is_the_readers(visit, theme):
    paper, ink = visit(theme=theme).page.evaluate(COLOURS)
    assert (shade(paper) > shade(ink)) == (theme == "light")
    assert abs(shade(paper) - shade(ink)) > 150


@pytest.mark.parametrize("width", [1280, 390])
def test_the_pointer_reads_every_series(visit, width):
    seen = visit(width)
    figure = seen.page.locator("#allocated")
    figure.scroll_into_view_if_needed()
    drawing = figure.locator("svg.drawing:visible")
    box = drawing.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    readout = figure.locator(".readout")
    text = readout.inner_text()
    assert "gpuyard" in text
    assert "kube-scheduler default" in text
    assert re.search(r"\d+ \(\d+ to \d+\)", text)
    cursor = drawing.locator(".cursor")  # a line has no width, so is_visible() says no
    assert cursor.evaluate("line => getComputedStyle(line).visibility") == "visible"
    edges = readout.bounding_box()
    assert edges["x"] >= 0
    assert edges["x"] + edges["width"] <= width
    seen.page.mouse.move(0, 0)
    assert not readout.is_visible()
    assert seen.complaints == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_number_leads_to_its_rows(browser, report, scripts):
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.locator("#row-training").is_visible()
    page.locator('.summary a[href="#row-training"]').first.click()
    row = page.locator("#row-training")
    row.wait_for(state="visible")
    assert 0 <= row.bounding_box()["y"] < 900
    context.close()


def test_without_scripts_everything_is_still_there(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("svg.drawing:visible").count() == 7
    assert page.locator("summary").count() == 4
    context.close()


def test_it_prints_with_its_folds_open(visit):
    seen = visit(theme="dark")
    assert assert_prints(seen, "#row-training") >= 3


def test_the_security_policy_stops_what_is_smuggled_in(browser, report, tmp_path):
    smuggled = "<script>document.title='taken'</script><img src='http://127.0.0.1:9/x'>"
    path = tmp_path / "tampered.html"
    path.write_text(report.read_text(encoding="utf-8").replace("</main>", f"{smuggled}</main>"))
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(path.as_uri())
    assert page.title() != "taken"
    assert any("script" in complaint for complaint in complaints)
    assert any("image" in complaint for complaint in complaints)
    page.close()
