"""The settings of a repository: the section ``lint`` of ``.gpuyard.yaml``.

    lint:
      fail_on: warning            # error, warning, info, or never
      severities:
        GPU-PDB: "off"            # or error, warning, info
      ignore:
        - vendor/                 # as in .gitignore, from this file's folder

What is misspelt is refused with its place and what was probably meant: a setting that is silently
not there is worse than none. YAML reads a bare ``off`` as false; that is taken for what was meant.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

from gpuyard.dialects.documents import Document, read
from gpuyard.dialects.plain import Path
from gpuyard.lint import catalogue
from gpuyard.lint.rule import SEVERITIES, Rule, Severity, is_at_least

Threshold = Literal["error", "warning", "info", "never"]

FILE_NAME = ".gpuyard.yaml"
THRESHOLDS: tuple[Threshold, ...] = (*SEVERITIES, "never")
_OFF: Literal["off"] = "off"
_KEYS = ("fail_on", "ignore", "severities")


class ConfigError(ValueError):
    """A configuration cannot be used: one sentence with the place."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a repository decides; without a file, these defaults."""

    severities: Mapping[str, Severity | Literal["off"]] = {}
    ignore: tuple[str, ...] = ()
    fail_on: Threshold = "warning"

    def severity(self, rule: Rule) -> Severity | None:
        """Return how bad `rule` is here, `None` where it is off."""
        chosen = self.severities.get(rule.id, rule.severity)
        return None if chosen == "off" else chosen

    def fails(self, severities: Iterable[Severity]) -> bool:
        """Say whether one of these findings makes the run fail."""
        threshold = self.fail_on
        return threshold != "never" and any(is_at_least(one, threshold) for one in severities)


def read_config(text: bytes, source: str) -> Settings:
    """Return the settings that the file `source` holds.

    Raises ConfigError with the place of the first thing that is wrong.
    """
    documents, problems = read(text, source)
    for problem in problems:
        where = f"{source}:{problem.position.line}:{problem.position.column}"
        raise ConfigError(f"{where}: {problem.message}")
    if not documents:
        return Settings()
    return _Reader(documents[0]).settings()


class _Reader:
    """Reads one document and knows where each of its keys is."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def settings(self) -> Settings:
        """Return what the document says."""
        self._known_keys((), self.document.value, ("lint",))
        lint = self._mapping(("lint",), self.document.value.get("lint"))
        self._known_keys(("lint",), lint, _KEYS)
        return Settings(
            severities=self._severities(("lint", "severities"), lint.get("severities")),
            ignore=self._patterns(("lint", "ignore"), lint.get("ignore")),
            fail_on=self._threshold(("lint", "fail_on"), lint.get("fail_on", "warning")),
        )

    def _severities(self, path: Path, value: object) -> dict[str, Severity | Literal["off"]]:
        chosen: dict[str, Severity | Literal["off"]] = {}
        for name, word in self._mapping(path, value).items():
            place = (*path, name)
            try:
                rule = catalogue.rule(name)
            except catalogue.UnknownRuleError as error:
                raise self._wrong(place, str(error)) from None
            if word is False or word == _OFF:
                chosen[rule.id] = _OFF
            elif word in SEVERITIES:
                chosen[rule.id] = SEVERITIES[SEVERITIES.index(word)]
            else:
                allowed = ", ".join((*SEVERITIES, _OFF))
                raise self._wrong(place, f"{_shown(word)} is no severity; give {allowed}")
        return chosen

    def _patterns(self, path: Path, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._wrong(path, f"{_shown(value)} is no list of file patterns")
        for number, pattern in enumerate(value):
            if not isinstance(pattern, str) or not pattern.strip("/"):
                raise self._wrong((*path, number), f"{_shown(pattern)} is no file pattern")
        return tuple(value)

    def _threshold(self, path: Path, value: object) -> Threshold:
        if value not in THRESHOLDS:
            raise self._wrong(path, f"{_shown(value)} is not one of {', '.join(THRESHOLDS)}")
        return THRESHOLDS[THRESHOLDS.index(value)]

    def _mapping(self, path: Path, value: object) -> Mapping[str, object]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(path, f"{path[-1]} is {_shown(value)}, not a mapping")
        return value

    def _known_keys(self, path: Path, value: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in value:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
                raise self._wrong((*path, key), f"unknown setting {key!r}; {hint}")

    def _wrong(self, path: Path, sentence: str) -> ConfigError:
        position = self.document.position(path)
        place = f"{self.document.source}:{position.line}:{position.column}"
        return ConfigError(f"{place}: {sentence}")


def _shown(value: object) -> str:
    """Return a value of any kind in a few characters."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 — a glance
