"""Command lines of main.py: what is understood, what is refused, and the name that a run gets."""
import os
import re
import sys

import pytest
from conftest import OF_TINY, ROOT, call, one_line, parse, script, train

import main
from training import flags as flag
from training.folder import locate

REFUSED = [
    (["--mdl=conv"], "did you mean --model"), (["--zzz"], "--help"), (["--max_steps=1"], "did you mean --max_step?"),
    (["conv"], "conv"), (["7", "--seed=3"], "unknown word 7: a flag has one value"), (["--beta"], "--beta"),
    (["--model=cnn"], "fully_connected"), (["--num_balls=7"], "from 1 to 6"), (["--num_balls=1.5"], "from 1 to 6"),
    (["--num_balls="], "from 1 to 6"), (["--beta=-1"], "from 0 on"), (["--beta=nan"], "from 0 on"),
    (["--beta=inf"], "from 0 on"), (["--beta=1e300"], "from 0 on"), (["--beta_start=0"], "above 0"),
    (["--hidden_size=10000000000000000000"], "from 1 to 100000"), (["--keep_prob=1.1"], "up to 1"),
    (["--max_step=1e5"], "a whole number"), (["--friction=maybe"], "true"), (["--seed=4294967296"], "to 2147483647"),
    (["--data_set=shapes", "--num_balls=1"], "--num_balls belongs to --data_set=balls"),
    (["--data_set=shapes", "--friction=false"], "shapes has no such flag"), (["--data_set=cars"], "shapes"),
    (["--train_dir=/proc/none/x"], "--train_dir"), (["--train_dir=/dev/null/x"], "--train_dir"),
    (["--train_dir="], "--train_dir"), (["--train_dir=a\nb"], "on one line"), (["--train_dir=\udcff"], "UTF-8"),
    (["--train_dir=" + 300 * "x"], "--train_dir"), (["--train_dir=s3://bucket/x"], "not a path on this machine"),
    (["--init_from=nowhere"], "no such folder"), (["--init_from=/dev/null"], "--init_from"),
]


