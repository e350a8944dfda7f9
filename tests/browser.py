"""A report in a real browser: what was drawn, what was fetched, what was complained about."""

import re

WIDTHS_PX = (1280, 768, 390, 320)
THEMES = ("light", "dark")
FLAGS = (
    "--no-sandbox",  # tests may run as root; the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

VISIBLE_DRAWINGS = """() => [...document.querySelectorAll('svg.drawing')]
  .filter(svg => svg.getBoundingClientRect().width > 0)
  .map(svg => ({
    plot: svg.closest('figure').id,
    strokes: [...svg.querySelectorAll('path.line, rect.bar, path.marker')]
      .map(shape => shape.getBBox()).map(box => [box.width, box.height]),
    words: [...svg.querySelectorAll('text')].map(text => {
      const box = text.getBoundingClientRect();
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      return {text: text.textContent, size: parseFloat(getComputedStyle(text).fontSize) * scale,
              left: box.left, right: box.right};
    }),
  }))"""
COLOURS = """() => {
  const style = getComputedStyle(document.body);
  return [style.backgroundColor, style.color];
}"""


class Visit:
    """A report opened in a window, and what the browser had to say about it."""

    def __init__(self, browser, report, **options):
        self.complaints, self.requests = [], []
        self.page = browser.new_page(**options)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = report.as_uri()
        self.page.goto(self.address)


def shade(colour):
    """Mean of red, green and blue."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def assert_readable(seen, width, plots):
    """Check that all `plots` are drawn, in this order, that words can be read, nothing else."""
    drawings = seen.page.evaluate(VISIBLE_DRAWINGS)
    assert [drawing["plot"] for drawing in drawings] == plots
    for drawing in drawings:
        assert drawing["strokes"]
        assert all(wide > 0 or high > 0 for wide, high in drawing["strokes"]), drawing["plot"]
        for word in drawing["words"]:
            assert word["size"] >= 10, word
            assert word["left"] >= -1, word
            assert word["right"] <= width + 1, word
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.complaints == []
    assert seen.requests == [seen.address]


def assert_prints(seen, row):
    """Check that paper gets ink on white, and shows `row` although its fold is closed."""
    pdf = seen.page.pdf(format="A4")
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    seen.page.emulate_media(media="print")
    assert seen.page.locator(row).is_visible()
    paper, ink = seen.page.evaluate(COLOURS)
    assert shade(ink) < 60
    assert paper == "rgba(0, 0, 0, 0)"
    assert seen.complaints == []
    return pages
