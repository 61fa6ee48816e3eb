"""Command lines of main.py: what is understood, what is refused, and the name that a run gets."""
import sys

import pytest
from conftest import ROOT, call, one_line, script, train

import main
from training import flags as flag
from training.folder import locate

REFUSED = [
    (["--mdl=conv"], "did you mean --model"), (["--bet=1"], "did you mean --beta"), (["--max_steps=1"], "--max_step?"),
    (["--zzz"], "--help"), (["--radius=1"], "--help"), (["conv"], "conv"), (["--"], "--"),
    (["--model=cnn"], "fully_connected"), (["--num_balls=0"], "from 1 to 6"), (["--num_balls=7"], "from 1 to 6"),
    (["--num_balls=1.5"], "from 1 to 6"), (["--num_balls="], "from 1 to 6"), (["--beta=-1"], "from 0 on"),
    (["--beta=nan"], "from 0 on"), (["--beta=inf"], "from 0 on"), (["--beta=x"], "--beta"), (["--beta"], "--beta"),
    (["--beta_start=0"], "above 0"), (["--beta_start=none"], "above 0"), (["--beta_steps=0"], "from 1 on"),
    (["--batch_size=0"], "from 1 to 1000000"), (["--hidden_size=0"], "from 1 to 100000"),
    (["--batch_size=10000000000000000000"], "from 1 to"), (["--hidden_size=10000000000000000000"], "from 1 to"),
    (["--threads=1000000000000"], "from 0 to 1000"), (["--weight_init=1e300"], "above 0"),
    (["--beta=1e300"], "from 0 on"), (["--keep_prob=0"], "above 0"),
    (["--keep_prob=1.1"], "up to 1"), (["--lr=0"], "above 0"), (["--max_step=-5"], "from 0 on"),
    (["--max_step=1e5"], "a whole number"), (["--friction=maybe"], "true"), (["--seed=-1"], "from 0"),
    (["--seed=4294967296"], "to 2147483647"), (["--weight_decay=-1"], "from 0 on"), (["--xla=maybe"], "auto"),
    (["--save_every=0"], "from 1 on"), (["--report_every=0"], "from 1 on"), (["--threads=-1"], "from 0 to"),
    (["--train_dir=/proc/none/x"], "--train_dir"), (["--train_dir=/dev/null/x"], "--train_dir"),
    (["--train_dir="], "--train_dir"), (["--train_dir=a\nb"], "--train_dir"), (["--train_dir=\udcff"], "--train_dir"),
    (["--train_dir=" + 300 * "x"], "--train_dir"), (["--init_from="], "--init_from"),
    (["--init_from=nowhere"], "no such folder"), (["--init_from=/dev/null"], "--init_from"),
    (["7", "--seed=3"], "unknown word 7: a flag has one value"),
]


