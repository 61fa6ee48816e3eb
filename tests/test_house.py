"""The house itself: sources that compile, no circle of imports, sizes, no number told twice, shell scripts."""
import ast
import graphlib
import io
import pathlib
import re
import shutil
import subprocess
import tokenize
import warnings

import pytest
from conftest import ROOT

from training.seeds import Evaluation, Purpose

SHELL = ["run", "tests/run", ".ci/run"]
CODE = sorted([*ROOT.glob("*.py"), *ROOT.glob("training/*.py"), *ROOT.glob("analysis/*.py")])
ALL = sorted([*CODE, *ROOT.glob("benchmarks/*.py"), *ROOT.glob("tests/*.py")])


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def name_of(path):
    return str(path.relative_to(ROOT))


SOURCES = {module_of(path): ast.parse(path.read_text()) for path in CODE}


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_it_compiles_without_a_warning_and_says_what_it_is(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = ast.parse(path.read_text())
        compile(path.read_text(), path, "exec")
    assert ast.get_docstring(tree) or not tree.body, "no docstring"


def imports(tree):
    """Modules of the project that a source imports, at its top or in a function."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" if f"{node.module}.{name.name}" in SOURCES else node.module
                      for name in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Lazy":
            found.add(node.args[0].value)
    return found & set(SOURCES)


def test_no_circle_of_imports():
    order = list(graphlib.TopologicalSorter({name: imports(tree) for name, tree in SOURCES.items()}).static_order())
    assert len(order) == len(CODE)
    with pytest.raises(graphlib.CycleError):  # as this finds one
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    assert {"architecture", "ball_generator", "training.records"} <= imports(SOURCES["training.run"]) | imports(
        SOURCES["training.records"]) | imports(SOURCES["main"])


def test_imports_go_one_way():
    assert not imports(SOURCES["architecture"]) and not imports(SOURCES["ball_generator"])
    for module, tree in SOURCES.items():
        for other in imports(tree):
            if module.startswith("training"):
                assert not other.startswith(("analysis", "create_")) and (other != "main" or module == "training.sweep")
            if module.startswith("analysis"):
                assert not other.startswith(("create_", "main"))


def test_imports_stand_at_the_top():
    inside = [f"{module}: {ast.unparse(node)}" for module, tree in SOURCES.items()
              for function in ast.walk(tree) if isinstance(function, (ast.FunctionDef, ast.Lambda))
              for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
              or isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module"]
    assert len(inside) <= 5, inside


@pytest.mark.parametrize("path", [*CODE, ROOT / "run"], ids=name_of)
def test_sizes(path):
    limit = 70 if path.name == "run" else 120 if path.name.startswith("create_") else 250
    assert len(path.read_text().splitlines()) <= limit


def test_size_of_the_readme():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 170 and len(text.split()) <= 2000


def demo(tree):
    """Lines of a source's `if __name__` block."""
    return {line for node in tree.body if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
            for line in range(node.lineno, node.end_lineno + 1)}


def test_sizes_of_images_are_told_once():
    """In ball_generator. The 32s that are something else are these."""
    others = {"architecture": ["\"hidden_size\": 32"], "analysis.reconstruction": ["FRAMES = 100, 32"],
              "create_beta_images": ["OVERVIEW"]}
    for path in CODE:
        module = module_of(path)
        if module == "ball_generator":
            continue
        lines, skipped = path.read_text().splitlines(), demo(SOURCES[module])
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.NUMBER and token.string in ("32", "1024", "3072") and (
                    token.start[0] not in skipped):
                line = lines[token.start[0] - 1]
                assert any(known in line for known in others.get(module, [])), f"{path}: {line.strip()}"


def test_nothing_in_a_run_folder_can_execute():
    """What is read of it: JSON, CSV, sums, TensorFlow's tensor files; no pickle, no Keras file, no eval."""
    calls = {ast.unparse(node.func) for tree in SOURCES.values() for node in ast.walk(tree)
             if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "pickle.load", "pickle.loads", "np.load", "compile", "marshal.load",
                        "keras.models.load_model", "keras.saving.load_model", "tf.saved_model.load", "os.system"}
    assert not any("pickle" in line for path in CODE for line in path.read_text().splitlines() if "import" in line)


def test_habits():
    for module, tree in SOURCES.items():
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"bare except in {module}"
            assert "nan_to_num" not in getattr(node, "attr", ""), module
    for path in CODE:  # the field's words
        found = re.findall(r"\bpictures?\b|nats a |\bthe way of 2016\b", path.read_text())
        assert not found, f"{path}: {found}"


def test_random_numbers_of_two_purposes_never_meet():
    values = [purpose.value for purpose in Purpose]
    assert len(set(values)) == len(values) and max(values) < 16
    assert min(Evaluation) >= 100 and len({kind.seed for kind in Evaluation}) == len(Evaluation)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not there: apt install shellcheck")
def test_shell_scripts():
    done = subprocess.run(["shellcheck", *SHELL], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stdout


def test_shell_scripts_are_executable_and_end_lines_as_bash_wants():
    for name in SHELL:
        path = ROOT / name
        assert path.stat().st_mode & 0o111 and b"\r" not in path.read_bytes()
        assert path.read_bytes().startswith(b"#!/usr/bin/env bash\n")
    rules = (ROOT / ".gitattributes").read_text().splitlines()
    assert any(rule.split()[0] == "*" and "eol=lf" in rule for rule in rules if rule)


def test_tests_can_be_found():
    """pytest takes files named test_*.py alone: none of the others has tests."""
    for path in ROOT.glob("tests/*.py"):
        if not path.name.startswith("test_"):
            assert not re.search(r"^def test_", path.read_text(), re.M), path
    assert pathlib.Path(__file__).name.startswith("test_")
