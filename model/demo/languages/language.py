"""What the demo model's world needs of a language: names for things, ways to ask, the one right answer.

What is said is data, a TOML file for each language. Grammar lives in the language's own `phrase`: a template
names the *form* of a thing that it needs, as in "What colour is {thing:the}?" or "Welche Farbe hat
{thing:der}?", and `phrase` makes the words agree.

Slots of a template:
    {thing:FORM} {other:FORM}   a thing in that form; the forms are the language's own
    {where}     " in image 2", " in the picture" or nothing; it brings its own space
    {image}     the picture itself: "image 2", "the picture"
    {n} {m}     numbers of pictures, from 1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# every way to ask; beside each, the slots it may use
WAYS = (
    "colour",  # {thing} {where} {image}
    "shape",  # {thing} {where} {image}; the thing has no shape: "the red object"
    "only_shape",  # {where} {image}: what shape is in a picture that holds one thing
    "size",  # {thing} {where} {image}: big or small?
    "count",  # {thing} {where} {image}: how many?
    "left_right",  # {thing} {where} {image}: on the left or on the right?
    "top_bottom",  # {thing} {where} {image}: at the top or at the bottom?
    "left_of",  # {thing} {other} {where} {image}: is the one left of the other? yes or no
    "right_of",
    "above",
    "below",
    "which",  # {thing}: which image has one?
    "same_shape",  # {n} {m}: do both pictures (one thing each) show the same shape? yes or no
    "same_colour",
    "odd",  # no slot: which image is the odd one out?
    "digit",  # {where} {image}: which handwritten digit is it?
    "describe",  # {where} {image}
    "exist",  # {thing} {where} {image}: is there one? yes or no
    "elsewhere",  # {where} {image}: "And in image 2?", after another question
    "another",  # {thing}: "And the star?", after a question about colour, shape or size
)
# every answer; beside each, the slots it may use
ANSWERS = (
    "colour",  # {thing}: the colour's name alone
    "shape",  # {thing}: the shape's name alone
    "big",  # {thing}
    "small",  # {thing}
    "left", "right", "top", "bottom",
    # what stands before two things named in that direction: "From left to right:"
    "left_of", "right_of", "above", "below",
    "relation_yes", "relation_no",
    "exist_yes", "exist_no",
    "same_yes", "same_no",
    "none",  # there is no such thing here: to "What colour is the star?" where there is no star
    "number",  # {n}: how many, or which digit
    "image",  # {n}: "Image 2."
    "item",  # {thing}: one thing of a description, "a red circle"
)  # fmt: skip
CHAT = ("greeting", "how_are_you", "who", "abilities", "thanks", "bye", "outside")


@dataclass(frozen=True)
class Split:
    """Ways to say one thing: for training, and for tests (never used in training, new words welcome)."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    def __getitem__(self, split: str) -> tuple[str, ...]:
        return getattr(self, split)


def _split(ways: dict[str, Any]) -> Split:
    return Split(tuple(ways["train"]), tuple(ways["test"]))


@dataclass(frozen=True, eq=False)
class Language:
    """One language of the demo model's world; the module docstring lists the slots of its templates."""

    code: str  # ISO 639-1
    name: str  # in English
    phrase: Callable[[str | None, str | None, str | None, str], str]  # (shape, colour, size, form) -> words
    ask: dict[str, Split]  # a Split for each of WAYS
    numbered: Split  # names of one of several pictures, for {image}: "image {n}"
    only: Split  # names of the only picture, for {image}: "the picture"
    in_numbered: Split  # for {where}: " in image {n}"
    in_only: Split  # for {where}: "", " in the picture"
    answers: dict[str, str]  # a template for each of ANSWERS
    separators: tuple[str, str]  # in a description: between two things, and before the last: (", ", " and ")
    full_stop: str  # after a description: "." or "" or what the script has
    chat: dict[str, tuple[Split, str]]  # for each of CHAT: ways to say it, and the answer
    no_picture: str  # the answer to a question about a picture when there is none
    before: tuple[str, ...] = ()  # polite or casual words in front: "Please, "
    after: tuple[str, ...] = ()  # and behind, before the question mark: ", please"

    @classmethod
    def read(cls, code: str, phrase: Callable[..., str], said: dict[str, Any]) -> Language:
        """A language from its grammar and from what its TOML file says.

        Raises:
            TypeError: the file lacks something, or has something that is not said anywhere.
        """
        said = dict(said)
        splits = {key: _split(said.pop(key)) for key in ("numbered", "only", "in_numbered", "in_only")}
        return cls(
            code=code,
            phrase=phrase,
            ask={way: _split(ways) for way, ways in said.pop("ask").items()},
            chat={about: (_split(ways), ways["answer"]) for about, ways in said.pop("chat").items()},
            **splits,
            **{key: tuple(value) if isinstance(value, list) else value for key, value in said.items()},
        )

    def named(self, shape: str | None, colour: str | None, size: str | None) -> Named:
        """A thing as a template takes it."""
        return Named(self, shape, colour, size)


@dataclass(frozen=True)
class Named:
    """A thing by what is said of it; None where it is left open. `f"{named:form}"` gives its words."""

    language: Language
    shape: str | None
    colour: str | None
    size: str | None

    def __format__(self, form: str) -> str:
        return self.language.phrase(self.shape, self.colour, self.size, form)
