"""The view's script and style, each as one text that a page can load by itself.

The script is written as small ES modules in `js/`, which import each other by name. They are joined where
they are read: imports go, because all names then stand in one scope, and what `index.js` hands on is exported
at the end. So nobody has to build anything, and every host gets the same text.
"""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
ENTRY = "index.js"
STYLES = ("trace_view.css", "controls.css", "compare.css")

IMPORT = re.compile(r'^import \{([\w\s,]*)\} from "\./([\w-]+\.js)";\n', re.M)
REEXPORT = re.compile(r'^export \{([\w\s,]*)\} from "\./([\w-]+\.js)";\n', re.M)
DECLARED = re.compile(r"^(export (?:default )?)?(?:async )?(?:function\*?|class|const|let) (\w+)", re.M)
UNJOINABLE = re.compile(r"^(?:import\b|export\b|(?:var|const|let) *[\[{]|var\b).*", re.M)


class JoinError(ValueError):
    """A module that cannot be joined with the others; the message names it and says what to change."""


@cache
def script(folder: Path = FOLDER / "js", entry: str = ENTRY) -> str:
    """The view as one ES module without imports; or what another file hands on, with all that it needs.

    Raises:
        JoinError: a file imports in another way than `import { a, b } from "./file.js";`, asks for a name
            that is not exported, imports in a circle, or declares a top-level name that another one has.
    """
    bodies: dict[str, str] = {}
    exported: dict[str, dict[str, str]] = {}
    owners: dict[str, str] = {}
    _read(folder, entry, bodies, exported, owners, ())
    public = ", ".join(
        name if name == local else f"{local} as {name}" for name, local in exported[entry].items()
    )
    return "\n".join([*bodies.values(), f"export {{ {public} }};\n"])


@cache
def style() -> str:
    """The view's style sheet."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)


def _read(
    folder: Path,
    name: str,
    bodies: dict[str, str],
    exported: dict[str, dict[str, str]],
    owners: dict[str, str],
    above: tuple[str, ...],
) -> None:
    """Put a file behind those it needs; `exported` maps each file's public names to its own."""
    if name in above:
        raise JoinError(f"{' -> '.join([*above, name])} is a circle; move what both need into a third file")
    if name in bodies:
        return
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JoinError(f"{above[-1] if above else 'the view'} imports {name}, which is not there") from None
    public: dict[str, str] = {}
    for statement, hands_on in ((IMPORT, False), (REEXPORT, True)):
        for names, source in statement.findall(text):
            _read(folder, source, bodies, exported, owners, (*above, name))
            for wanted in filter(None, (part.strip() for part in names.split(","))):
                if wanted not in exported[source]:
                    raise JoinError(
                        f"{name} asks {source} for {wanted}; it exports {sorted(exported[source])}"
                    )
                if hands_on:
                    public[wanted] = exported[source][wanted]
    body = REEXPORT.sub("", IMPORT.sub("", text))
    for how, local in DECLARED.findall(body):
        if local in owners:
            raise JoinError(f"{name} and {owners[local]} both declare {local}; rename one")
        owners[local] = name
        if how:
            public["default" if "default" in how else local] = local
    body = DECLARED.sub(lambda found: found[0].removeprefix(found[1] or ""), body)
    if odd := UNJOINABLE.search(body):
        raise JoinError(
            f"{name} has {odd[0]!r}, which cannot be joined; write one plain name or import a line"
        )
    bodies[name] = body.strip("\n") + "\n"
    exported[name] = public
