"""README and the example do what they say: every command is one that there is, the Python runs and prints what stands
there, every file that is named exists."""
import contextlib
import importlib
import io
import json
import os
import re
import shlex

import pytest
from conftest import ROOT

import main
from training import flags as flag_tables
from training import sweep

PAGES = [ROOT / "README.md", ROOT / "RESULTS.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page):
    """The indented commands of a page, as words."""
    found = re.findall(r"^    (?=\./|\.venv/|tests/)(.+)$", page.read_text(), re.MULTILINE)
    return [shlex.split(line.split(" | ")[0]) for line in found]


def run_code(blocks, monkeypatch):
    """Run Python blocks one after the other in the project's folder; what they print, and the names they leave."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    names, said = {}, io.StringIO()
    with contextlib.redirect_stdout(said):
        for block in blocks:
            exec(compile(block, "a block", "exec"), names)  # noqa: S102 - our own pages
    return said.getvalue(), names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_there_and_takes_its_flags(page):
    for program, *words in commands(page):
        if program == "./run":
            sweep.parse_sweep([word for word in words if word != "--setup"])
        elif program == ".venv/bin/python" and words[0] == "main.py":
            flag_tables.parse(None, main.FLAGS, words[1:])
        elif program == ".venv/bin/python":
            file = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
            assert (ROOT / file).exists(), file
            if file.startswith(("create_", "analysis/")):
                table = vars(importlib.import_module(file[:-3].replace("/", "."))).get("FLAGS")
                flag_tables.parse(None, table or importlib.import_module("analysis.runs").FLAGS,
                                  [word for word in words if word.startswith("--")])
        else:
            assert program == "tests/run" or program.endswith("tensorboard"), program


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    text = page.read_text()
    named = re.findall(r'(?:src="|\]\()([^")#]+?)["#)]', text) + re.findall(r"[\w/]+\.(?:py|md|ipynb)\b", text)
    places = [place for place in named if not place.startswith(("http", "/"))]
    assert len(places) > 10 or page.parent.name == "docs"
    for place in places:
        assert any((folder / place).exists() for folder in (page.parent, ROOT)), place


def test_the_python_of_the_readme_prints_what_stands_there(monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    said, names = run_code([block], monkeypatch)
    assert said.strip() == re.search(r"print\(.*#\s*(.*)", block)[1].strip()
    for line in re.findall(r"^(.+?) = .*#\s*(\[[^\]]*\])", block, re.MULTILINE):
        for name in line[0].split(", "):
            assert list(names[name].shape) == json.loads(line[1]), name


def test_the_example_runs_and_prints_what_it_holds(monkeypatch):
    notebook = json.loads((ROOT / "examples" / "latents.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(notebook["cells"]) < 20 and os.path.getsize(ROOT / "examples" / "latents.ipynb") < 200_000
    said, _ = run_code(["".join(cell["source"]) for cell in cells], monkeypatch)
    kept = "".join("".join(output["text"]) for cell in cells for output in cell["outputs"] if "text" in output)
    assert re.sub(r"-?\d\.\d\d", "", said) == re.sub(r"-?\d\.\d\d", "", kept)  # the numbers round differently elsewhere