@pytest.mark.parametrize("words, says", REFUSED)
def test_bad_flags_are_refused_in_one_line_and_nothing_is_made(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    call(main.main, f"--train_dir={tmp_path}/s", "--max_step=0", "--threads=1", *words, code=2)
    captured = capsys.readouterr()
    one_line(captured.err, says)
    assert not captured.out and not list(tmp_path.iterdir())


def test_bad_flags_are_refused_before_tensorflow_is_imported(tmp_path):
    """Which takes seconds; and the help is there."""
    for module in "tensorflow", "keras":
        (tmp_path / f"{module}.py").write_text(f"raise SystemExit('{module} was imported')")
    done = script("main.py", f"--init_from={tmp_path}", f"--train_dir={tmp_path}/s", code=2,
                  env={"PYTHONPATH": str(tmp_path)})
    one_line(done.stderr, "main.py: --init_from: ")
    text = " ".join(script("main.py", "--help", env={"PYTHONPATH": str(tmp_path)}).stdout.split())
    assert all(f"--{row.name} " in text for row in main.FLAGS)
    assert "5e-05 for fully_connected" in text and "default 100000" in text


def test_command_lines_of_2016(monkeypatch):
    assert parse("--model=fully_connected", "--num_balls=1", "--beta=.1", "--hidden_size=10", "--lr=.00005",
                 "--weight_init=.01") == parse("--model=fully_connected")
    expected = {"train_dir": str(ROOT / "checkpoints/train_store"), "model": "conv", "num_balls": 1, "friction": False,
                "beta": 0.1, "hidden_size": 32, "max_step": 100000, "batch_size": 128, "lr": 0.001, "keep_prob": 1.0,
                "weight_init": 0.1, "weight_decay": 0.0, "seed": 0, "optimizer": "adam", "data_set": "balls"}
    assert expected.items() <= vars(parse()).items()
    assert parse("--model=all_conv", "--lr", ".5").lr == 0.5 and parse("--model=all_conv").hidden_size == 1
    paper = parse("--model=paper", "--data_set=shapes")
    assert (paper.optimizer, paper.lr, paper.num_balls) == ("adagrad", 0.01, None)
    assert str(parse("--beta=-0.0").beta) == "0.0"
    monkeypatch.setattr(sys, "argv", ["main.py", "--beta=3", "--friction"])  # the words by default
    flags = main.parse(None, main.FLAGS)
    assert flags.beta == 3 and flags.friction


@pytest.mark.parametrize("words, name", [
    ([], "model_conv_num_balls_1_beta_0.1"),
    (["--beta=1", "--model=all_conv", "--hidden_size=1", "--lr=1e-3"], "model_all_conv_num_balls_1_beta_1.0"),
    (["--friction", "--seed=1", "--num_balls=2"], "model_conv_num_balls_2_beta_0.1_friction_seed_1"),
    (["--friction=True", "--max_step=1", "--save_every=3", "--report_every=3", "--xla=off", "--threads=1"],
     "model_conv_num_balls_1_beta_0.1_friction"),
    (["--lr=1e-4", "--hidden_size=8", "--seed=2"], "model_conv_num_balls_1_beta_0.1_hidden_size_8_lr_0.0001_seed_2"),
    (["--beta_start=20", "--init_from=/x y/a store_model/", "--batch_size=3", "--friction=false"],
     "model_conv_num_balls_1_beta_0.1_beta_start_20.0_batch_size_3_init_from_a_store_model"),
    (["--data_set=shapes", "--beta=4"], "model_conv_data_set_shapes_beta_4.0"),
])
def test_folder_is_a_function_of_the_flags(tmp_path, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for word, prefix in (None, f"{ROOT}/checkpoints/train_store_"), ("a b/c", f"{tmp_path}/a b/c_"), (
            "./-x/", f"{tmp_path}/-x/"), ("~/s", f"{tmp_path}/home/s_"), ("/x/../y", "/y_"):
        given = [f"--train_dir={word}"] * (word is not None)
        assert locate(parse(*words, *given), main.FLAGS) == prefix + name


def test_two_experiments_have_two_names_and_one_has_one():
    """Every flag of the experiment, and no other, is in the name where it is not at its default."""
    other = {"model": "all_conv", "friction": "true", "beta_start": "3", "init_from": "x", "keep_prob": "0.5",
             "optimizer": "adagrad", "data_set": "shapes", "train_dir": "x", "xla": "off", "restart": "true"}
    names = {row.name: flag.name(parse(f"--{row.name}={other.get(row.name, 5)}"), main.FLAGS) for row in main.FLAGS}
    plain = flag.name(parse(), main.FLAGS)
    for row in main.FLAGS:
        assert (names[row.name] != plain) == row.experiment, row.name
    of_experiment = [row.name for row in main.FLAGS if row.experiment]
    assert len({names[name] for name in of_experiment}) == len(of_experiment)


def test_a_name_that_would_be_too_long_fits_and_is_its_own():
    """A chain of --init_from, each with five suffixes more; letters of several bytes."""
    suffixes = ["--lr=1.2345678901234567e-05", "--batch_size=123456", "--weight_decay=0.00012345678901234567",
                "--keep_prob=0.123456789012345", "--hidden_size=12345"]
    for start in "first", "ä" * 120, "日本" * 40:
        names, previous = [], f"/x/{start}"
        for number in range(6):
            names += [flag.name(parse(*suffixes, f"--init_from={previous}{end}", f"--seed={number}"), main.FLAGS)
                      for end in "ab"]
            previous = f"/x/train_store_{names[-1]}"
        assert len(set(names)) == len(names)
        for name in names:  # a folder's, moved aside, and a figure's
            assert len(f"train_store_{name}.old-99".encode()) < 255 and name.startswith("model_conv_num_balls_1_beta")
            assert os.fsencode(name).decode() == name


@pytest.mark.parametrize("given, says", [
    ({"model": "all_conv", "keep_prob": 0.5, "weight_init": 0.1}, ["--keep_prob=0.5"]),
    ({"model": "all_conv", "weight_init": 0.5, "beta_steps": 3}, ["--weight_init=0.5", "--beta_steps=3"]),
    ({"weight_init": 0.5, "beta_steps": 3, "beta_start": 2}, [])])
def test_flags_that_change_nothing_warn(tiny, tmp_path, capsys, given, says):
    path = train(tmp_path / "s", **{**OF_TINY, "max_step": 0, **given})
    for text in capsys.readouterr().err, (path / "log.txt").read_text():
        assert re.findall(r"(\S+) changes nothing", text) == says


def test_opencv_without_a_screens_libraries(tmp_path, monkeypatch, capsys):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    train(tmp_path / "s", code=2)
    one_line(capsys.readouterr().err, "libGL.so.1", "libgl1")
    assert not list(tmp_path.glob("s_*"))
