"""README and the example do what they say: every command is one that there is, the Python runs and prints what stands
there, every file that is named exists."""
import contextlib
import importlib
import io
import json
import re
import shlex
import subprocess

import pytest
from conftest import ROOT

import main
from analysis import runs
from training import flags, sweep

PAGES = [ROOT / "README.md", ROOT / "RESULTS.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = r"(?:    |\$ )*(?:\w+=\S* )*((?:\./|\.venv/|\.ci/|tests/|python3? |sbatch ).*)"


def commands(page):
    """The commands of a page, in its indented and its fenced blocks, as words."""
    fence = None
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            fence = None if fence is not None else line.strip("` ")
        elif fence not in (None, "python") or line.startswith("    "):
            if found := re.fullmatch(COMMAND, line):
                yield shlex.split(re.split(" [|>&]", found[1])[0], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_there_and_takes_its_flags(page):
    found = list(commands(page))
    assert len(found) > 2 or page.parent.name == "docs"
    for program, *words in found:
        if program == "./run":
            sweep.parse_sweep(main.FLAGS, [word for word in words if word != "--setup"])
        elif program == "sbatch":
            assert "run" in words
            sweep.parse_sweep(main.FLAGS, words[words.index("run") + 1:])
        elif program.startswith(("python", ".venv/bin/python")):
            file = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
            assert (ROOT / file).exists(), file
            if file == "main.py":
                flags.parse(None, main.FLAGS, words[1:])
            elif file.startswith(("create_", "analysis/")):
                table = getattr(importlib.import_module(file[:-3].replace("/", ".")), "FLAGS", runs.FLAGS)
                flags.parse(None, table, [word for word in words if word.startswith("--")])
        else:
            assert (ROOT / program).exists() or program.endswith("tensorboard"), program


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    """Or is committed: a user may have deleted figures/."""
    committed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    text = page.read_text()
    named = re.findall(r'(?:src="|\]\()([^")#]+?)["#)]', text) + re.findall(r"[\w/]+\.(?:py|md|ipynb)\b", text)
    places = [place for place in named if not place.startswith(("http", "/"))]
    assert len(places) > 10 or page.parent.name == "docs"
    for place in places:
        ways = [(folder / place).resolve() for folder in (page.parent, ROOT)]
        assert any(way.exists() or str(way.relative_to(ROOT)) in committed.stdout.splitlines() for way in ways), place


def run_code(blocks, monkeypatch):
    """Run Python blocks one after the other in the project's folder; what they print, and the names they leave."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    names, said = {}, io.StringIO()
    with contextlib.redirect_stdout(said):
        for block in blocks:
            exec(compile(block, "a block", "exec"), names)
    return said.getvalue(), names


def test_the_python_of_the_readme_prints_what_stands_there(monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    said, names = run_code(blocks, monkeypatch)
    assert said.split("\n")[:-1] == re.findall(r"^print\(.*#\s*(.*)$", "".join(blocks), re.MULTILINE) != []
    for left, shape in re.findall(r"^(.+?) = .*#\s*(\[[\d, ]*\])", "".join(blocks), re.MULTILINE):
        for name in left.split(", "):
            assert list(names[name].shape) == json.loads(shape), name


def test_the_example_runs_and_prints_what_it_holds(monkeypatch):
    notebook = json.loads((ROOT / "examples" / "latents.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    said, _ = run_code(["".join(cell["source"]) for cell in cells], monkeypatch)
    kept = "".join("".join(output["text"]) for cell in cells for output in cell["outputs"] if "text" in output)
    assert re.sub(r"-?\d\.\d\d", "", said) == re.sub(r"-?\d\.\d\d", "", kept)  # the numbers round differently elsewhere
