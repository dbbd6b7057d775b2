"""Small modules become one text, or it is said which of them cannot."""

import subprocess
from pathlib import Path

import pytest

from workbench.view.module import FOLDER, JoinError, script, style

ENTRIES = ("index.js", "chat.js", "lab.js")  # the view, and what is filled in beside it


def folder_with(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
    return tmp_path


def test_files_are_joined_in_the_order_they_need_each_other(tmp_path):
    joined = script(
        folder_with(
            tmp_path,
            index='export { twice } from "./twice.js";\nexport { default } from "./main.js";\n',
            main='import {\n  one,\n} from "./one.js";\nexport default function main() { return one; }\n',
            twice='import { one } from "./one.js";\n\nexport const twice = 2 * one;\n',
            one="export const one = 1;\n",
        )
    )
    (tmp_path / "joined.mjs").write_text(joined)
    said = 'import main, { twice } from "./joined.mjs"; console.log(main(), twice);'
    (tmp_path / "said.mjs").write_text(said)
    done = subprocess.run(["node", tmp_path / "said.mjs"], capture_output=True, text=True, check=True)
    assert done.stdout == "1 2\n"
    assert joined.index("const one") < joined.index("const twice")
    assert joined.count("const one") == 1
    assert "import" not in joined


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"index": 'import * as all from "./a.js";\n', "a": ""}, "cannot be joined"),
        ({"index": 'import { a as b } from "./a.js";\n', "a": "export const a = 1;\n"}, "for a as b"),
        ({"index": 'import { a } from "https://example.org/a.js";\n'}, "cannot be joined"),
        ({"index": "export const [a, b] = [1, 2];\n"}, "cannot be joined"),
        ({"index": 'import { a } from "./a.js";\n', "a": "const a = 1;\n"}, "asks a.js for a"),
        ({"index": 'import { a } from "./a.js";\n'}, "not there"),
        (
            {
                "index": 'import { a } from "./a.js";\nconst b = 1;\n',
                "a": "const b = 2;\nexport const a = b;\n",
            },
            "both declare b",
        ),
        (
            {
                "index": 'import { a } from "./a.js";\n',
                "a": 'import { b } from "./b.js";\nexport const a = 1;\n',
                "b": 'import { a } from "./a.js";\nexport const b = 1;\n',
            },
            "a.js -> b.js -> a.js is a circle",
        ),
    ],
)
def test_what_cannot_be_joined_is_named(tmp_path, files, said):
    with pytest.raises(JoinError, match=said):
        script(folder_with(tmp_path, **files))


def test_the_view_is_one_module_without_imports_that_hands_out_what_hosts_use():
    joined = script()
    assert "import(" not in joined and "\nimport " not in joined
    public = joined.rsplit("export {", 1)[1]
    for name in ("TraceStore", "createReceiver", "createTraceView", "mountGradio", "widget as default"):
        assert name in public


def test_every_file_is_in_a_script_opens_with_a_comment_and_is_short():
    joined = "".join(script(entry=entry) for entry in ENTRIES)
    for path in (FOLDER / "js").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("// "), path.name
        assert len(text.splitlines()) <= 350, path.name
        assert text.splitlines()[0] in joined, f"{path.name} is needed by nobody"


def test_text_reaches_a_page_as_text_alone():
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert not [entry for entry in ENTRIES if sink in script(entry=entry)]
    assert "url(http" not in style() and "@import" not in style()
