"""The right answer to a question, counted again from the pictures by plain means: nothing of `meanings`."""

from collections.abc import Sequence

from model.demo.scenes import Content, Thing
from model.demo.turns import Meaning, Name

CLEARLY = 0.1  # of a picture's width or height: nearer to the middle line, people might disagree


def surely(scene: Content, name: Name) -> list[Thing]:
    """The things that everybody would call by that name."""
    said = [(attribute, value) for attribute, value in zip(("shape", "colour", "size"), name, strict=True)]
    return [t for t in scene.things if all(v is None or getattr(t, a) == v for a, v in said)]


def perhaps(scene: Content, name: Name) -> list[Thing]:
    """The things that somebody might call by that name: a middle size is big to one, small to another."""
    things = surely(scene, (*name[:2], None))
    return [t for t in things if name[2] is None or t.size in (None, name[2])]


def the_only(scene: Content, name: Name) -> Thing:
    """The thing that is meant; fails where the name leaves a doubt."""
    meant = perhaps(scene, name) if len(scene.things) > 1 else list(scene.things)
    assert len(meant) == 1 and meant == surely(scene, name), (name, scene)
    return meant[0]


def share(thing: Thing, scene: Content, axis: int) -> float:
    """Where the middle of a thing's box lies: 0 at the left or top border, 1 at the other."""
    return (thing.box[axis] + thing.box[axis + 2]) / 2 / scene.size[axis]


def side(thing: Thing, scene: Content, ends: tuple[str, str]) -> str:
    """Which of ("left", "right") or ("top", "bottom") it is on; fails near the middle line."""
    at = share(thing, scene, ends == ("top", "bottom"))
    assert abs(at - 0.5) > CLEARLY
    return ends[at > 0.5]


def related(scene: Content, way: str, one: Thing, two: Thing) -> bool:
    """Whether the one is left of, right of, above or below the other; fails where that is doubtful."""
    axis = way in ("above", "below")
    apart = share(two, scene, axis) - share(one, scene, axis)
    assert abs(apart) > CLEARLY
    return apart > 0 if way in ("left_of", "above") else apart < 0


def size_of(thing: Thing) -> str:
    """Big or small; fails for what is neither."""
    assert thing.extent >= 0.4 or thing.extent <= 0.28
    return "big" if thing.extent >= 0.4 else "small"


def answer_to(meaning: Meaning, scenes: Sequence[Content], way: str | None = None) -> tuple[str, object]:
    """How the question must be answered, and with what: a number, a colour, a shape, names, or None.

    way: for a follow-up, how the first question was asked.

    Raises:
        AssertionError: the question has no answer or several.
    """
    scene = scenes[meaning.image] if meaning.image >= 0 else None
    way = way or meaning.way
    match meaning.kind:
        case "colour" | "shape":
            thing = the_only(scene, meaning.asked)
            assert meaning.kind == "colour" or thing.digit < 0
            return meaning.kind, getattr(thing, meaning.kind)
        case "size":
            return size_of(the_only(scene, meaning.asked)), None
        case "count":
            found = surely(scene, meaning.asked)
            assert found == perhaps(scene, meaning.asked)
            return "number", len(found)
        case "position":
            ends = ("left", "right") if way == "left_right" else ("top", "bottom")
            return side(the_only(scene, meaning.asked), scene, ends), None
        case "relation":
            pair = the_only(scene, meaning.asked), the_only(scene, meaning.other)
            assert pair[0] is not pair[1]
            return "relation_yes" if related(scene, way, *pair) else "relation_no", None
        case "exist":
            assert surely(scene, meaning.asked) == perhaps(scene, meaning.asked)
            return "exist_yes" if surely(scene, meaning.asked) else "exist_no", None
        case "none":
            assert not perhaps(scene, meaning.asked)
            return "none", None
        case "digit":
            (value,) = [t.digit for t in scene.things if t.shape == "digit"]
            return "number", value
        case "describe":
            order = sorted(scene.things, key=lambda t: share(t, scene, 0))
            return "describe", [(t.shape, t.colour) for t in order]
    return across(meaning, scenes)


def across(meaning: Meaning, scenes: Sequence[Content]) -> tuple[str, object]:
    """The same for questions that compare pictures."""
    if meaning.kind == "which":
        (number,) = [n for n, scene in enumerate(scenes, 1) if perhaps(scene, meaning.asked)]
        return "image", number
    alone = [scene.things for scene in scenes]
    if meaning.kind == "odd":
        names = [(thing.shape, thing.colour) for (thing,) in alone]
        (number,) = [n for n, name in enumerate(names, 1) if names.count(name) == 1]
        assert len(names) >= 3 and len(set(names)) == 2
        return "image", number
    assert meaning.kind == "same" and meaning.numbers[0] != meaning.numbers[1]
    one, two = (alone[number - 1] for number in meaning.numbers)
    assert len(one) == len(two) == 1
    same = len({getattr(thing, meaning.way.removeprefix("same_")) for thing in (*one, *two)}) == 1
    return "same_yes" if same else "same_no", None
