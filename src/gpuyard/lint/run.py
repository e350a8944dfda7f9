"""One run: documents go in, findings come out.

The order of work keeps it quick: every object is shown only to the rules that ask for its kind,
views of pods are built once and shared by all rules, and a workload without a GPU is passed over
before a single rule sees it.

A rule that stops with an error is a defect of ours, not of the person who runs it: its findings are
lost, `LINT-RULE-FAILED` says so with the object, and every other rule still answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from gpuyard.dialects.documents import Document, Position, Problem
from gpuyard.dialects.workloads import Workload
from gpuyard.lint import catalogue, suppress
from gpuyard.lint.config import Settings
from gpuyard.lint.rule import Edit, Finding, Hit, Rule, Severity, place_order
from gpuyard.lint.rules.texts import reading
from gpuyard.lint.texts import Text, read_texts
from gpuyard.lint.values import values_in
from gpuyard.lint.world import Entry, Origin, World

MESSAGE_CHARS_MAX = 600  # a name in a manifest may be of any length
FAILED = "LINT-RULE-FAILED"
NOWHERE = Position(0, 0)


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with what a report does not show: the object it is in, and what would mend it."""

    finding: Finding
    entry: Entry | None = None
    edits: tuple[Edit, ...] = ()


class Outcome(NamedTuple):
    """What a run found, sorted by place, and what it does not report."""

    found: Sequence[Located]
    objects: int
    """Objects and other documents that were looked at."""
    suppressed: int
    """Findings accepted by annotation or comment."""
    in_baseline: int = 0

    @property
    def findings(self) -> list[Finding]:
        """The findings alone."""
        return [one.finding for one in self.found]


class Seen(NamedTuple):
    """Something that a rule found in an object, before it is known where that is in a file."""

    rule: Rule
    entry: Entry
    hit: Hit


def check(texts: Iterable[Text], settings: Settings | None = None) -> list[Finding]:
    """Return what is found in `texts`, sorted by place."""
    given = read_texts(texts)
    return examine(given.documents, given.problems, settings=settings).findings


def examine(
    documents: Iterable[Document],
    problems: Iterable[Problem] = (),
    *,
    settings: Settings | None = None,
    background: Iterable[Document] = (),
    origin: Origin = "documents",
    listed: Iterable[str] = (),
    with_places: bool = True,
) -> Outcome:
    """Show `documents` to all rules.

    `problems` are the texts, or parts of them, that could not be read. `background`, `origin` and
    `listed` tell what else there is, see `World`; nothing is reported of the background. Without
    places, lines and columns are 0: to look them up takes longer than everything else, and what an
    API server sends was written nowhere.
    """
    chosen = settings or Settings()
    world = World(documents, background=background, origin=origin, listed=listed)
    by_entry: dict[int, list[Seen]] = defaultdict(list)
    for seen in _Active(world, chosen).seen():
        by_entry[id(seen.entry)].append(seen)
    sieve = _Sieve(chosen, with_places=with_places)
    for entry in world.looked_at:
        sieve.take(entry, by_entry.get(id(entry), []))
    for problem in problems:
        sieve.take_text(reading.rule_of(problem), problem.source, problem.position, problem.message)
    found = sorted(sieve.found, key=lambda one: place_order(one.finding))
    return Outcome(found, len(world.looked_at), sieve.suppressed)


