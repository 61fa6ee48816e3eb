"""Something happens to a run, by chance; then the same command trains on, and ends as if nothing had been, or refuses
in a line and changes nothing: bytes into its files, signals, settings of the environment. All of it is a function of
the trial's number."""
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import HANG, ROOT, listing, losses, resume, same, script, start

CONV = ("--model=conv", "--batch_size=4", "--max_step=60", "--save_every=7", "--report_every=1000", "--threads=1")
NAME = "model_conv_num_balls_1_beta_0.1_batch_size_4"
ENVIRONMENT = [
    {"MPLBACKEND": "Qt4Agg"}, {"MPLBACKEND": "module://not_there"}, {"MATPLOTLIBRC": "text.usetex: True"},
    {"KERAS_HOME": '{"image_data_format": "channels_first"}'}, {"KERAS_HOME": "no JSON"},
    {"KERAS_HOME": '{"floatx": "float16", "epsilon": 1.0, "backend": "jax"}'}, {"KERAS_BACKEND": "numpy"},
    {"PYTHONSAFEPATH": "1"}, {"PYTHONOPTIMIZE": "2"}, {"COLUMNS": "0", "LINES": "0"}, {"LANG": "C", "LC_ALL": "C"},
    {"TERM": "dumb"}, {"HOME": None}, {"PATH": "/nowhere"}, {"TMPDIR": "/nowhere"}, {"RUN_SWEEP": "x y"},
    {"JOBS": "-3"}, {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, {"TF_CPP_MIN_LOG_LEVEL": "0"},
    {"TF_USE_LEGACY_KERAS": "1"}, {"TF_XLA_FLAGS": "--bogus"}]


def spoil(path, chance):
    """Do something to a file's bytes."""
    content = bytearray(path.read_bytes())
    place, junk = chance.randrange(len(content) + 1), chance.randbytes(chance.randint(1, 200))
    deed = chance.choice(["delete", "empty", "cut", "flip", "insert", "append", "replace"])
    if deed == "delete":
        path.unlink()
        return deed
    if deed == "flip" and content:
        content[place % len(content)] ^= 1 << chance.randrange(8)
    changed = {"empty": b"", "cut": content[:place], "flip": content, "append": content + junk,
               "insert": content[:place] + junk + content[place:],
               "replace": content[:place] + junk + content[place + len(junk):]}
    path.write_bytes(changed[deed])
    return deed


@pytest.mark.parametrize("number", [n if n < 10 else pytest.param(n, marks=pytest.mark.long) for n in range(150)])
def test_bytes_into_its_files(short, unbroken, capfd, number):
    chance = random.Random(number)
    files = sorted(path for path in short.iterdir() if path.is_file())
    deeds = [f"{path.name}: {spoil(path, chance)}" for path in chance.sample(files, chance.randint(1, 3))]
    before = listing(short)
    capfd.readouterr()
    try:
        resume(short)
    except AssertionError as error:
        assert "exit code 2" in str(error), deeds
        said = [line for line in capfd.readouterr().err.splitlines() if "is damaged" not in line]
        assert len(said) == 1 and str(short) in said[0], (deeds, said)
        assert listing(short) == before, deeds
        return
    assert "Traceback" not in capfd.readouterr().err, deeds
    assert same(short, unbroken), deeds
    steps = [row[0] for row in losses(short)]
    assert steps == sorted(set(steps)) and steps[-1] == 40, deeds


@pytest.fixture(scope="module")
def conv(tmp_path_factory):
    """Folder of an unbroken run of conv."""
    home = tmp_path_factory.mktemp("conv")
    script("main.py", f"--train_dir={home}/store", *CONV)
    return home / f"store_{NAME}"


@pytest.mark.long
@pytest.mark.parametrize("number", range(15))
def test_signals(tmp_path, conv, number):
    """Up to three signals at any moment, each to a run that the one before has stopped."""
    chance = random.Random(f"signal {number}")
    for _ in range(chance.randint(1, 3)):
        process = start(f"--train_dir={tmp_path}/store", *CONV)
        time.sleep(chance.uniform(0, 8))
        sent = chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGKILL])
        process.send_signal(sent)
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode in (0, -sent, 128 + sent) and "Traceback" not in errors, (sent, errors)
    script("main.py", f"--train_dir={tmp_path}/store", *CONV)
    assert same(tmp_path / f"store_{NAME}", conv)


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(ENVIRONMENT)))
def test_the_environment(tmp_path, conv, number):
    """A run begun under a setting, stopped and resumed without, ends as any other."""
    env = dict(os.environ)
    for key, value in ENVIRONMENT[number].items():
        if key in ("KERAS_HOME", "MATPLOTLIBRC"):  # folders or files that hold it
            (tmp_path / {"KERAS_HOME": "keras.json", "MATPLOTLIBRC": "matplotlibrc"}[key]).write_text(value)
            value = str(tmp_path)
        env.pop(key, None)
        env.update({key: value} if value is not None else {})
    done = subprocess.run([sys.executable, str(ROOT / "main.py"), f"--train_dir={tmp_path}/store", *CONV,
                           "--max_step=30"], env=env, capture_output=True, text=True, timeout=HANG)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:  # as TensorFlow ends the process for flags that it does not know: it says why
        assert "bogus" in done.stderr, (done.returncode, done.stderr)
    script("main.py", f"--train_dir={tmp_path}/store", *CONV)
    assert same(tmp_path / f"store_{NAME}", conv)
