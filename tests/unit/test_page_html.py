"""One file, whole, harmless, and the same every time."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest

from gpuyard.twin.page import render
from gpuyard.twin.page.content import (
    Bar,
    BarPlot,
    BarSeries,
    Column,
    Figure,
    Fold,
    Heading,
    LinePlot,
    Mark,
    Page,
    Row,
    Sentence,
    Series,
    Source,
    Strip,
    StripItem,
    Table,
    Text,
)
from tests.page_example import example_page

SOURCE = Source(command="gpuyard replay", version="gpuyard 0.1.0")
HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'&\u202e\ud800"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Elements(HTMLParser):
    """Every element with its attributes, every piece of text; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def table_of(*cells, table_id="rows"):
    columns = tuple(Column(str(n)) for n in range(len(cells)))
    return Table(id=table_id, title="Rows", columns=columns, rows=(Row(cells, "row"),))


def page_of(*blocks, **options):
    return Page(title="A page", source=SOURCE, blocks=blocks, **options)


def hostile_page():
    """A page on which every text is hostile."""
    line = Series(name=HOSTILE, x=(0.0, 1.0), y=(0.0, 1.0))
    plot = {"title": HOSTILE, "caption": HOSTILE, "rows": "rows"}
    return Page(
        title=HOSTILE,
        subtitle=HOSTILE,
        sentences=(Sentence((HOSTILE, Figure(HOSTILE, "rows", "worse")), HOSTILE),),
        blocks=(
            Heading("h", HOSTILE, HOSTILE),
            LinePlot(
                id="p",
                x_label=HOSTILE,
                y_label=HOSTILE,
                series=(line, line),
                marks=(Mark(0.5, HOSTILE),),
                **plot,
            ),
            BarPlot(
                id="b",
                groups=(HOSTILE,),
                series=(BarSeries(name=HOSTILE, bars=(Bar(value=1.0),)),) * 2,
                value_label=HOSTILE,
                **plot,
            ),
            Fold(
                id="f",
                summary=HOSTILE,
                blocks=(
                    Table(
                        id="rows",
                        title=HOSTILE,
                        caption=HOSTILE,
                        columns=(Column(HOSTILE, HOSTILE),),
                        rows=(Row((HOSTILE,)),),
                    ),
                    Text((HOSTILE,)),
                ),
            ),
        ),
        not_modelled=(HOSTILE,),
        strip=Strip(HOSTILE, (StripItem(name=HOSTILE, result=HOSTILE),)),
        source=Source(command=HOSTILE, version=HOSTILE, seeds=HOSTILE, inputs=(HOSTILE,)),
    )


def test_hostile_names_stay_text():
    found = Elements(render(hostile_page()))
    tags = {tag for tag, _ in found.found}
    assert "img" not in tags
    assert sum(tag == "script" for tag, _ in found.found) == 2
    assert not [attrs for _, attrs in found.found if any(name.startswith("on") for name in attrs)]
    assert any("<img src=x onerror=alert(1)>" in piece for piece in found.text)


def test_hostile_names_can_be_written_to_a_file():
    render(hostile_page()).encode()


def test_the_same_page_gives_the_same_bytes():
    assert render(example_page()) == render(example_page())


def test_the_file_refers_to_nothing_but_itself():
    found = Elements(render(example_page()))
    for _, attrs in found.found:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#") or attrs["href"] == "data:,"
        assert "style" not in attrs  # the security policy would ignore it
    assert not re.findall(r"@import|url\((?!#)", render(example_page()))


def test_the_security_policy_allows_this_style_and_this_script_alone():
    text = render(example_page())
    [policy] = [
        attrs["content"]
        for tag, attrs in Elements(text).found
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for rule, element in (("style-src", "style"), ("script-src", "script")):
        [inside] = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_every_link_has_a_target_and_no_id_is_used_twice():
    found = Elements(render(example_page())).found
    ids = [attrs["id"] for _, attrs in found if "id" in attrs]
    targets = {attrs["href"][1:] for tag, attrs in found if tag == "a"}
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_every_number_of_the_summary_leads_to_its_rows():
    text = render(example_page())
    [summary] = re.findall(r'<ol class="summary">.*?</ol>', text, re.DOTALL)
    figures = summary.count('class="figure')
    assert figures == summary.count('<a href="#') > 5


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        pytest.param(
            page_of(sentences=(Sentence((Figure("42", "nowhere"),)),)),
            "'42' links to 'nowhere', which is not on the page",
            id="a sentence",
        ),
        pytest.param(page_of(table_of(Figure("7", "gone"))), "'7' links to 'gone'", id="a cell"),
        pytest.param(
            page_of(LinePlot(id="p", title="P", x_label="", y_label="", series=(), rows="gone")),
            "'P' links to 'gone'",
            id="a plot",
        ),
        pytest.param(
            page_of(strip=Strip("", (StripItem(name="FGD", result="400", rows="gone"),))),
            "'FGD' links to 'gone'",
            id="the strip",
        ),
        pytest.param(
            page_of(Fold(id="f", summary="", blocks=(Text((Figure("9", "gone"),)),))),
            "'9' links to 'gone'",
            id="text in a fold",
        ),
        pytest.param(
            page_of(Heading("a", "A"), Heading("a", "B")), "id 'a' is used 2 times", id="twice"
        ),
        pytest.param(page_of(Heading("top", "A")), "id 'top' is used 2 times", id="the page's own"),
        pytest.param(page_of(Heading("a b", "A")), "id 'a b' is not a letter", id="a bad id"),
    ],
)
def test_a_page_that_breaks_its_promises_is_refused(page, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        render(page)


def test_all_faults_are_named_at_once():
    page = page_of(table_of(Figure("7", "gone"), Figure("8", "lost")))
    with pytest.raises(ValueError, match=r"'gone'.*'lost'"):
        render(page)


def test_a_row_without_a_cell_is_refused():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Table(id="t", title="T", columns=(Column("a"), Column("b")), rows=(Row(("x",)),))


def test_an_empty_page_is_a_page():
    found = Elements(render(page_of()))
    assert not [tag for tag, _ in found.found if tag in {"ol", "aside", "nav", "figure", "svg"}]


def test_good_and_bad_are_said_without_colour():
    text = render(page_of(table_of(Figure("31 s", tone="worse"), Figure("2 s", tone="better"))))
    assert "▼" in text
    assert "(worse)" in text
    assert "▲" in text
    assert "(better)" in text


def test_a_number_stays_with_its_unit():
    text = render(
        page_of(Text((Figure("1 h 50 min"), " ", Figure("far too long to stay in one line"))))
    )
    assert "1\u00a0h\u00a050\u00a0min" in text
    assert "far too long" in text


@pytest.mark.parametrize(
    ("part", "nothing", "words"),
    [
        pytest.param("not_modelled", (), "Network contention", id="what is not modelled"),
        pytest.param("strip", None, "400 of 400 rows", id="the validity strip"),
        pytest.param("sentences", (), "A multi-node training job waits", id="the sentences"),
    ],
)
def test_what_a_page_says_about_itself_is_on_it(part, nothing, words):
    page = example_page()
    without = msgspec.structs.replace(page, **{part: nothing})
    assert words in render(page).replace("\u00a0", " ")
    assert words not in render(without).replace("\u00a0", " ")
