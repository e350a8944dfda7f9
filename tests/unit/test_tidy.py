"""The rules of style that no linter knows, as tests.

They look only at what git tracks (or would track: new files count, ignored ones do not), and each
failure names the file, the line and the rule. Where there is no git, for instance in an unpacked
source archive, there is nothing to say and the tests are skipped.
"""

import ast
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "gpuyard"

MODULE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
BANNED_WORDS = frozenset({"manager", "helper", "helpers", "util", "utils", "handler2"})
PURE_ROOMS = (
    "model",
    "dialects",
    "sharing",
    "health",
    "cost",
    "scheduling",
    "scaling",
    "platform",
    "lint",
    "twin",
)

# Written in pieces, so that this file does not break its own rules.
TODO = "TO" + "DO"
LOCAL_PLACES = tuple("/" + place for place in ("work/", "root/", "tmp/t/", "home/"))
NOBODYS_PLACES = ("/" + "home/kubernetes/",)  # where GKE keeps its driver, on every node
REGISTRY_HOSTS = tuple(
    host + end for host, end in (("pypi", ".org"), ("pythonhosted", ".org"), ("npmjs", ".org"))
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BARE_SILENCE = re.compile(r"#\s*(noqa(?!:\s*[A-Z])|type:\s*ignore(?!\[))")
TODO_WITH_ISSUE = re.compile(TODO + r"\(#\d+\)")


def tracked() -> list[Path]:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return []
    trusted = ["-c", f"safe.directory={ROOT}"]  # a gate may run as another user than the owner
    command = ["git", *trusted, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    paths = (ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


TRACKED = tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
MARKDOWN = [path for path in TRACKED if path.suffix == ".md"]
TEXT = [path for path in TRACKED if path.name != "uv.lock" and b"\0" not in path.read_bytes()]

pytestmark = pytest.mark.skipif(not TRACKED, reason="not a git checkout")


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def lines(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def defined_names(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def words(name: str) -> set[str]:
    """Split snake_case and CamelCase into lower-case words."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def headings(path: Path) -> set[str]:
    """Return the anchors that a code host makes from a page's headings."""
    titles = (text.lstrip("#") for _, text in lines(path) if re.match(r"#{1,6} ", text))
    plain = (re.sub(r"[^\w\- ]", "", title.strip().lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


def broken_links(path: Path) -> Iterator[str]:
    fenced = False
    for number, text in lines(path):
        fenced ^= text.lstrip().startswith("```")
        if fenced:
            continue
        for target in LINK.findall(re.sub(r"`[^`]*`", "", text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            page = (path.parent / name).resolve() if name else path
            if not page.exists() or (anchor and anchor not in headings(page)):
                yield f"{place(path, number)} leads nowhere: {target}"


def outside_imports(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


# --- The rules ----------------------------------------------------------------------------------


def test_each_module_of_the_package_tells_its_story():
    silent = [
        str(path.relative_to(ROOT))
        for path in PYTHON
        if path.is_relative_to(PACKAGE) and not ast.get_docstring(parsed(path))
    ]
    assert silent == []


def test_no_module_is_too_long():
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in PYTHON
        if (count := sum(1 for _ in lines(path))) > MODULE_LINES_MAX
    ]
    assert long == []


def test_no_function_is_too_long():
    long = [
        f"{place(path, node.lineno)} {node.name}: {count} lines"
        for path in PYTHON
        for node in functions(parsed(path))
        if (count := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_names_say_what_a_thing_is():
    vague = [
        f"{place(path, line)} {name}"
        for path in PYTHON
        for line, name in [(1, path.stem), *defined_names(parsed(path))]
        if words(name) & BANNED_WORDS
    ]
    assert vague == []


def test_a_todo_has_an_issue():
    orphans = [
        f"{place(path, line)} {text}"
        for path in PYTHON
        for line, text in comments(path)
        if TODO in text and not TODO_WITH_ISSUE.search(text)
    ]
    assert orphans == []


def test_silencing_a_check_names_the_check():
    bare = [
        f"{place(path, line)} {text}"
        for path in PYTHON
        for line, text in comments(path)
        if BARE_SILENCE.search(text)
    ]
    assert bare == []


def test_links_in_the_documentation_lead_somewhere():
    assert [broken for path in MARKDOWN for broken in broken_links(path)] == []


def without(text, words):
    for word in words:
        text = text.replace(word, "")
    return text


def test_no_file_knows_a_machine_or_a_registry():
    banned = (*LOCAL_PLACES, *REGISTRY_HOSTS)
    found = [
        f"{place(path, line)} {word}"
        for path in TEXT
        for line, text in lines(path)
        for word in banned
        if word in without(text, NOBODYS_PLACES)
    ]
    assert found == []


def test_each_test_file_has_a_test():
    empty = [
        str(path.relative_to(ROOT))
        for path in PYTHON
        if path.is_relative_to(ROOT / "tests") and path.name.startswith("test_")
        if not any(holds_a_test(node) for node in ast.walk(parsed(path)))
    ]
    assert empty == []


def holds_a_test(node: ast.AST) -> bool:
    """Say whether `node` is a test function or binds a hypothesis state machine's `TestCase`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test_")
    return isinstance(node, ast.Attribute) and node.attr == "TestCase"


def test_other_files_beside_the_tests_are_used_by_one():
    beside = [
        path
        for path in PYTHON
        if path.is_relative_to(ROOT / "tests")
        and not path.is_relative_to(ROOT / "tests" / "typing")
        and not path.name.startswith("test_")
        and path.name not in {"conftest.py", "__init__.py"}
    ]
    imported = {
        name.rpartition(".")[2]
        for path in PYTHON
        if path.is_relative_to(ROOT / "tests")
        for node in ast.walk(parsed(path))
        for name in import_targets(node)
    }
    assert [str(path.relative_to(ROOT)) for path in beside if path.stem not in imported] == []


def import_targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(alias.name for alias in node.names)]
    return []


def test_a_pure_room_opens_without_imports_from_outside():
    """The import contract sees the modules in a room; this looks at the room's own `__init__`."""
    outside = [
        f"{place(path, line)} imports {name}"
        for room in PURE_ROOMS
        if (path := PACKAGE / room / "__init__.py").is_file()
        for line, name in outside_imports(parsed(path))
        if not name.startswith("gpuyard") and name != "typing"
    ]
    assert outside == []


def test_the_import_contract_names_the_same_pure_rooms():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = next(one for one in contracts if one["name"].startswith("The core is pure"))
    assert sorted(pure["source_modules"]) == sorted(f"gpuyard.{room}.**" for room in PURE_ROOMS)


# --- The rules can fail -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("PodManager", {"pod", "manager"}, id="camel case"),
        pytest.param("read_utils", {"read", "utils"}, id="snake case"),
        pytest.param("GPUHelper", {"gpu", "helper"}, id="an abbreviation is one word"),
        pytest.param("utilisation", {"utilisation"}, id="a longer word is not its beginning"),
    ],
)
def test_words(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    ("comment", "is_bare"),
    [
        pytest.param("# no" + "qa", True, id="silences everything"),
        pytest.param("# no" + "qa: BLE001", False, id="names a rule"),
        pytest.param("# type: " + "ignore", True, id="silences every type error"),
        pytest.param("# type: " + "ignore[arg-type]", False, id="names a type error"),
    ],
)
def test_bare_silence(comment, is_bare):
    assert bool(BARE_SILENCE.search(comment)) is is_bare


def test_broken_links(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One Title\n[a](page.md) [b](#one-title) [c](https://example.invalid)\n"
        "```\n[in code](nowhere)\n```\n[d](gone.md) [e](page.md#no-such-title)\n"
    )
    found = list(broken_links(page))
    assert found == [
        "page.md:6 leads nowhere: gone.md",
        "page.md:6 leads nowhere: page.md#no-such-title",
    ]
