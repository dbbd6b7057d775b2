"""What the repository says of itself is true: the README's tree, the version, the sizes, the words."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("apps", "workbench", "model", "kernels")
ROOMS = (*PACKAGES, "notebooks", "benchmarks")
SOURCE_SUFFIXES = {".py", ".js", ".css", ".ipynb", ".jinja"}
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_KERNEL = 350, 60, 90


def files_below(*folders: str, suffix: str = "") -> list[Path]:
    """Every file in these folders, without what Python and Jupyter leave there."""
    found = [path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}") if path.is_file()]
    return sorted(path for path in found if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def paths_in_tree(tree: str) -> set[str]:
    """Paths named by a listing: `folder/   words`, and two spaces deeper `file.py   words`."""
    folders: list[str] = []
    named = set()
    for line in tree.strip("\n").splitlines():
        entry = re.fullmatch(r"( *)([\w./-]+?)(/?)(?: {2,}\S.*)?", line)
        assert entry, f"the README's tree has a line that is not `name   words`: {line!r}"
        depth = len(entry[1]) // 2
        folders[depth:] = [entry[2]] if entry[3] else []
        named.add("/".join([*folders[:depth], entry[2]]))
    return named


def test_the_readme_tree_names_every_source_file_and_nothing_else():
    tree = (ROOT / "README.md").read_text().split("## Layout")[1].split("```")[1].removeprefix("text")
    named = paths_in_tree(tree)
    # a folder's line speaks for its __init__.py
    source = {
        name(path)
        for path in files_below(*ROOMS)
        if path.suffix in SOURCE_SUFFIXES and path.name != "__init__.py"
    }
    missing = sorted(source - named)
    gone = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing, f"add one line for each to the tree that ends README.md: {missing}"
    assert not gone, f"the tree that ends README.md names what is not there: {gone}"


def test_the_version_is_none_that_transformers_would_take_for_another_package_kernels():
    assert not Version("0.18.2") <= Version(project()["version"]) < Version("0.19.0")


def test_transformers_imports_its_llama_4_beside_our_kernels():
    importlib.import_module("kernels")
    assert importlib.import_module("transformers").Llama4ForConditionalGeneration


def test_constraints_pin_every_requirement_exactly():
    loose = [line for line in constraints() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert not loose
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    pinned = {line.split("==")[0].replace("_", "-").lower() for line in constraints()}
    names = {re.match(r"[\w-]+", requirement)[0].replace("_", "-").lower() for requirement in wanted}
    assert names <= pinned, f"constraints.txt does not pin {sorted(names - pinned)}"


def test_every_file_opens_by_saying_what_it_is():
    python = files_below(*ROOMS, "tests", suffix=".py")
    silent = [name(path) for path in python if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, f"no docstring: {silent}"


def test_files_are_short_enough_to_read():
    lengths = {name(path): len(path.read_text().splitlines()) for path in files_below(*ROOMS, suffix=".py")}
    too_long = {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}
    assert not too_long, f"more than {LONGEST_FILE} lines are two ideas, and two files: {too_long}"


def test_functions_are_short_enough_to_read():
    too_long = {}
    for path in files_below(*ROOMS, suffix=".py"):
        longest = LONGEST_KERNEL if path.stem.endswith("_triton") else LONGEST_FUNCTION
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > longest:
                    too_long[f"{name(path)} {node.name}"] = lines
    assert not too_long, f"more than {LONGEST_FUNCTION} lines, {LONGEST_KERNEL} in Triton: {too_long}"


def test_no_file_names_a_place_on_somebodys_machine():
    # written apart, so that this file does not find itself
    homes = re.compile(b"|".join(b"/" + home + b"/" for home in (b"work", b"root", b"home", b"Users")))
    at_the_root = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".git")]
    everywhere = [*files_below(*ROOMS, "tests", "docs", ".ci"), *at_the_root]
    found = [name(path) for path in everywhere if homes.search(path.read_bytes())]
    assert not found