@pytest.mark.parametrize("words, says", REFUSED)
def test_bad_flags_are_refused_in_one_line_and_nothing_is_made(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    call(main.main, "--threads=1", *words, code=2)
    captured = capsys.readouterr()
    one_line(captured.err, says, words[0].split("=")[0].split("\n")[0].encode("utf-8", "ignore").decode())
    assert not captured.out or "loading" in captured.out
    assert not list(tmp_path.iterdir())


def test_bad_flags_are_refused_before_tensorflow_is_imported(tmp_path):
    """Which takes seconds."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')")
    (tmp_path / "keras.py").write_text("raise SystemExit('Keras was imported')")
    for words in ["--bet=1"], [f"--init_from={tmp_path}"]:
        done = script("main.py", *words, f"--train_dir={tmp_path}/s", code=2, env={"PYTHONPATH": str(tmp_path)})
        one_line(done.stderr, "main.py: ", "--")
        assert not done.stdout
    assert script("main.py", "--help", env={"PYTHONPATH": str(tmp_path)}).stdout.startswith("usage: main.py")


def test_a_guess_is_made_only_when_it_is_near(capsys):
    for word, near in (("--radius", None), ("--gravity", None), ("--epochs", None), ("--learning_rate", None),
                       ("--Beta", "beta"), ("--num_ball", "num_balls"), ("--batchsize", "batch_size"),
                       ("--hiden_size=3", "hidden_size"), ("--betas", "beta")):
        call(main.main, word, code=2)
        one_line(capsys.readouterr().err, f"did you mean --{near}?" if near else "--help lists the flags", word)


def test_help_names_every_flag(capsys):
    call(main.main, "--help")
    text = capsys.readouterr().out
    for row in main.FLAGS:
        assert f"--{row.name} " in text
    assert "5e-05 for fully_connected" in text and "default 100000" in text


def test_command_lines_of_2016():
    def parse(*words):
        return main.parse(None, main.FLAGS, words)
    assert parse("--model=fully_connected", "--num_balls=1", "--beta=.1", "--hidden_size=10", "--lr=.00005",
                 "--weight_init=.01") == parse("--model=fully_connected")
    expected = {"train_dir": "./checkpoints/train_store", "model": "conv", "num_balls": 1, "friction": False,
                "beta": 0.1, "hidden_size": 32, "max_step": 100000, "batch_size": 128, "lr": 0.001, "keep_prob": 1.0,
                "weight_init": 0.1, "weight_decay": 0.0, "seed": 0}
    assert expected.items() <= vars(parse()).items()
    assert parse("--model=all_conv").hidden_size == 1
    assert parse("--model=all_conv", "--lr", ".5").lr == 0.5
    assert parse("--beta=-0.0").beta == 0 and str(parse("--beta=-0.0").beta) == "0.0"


def test_the_words_are_this_processs_by_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py", "--beta=3", "--friction"])
    flags = main.parse(None, main.FLAGS)
    assert flags.beta == 3 and flags.friction


@pytest.mark.parametrize("words, folder", [
    ([], "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1"),
    (["--beta=1", "--model=all_conv"], "./checkpoints/train_store_model_all_conv_num_balls_1_beta_1.0"),
    (["--friction", "--seed=1", "--num_balls=2"],
     "./checkpoints/train_store_model_conv_num_balls_2_beta_0.1_friction_seed_1"),
    (["--friction=false", "--train_dir=a b/c"], "a b/c_model_conv_num_balls_1_beta_0.1"),
    (["--friction=True", "--max_step=1", "--save_every=3", "--report_every=3", "--xla=off", "--threads=1"],
     "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1_friction"),
    (["--lr=.01"], "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1_lr_0.01"),
    (["--lr=1e-4", "--hidden_size=8", "--seed=2"],
     "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1_hidden_size_8_lr_0.0001_seed_2"),
    (["--model=all_conv", "--hidden_size=1", "--lr=0.001"],
     "./checkpoints/train_store_model_all_conv_num_balls_1_beta_0.1"),
    (["--beta_start=20", "--init_from=/x y/a store_model/", "--batch_size=3"],
     "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1_beta_start_20.0_batch_size_3_init_from_a_store_model"),
])
def test_folder_is_a_function_of_the_flags(words, folder):
    assert locate(main.parse(None, main.FLAGS, words), main.FLAGS) == folder


def test_a_long_value_is_cut_in_the_name_but_still_tells_two_apart():
    """As where a run started from one that started from another."""
    names = [flag.name(main.parse(None, main.FLAGS, [f"--init_from={100 * 'ab'}{end}"]), main.FLAGS) for end in "ab"]
    assert names[0] != names[1] and all(len(name) < 150 and 15 * "ab" in name for name in names)


def test_every_flag_of_the_experiment_has_a_suffix_and_no_other():
    """Two values of any flag of the experiment are two runs; of any other, the same one."""
    other = {"model": "all_conv", "friction": "true", "beta_start": "3", "init_from": "x", "keep_prob": "0.5",
             "train_dir": flag.TRAIN_DIR, "xla": "off", "restart": "true"}
    plain = flag.name(main.parse(None, main.FLAGS, []), main.FLAGS)
    for row in main.FLAGS:
        flags = main.parse(None, main.FLAGS, [f"--{row.name}={other.get(row.name, 5)}"])
        assert (flag.name(flags, main.FLAGS) != plain) == row.experiment, row.name


def test_a_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = main.parse(None, main.FLAGS, ["--train_dir=~/s", "--init_from=~/t"])
    assert flags.train_dir == f"{tmp_path}/s" and flags.init_from == f"{tmp_path}/t"


@pytest.mark.usefixtures("tiny")
def test_flags_that_change_nothing_warn(tmp_path, capsys):
    path = train(tmp_path / "s", model="all_conv", batch_size=4, max_step=0, keep_prob=0.5, weight_init=0.1)
    assert "--keep_prob=0.5 changes nothing" in (text := capsys.readouterr().out)
    assert "weight_init" not in text and "beta_steps" not in text and text.splitlines()[1:] == [
        line for line in (path / "log.txt").read_text().splitlines() if not line.startswith("--model=")]
    train(tmp_path / "t", model="all_conv", batch_size=4, max_step=0, weight_init=0.5, beta_steps=3)
    assert "--weight_init=0.5 changes nothing" in (text := capsys.readouterr().out)
    assert "--beta_steps=3 changes nothing" in text
    train(tmp_path / "u", model="tiny", batch_size=4, max_step=0, weight_init=0.5, beta_steps=3, beta_start=2)
    assert "changes nothing" not in capsys.readouterr().out


def test_opencv_without_a_screens_libraries(tmp_path, monkeypatch, capsys):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    train(tmp_path / "s", code=2)
    one_line(capsys.readouterr().err, "libGL.so.1", "libgl1")
    assert not list(tmp_path.glob("s_*"))


def test_scripts_are_found_under_safepath():
    """PYTHONSAFEPATH=1 keeps a script's folder out of Python's path: every script puts it back by itself."""
    for path in ROOT.glob("*.py"):
        text = path.read_text()
        if "from training" in text or "from analysis" in text:
            assert text.index("sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))") < min(
                text.find(word) for word in ("from training", "from analysis", "import architecture") if word in text)
