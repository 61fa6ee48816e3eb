"""The house itself: imports that go one way, random numbers that never meet, shell scripts."""
import ast
import itertools
import shutil
import subprocess

import pytest
from conftest import ROOT

from training.seeds import Evaluation, Purpose, graph_seed

CODE = sorted([*ROOT.glob("*.py"), *ROOT.glob("training/*.py"), *ROOT.glob("analysis/*.py")])
SHELL = "run", "tests/run", ".ci/run"


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_of(path): ast.parse(path.read_text()) for path in CODE}


def imports(tree):
    """What a source imports, at its top or in a function. Of `from package import module`, the module; the package
    itself, and so its __init__, where the name is not a module's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in SOURCES else node.module


def test_imports_go_one_way():
    """Nothing imports main.py; what makes data and models imports no more than it needs."""
    graph = {name: set(imports(tree)) & set(SOURCES) for name, tree in SOURCES.items()}
    assert not graph["architecture"] and graph["ball_generator"] | graph["shape_generator"] <= {"factors"}
    for name, others in graph.items():
        above = ("main", "create_") if name.startswith("analysis") else ("main", "create_", "analysis")
        if not name.startswith("create_"):
            assert not [other for other in others if other.startswith(above)], name
        assert "main" not in others, name


def test_random_numbers_of_two_purposes_never_meet():
    seeds = [graph_seed(seed, purpose) for seed in range(100) for purpose in Purpose.__members__.values()]
    assert len(set(seeds)) == len(seeds)
    trajectories = [(0, Purpose.EVALUATION, number) for number in range(100)]
    seeds = [*trajectories, *(kind.seed for kind in Evaluation.__members__.values())]
    assert not any(one == other for one, other in itertools.combinations(seeds, 2))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not there: apt install shellcheck")
def test_shell_scripts():
    done = subprocess.run(["shellcheck", *SHELL], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stdout
    for name in SHELL:
        assert (ROOT / name).stat().st_mode & 0o111 and b"\r" not in (ROOT / name).read_bytes()
