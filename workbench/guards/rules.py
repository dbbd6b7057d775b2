"""A guard of rules: phrases, patterns and limits from a file. It needs no model, never fails, reads no sense.

The file is TOML; `rules.toml` beside this module is the built-in one, and its comments say what may stand in
one. All texts are compared folded (see `plain_text`), so that case, accents, invisible characters and
borrowed letters hide nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from workbench.guards.guard import Category, Messages, Verdict
from workbench.guards.hazards import HAZARDS, hazard
from workbench.guards.plain_text import folded
from workbench.guards.said import turns

BUILT_IN = Path(__file__).with_name("rules.toml")
WHERE = ("input", "output", "both")
# with few letters, ordinary words written one after the other would look spaced out
SHORTEST_SPACED = 4


class RulesError(ValueError):
    """A file that is no set of rules; says which entry, and what was expected."""


@dataclass(frozen=True)
class Rule:
    """What must not occur.

    Attributes:
        category: what it counts as. where: "input", "output" or "both". patterns: of folded text.
    """

    category: Category
    where: str
    patterns: tuple[re.Pattern[str], ...]

    def hits(self, text: str, where: str) -> bool:
        """Whether it holds for this folded text, which is input or output."""
        return self.where in (where, "both") and any(pattern.search(text) for pattern in self.patterns)


@dataclass(frozen=True)
class Limits:
    """What a conversation may have at most.

    Attributes:
        longest_input: characters of all that is asked. most_pictures: of all pictures; None: any number.
        pictures_need_words: whether a question must say something beside its pictures, which no rule sees.
    """

    longest_input: int = 200_000
    most_pictures: int | None = None
    pictures_need_words: bool = False


class Rules:
    """Judges by rules; give `from_file` a file, or take the `built_in` one."""

    can_fail = False

    def __init__(self, rules: Sequence[Rule], limits: Limits | None = None, name: str = "rules") -> None:
        self.rules = tuple(rules)
        self.limits = limits or Limits()
        self.name = name

    def __repr__(self) -> str:
        return f"Rules({self.name!r}: {len(self.rules)} rules)"

    @classmethod
    def built_in(cls) -> Rules:
        """A modest set: a beginning to copy, not a protection to rely on."""
        return cls.from_file(BUILT_IN)

    @classmethod
    def from_file(cls, path: str | Path) -> Rules:
        """The rules of a TOML file.

        Raises:
            RulesError: it cannot be read, or an entry is not what it should be.
        """
        path = Path(path)
        try:
            read = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RulesError(f"{path} is no file of rules: {error}") from None
        try:
            _only(read, ("limits", "rules"), "the file")
            rules = [_rule(one, f"rules[{at}]") for at, one in enumerate(_listed(read, "rules"))]
            return cls(rules, _limits(read.get("limits", {})), path.name)
        except RulesError as error:
            raise RulesError(f"{path}: {error}") from None

    def judge_input(self, messages: Messages) -> Verdict:
        """Whether a model may be asked this: every turn, and answers in it as answers."""
        said = turns(messages)
        asked = [turn for turn in said if not turn.by_model]
        found = [Category("limits", words) for words in self._exceeded(asked)]
        if not found:  # no long text is searched
            found = self._found("\n".join(turn.text for turn in asked), "input")
            found += self._found("\n".join(turn.text for turn in said if turn.by_model), "output")
        return Verdict(bool(found), tuple(dict.fromkeys(found)))

    def judge_output(self, messages: Messages, answer: str) -> Verdict:
        """Whether this answer may be shown; what it answers does not matter to rules."""
        found = self._found(answer, "output")
        return Verdict(bool(found), tuple(found))

    def _exceeded(self, asked: Sequence[Any]) -> list[str]:
        limits, characters = self.limits, sum(len(turn.text) for turn in asked)
        pictures = sum(len(turn.pictures) for turn in asked)
        wordless = any(turn.pictures and not turn.text.strip() for turn in asked)
        told = {
            f"{characters:,} characters, at most {limits.longest_input:,}": characters > limits.longest_input,
            f"{pictures} pictures, at most {limits.most_pictures}": (
                limits.most_pictures is not None and pictures > limits.most_pictures
            ),
            "pictures without words": limits.pictures_need_words and wordless,
        }
        return [words for words, holds in told.items() if holds]

    def _found(self, text: str, where: str) -> list[Category]:
        text = folded(text)
        return list(dict.fromkeys(rule.category for rule in self.rules if rule.hits(text, where)))


def _rule(entry: object, at: str) -> Rule:
    if not isinstance(entry, dict):
        raise RulesError(f"{at} is {entry!r}; expected a table [[rules]]")
    _only(entry, ("category", "about", "where", "phrases", "patterns"), at)
    code, about, where = entry.get("category"), entry.get("about", ""), entry.get("where", "both")
    if not isinstance(code, str) or not code or not isinstance(about, str):
        raise RulesError(
            f"{at}: category is {code!r} and about {about!r}; expected texts, category not empty"
        )
    if where not in WHERE:
        raise RulesError(f"{at}: where is {where!r}; expected one of {', '.join(WHERE)}")
    sources = [_phrase(one, at) for one in _listed(entry, "phrases", at)]
    sources += [_pattern(one, at) for one in _listed(entry, "patterns", at)]
    if not sources:
        raise RulesError(f"{at} has neither phrases nor patterns")
    # each alone: in one long alternation the numbers of groups would clash
    patterns = tuple(re.compile(source, re.IGNORECASE) for source in sources)
    return Rule(hazard(code) if code in HAZARDS else Category(code, about or code), where, patterns)


def _phrase(phrase: object, at: str) -> str:
    """The words with other signs between them, or none; and each word also with its letters set apart."""
    words = re.findall(r"\w+", folded(phrase)) if isinstance(phrase, str) else []
    if not words:
        raise RulesError(f"{at}: a phrase is {phrase!r}; expected words")
    letters = "".join(words)
    spaced = len(letters) >= SHORTEST_SPACED and letters.isalpha()
    written = [_spaced(word, number) if spaced else re.escape(word) for number, word in enumerate(words)]
    # three words that are run together are no other word by chance
    source = (r"[\W_]*" if len(words) > 2 else r"[\W_]+").join(written)
    # where letters have no case, as in Chinese, words are not written apart
    before = r"(?<!\w)" if letters[0].upper() != letters[0] else ""
    after = r"(?!\w)" if letters[-1].upper() != letters[-1] else ""
    return f"{before}{source}{after}"


def _spaced(word: str, number: int) -> str:
    """The word, or its letters with the same gap between all of them."""
    first, *rest = word
    if not rest:
        return word
    gap = f"(?P=gap{number})"
    return rf"(?:{word}|{first}(?P<gap{number}>[\W_]{{1,3}}){gap.join(rest)})"


def _pattern(pattern: object, at: str) -> str:
    if not isinstance(pattern, str) or not pattern:
        raise RulesError(f"{at}: a pattern is {pattern!r}; expected a regular expression")
    for letter in pattern:
        if not letter.isspace() and folded(letter) != letter.lower():
            raise RulesError(
                f"{at}: the pattern {pattern!r} has {letter!r}, which is written {folded(letter)!r} in the "
                "text it is compared with; write that, or give the words as a phrase"
            )
    try:
        re.compile(pattern)
    except re.error as error:
        raise RulesError(f"{at}: {pattern!r} is no regular expression: {error}") from None
    return pattern


def _limits(entry: object) -> Limits:
    if not isinstance(entry, dict):
        raise RulesError(f"limits is {entry!r}; expected a table [limits]")
    _only(entry, tuple(field.name for field in fields(Limits)), "limits")
    for name, value in entry.items():
        flag = name == "pictures_need_words"
        if isinstance(value, bool) != flag or not (flag or (isinstance(value, int) and value >= 0)):
            raise RulesError(
                f"limits: {name} is {value!r}; expected {'true or false' if flag else 'a number'}"
            )
    return Limits(**entry)


def _listed(entry: dict, name: str, at: str = "the file") -> list:
    value = entry.get(name, [])
    if not isinstance(value, list):
        raise RulesError(f"{at}: {name} is {value!r}; expected a list")
    return value


def _only(entry: dict, known: Sequence[str], at: str) -> None:
    if strange := sorted(set(entry) - set(known)):
        raise RulesError(f"{at} has {', '.join(strange)}; expected only {', '.join(known)}")