class _Active:
    """The rules that have a say in this run, by what they are shown."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world = world
        self._told: set[tuple[str, str, str]] = set()  # owners that were not given
        self.pod: list[Rule] = []
        self.workload: list[Rule] = []
        self.values: list[Rule] = []
        self.whole: list[Rule] = []
        self.by_kind: dict[str, list[Rule]] = defaultdict(list)
        for rule in catalogue.rules(for_cluster=world.knows("Node")):
            if settings.severity(rule) is None or not all(map(world.knows, rule.reads)):
                continue
            if rule.scope == "object":
                for kind in rule.kinds:
                    self.by_kind[kind].append(rule)
            elif rule.scope != "text":
                name = "whole" if rule.scope == "world" else rule.scope
                getattr(self, name).append(rule)

    def seen(self) -> Iterator[Seen]:
        """Show everything to everyone who asked for it."""
        for entry in self.world.looked_at:
            for rule in self.by_kind.get(entry.kind, ()):
                yield from self._ask(rule, entry, entry)
            if entry.workload is not None and not self._is_said_elsewhere(entry):
                yield from self._of_workload(entry.workload, entry)
            for values in values_in(entry):
                for rule in self.values:
                    yield from self._ask(rule, values, entry)
        for rule in self.whole:
            yield from self._ask(rule, self.world, None)

    def _is_said_elsewhere(self, entry: Entry) -> bool:
        """Say whether the owner of an object, or another that it made, is shown in its place."""
        made_by = entry.made_by
        if made_by is None:
            return False
        twin = (entry.namespace, *made_by)
        if self.world.owner(entry) is not None or twin in self._told:
            return True
        self._told.add(twin)
        return False

    def _of_workload(self, workload: Workload, entry: Entry) -> Iterator[Seen]:
        for rule in self.workload:
            if workload.asks_gpus or not rule.gpu_only:
                yield from self._ask(rule, workload, entry)
        for pod in workload.pods:
            for rule in self.pod:
                if pod.asks_gpus or not rule.gpu_only:
                    yield from self._ask(rule, pod, entry)

    def _ask(self, rule: Rule, subject: object, entry: Entry | None) -> list[Seen]:
        try:
            hits = rule.check(subject, self.world)
            return [Seen(rule, on, hit) for hit in hits if (on := hit.on or entry)]
        except Exception as error:  # noqa: BLE001 — see the module's head
            return [_failed(rule, entry or self.world.looked_at[0], error)]


class _Sieve:
    """Keeps what is reported, and counts what somebody has accepted."""

    def __init__(self, settings: Settings, *, with_places: bool) -> None:
        self.settings = settings
        self.with_places = with_places
        self.found: list[Located] = []
        self.suppressed = 0
        self._comments: dict[int, suppress.Comments] = {}  # by file: one speaks to all its objects

    def take(self, entry: Entry, seen: list[Seen]) -> None:
        """Take what was found in one object, and what is wrong with its suppressions."""
        accepted, wrong = suppress.annotated(entry)
        comments = self._comments_of(entry.document)
        for one in (*seen, *(Seen(catalogue.rule(name), entry, hit) for name, hit in wrong)):
            severity = self.settings.severity(one.rule)
            if severity is None:
                continue
            position = self._position(entry, one.hit)
            is_accepted = suppress.accepts(accepted, one.rule.id, one.hit.path) or (
                comments.accept(one.rule.id, position.line)
            )
            if is_accepted and one.rule.scope != "text":
                self.suppressed += 1
            else:
                finding = _finding(one, position, severity)
                self.found.append(Located(finding=finding, entry=entry, edits=one.hit.edits))

    def take_text(self, name: str, source: str, position: Position, sentence: str) -> None:
        """Take what is wrong with a text."""
        rule = catalogue.rule(name)
        severity = self.settings.severity(rule)
        if severity is not None:
            finding = Finding(
                rule=name,
                severity=severity,
                file=source,
                line=position.line,
                column=position.column,
                object="",
                message=printable(sentence),
                remedy=rule.remedy,
            )
            self.found.append(Located(finding=finding))

    def _position(self, entry: Entry, hit: Hit) -> Position:
        return entry.document.position(hit.path, of=hit.of) if self.with_places else NOWHERE

    def _comments_of(self, document: Document) -> suppress.Comments:
        key = id(document.suppressions)
        if key not in self._comments:
            self._comments[key] = suppress.Comments(document)
            for name, position, sentence in self._comments[key].wrong:
                self.take_text(name, document.source, position, sentence)
        return self._comments[key]


def _finding(one: Seen, position: Position, severity: Severity) -> Finding:
    return Finding(
        rule=one.rule.id,
        severity=severity,
        file=one.entry.document.source,
        line=position.line,
        column=position.column,
        object=printable(one.entry.title),
        message=printable(one.hit.message),
        remedy=printable(one.hit.remedy or one.rule.remedy),
    )


def _failed(rule: Rule, entry: Entry, error: Exception) -> Seen:
    sentence = f"{rule.id} stopped with {type(error).__name__}: {error}"
    return Seen(catalogue.rule(FAILED), entry, Hit((), sentence))


def printable(text: str) -> str:
    """Return `text` fit for a terminal: bounded, on one line, without control characters.

    Names come from the manifests of strangers; an escape code in one must not move a cursor.
    """
    cut = text if len(text) <= MESSAGE_CHARS_MAX else f"{text[: MESSAGE_CHARS_MAX - 1]}…"
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in cut)
