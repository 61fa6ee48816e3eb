"""Programs that only tell what they would do, sweeps whose trainings they are, and the window they are watched in."""
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

from conftest import HANG, ROOT

PYTHON = sys.executable  # which tests set to a made-up one


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(0o755)
    return path


def fake(folder, text, otherwise=""):
    """A bash script in place of Python: as main.py it is the text, all else comes to nothing."""
    return executable(folder / "python", f"if [[ $1 == {ROOT}/main.py ]]; then {text}\nelse :; {otherwise}\nfi")


def run(*words, code=0, script=ROOT / "run", env=None, shell=(), **kwargs):
    """./run to its end, with this Python or what env says; a variable that is None in env is unset."""
    env = {**os.environ, "PYTHON": PYTHON, **(env or {})}
    done = subprocess.run([*shell, script, *words], capture_output=True, text=True, timeout=HANG,
                          env={key: str(value) for key, value in env.items() if value is not None}, **kwargs)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def begin(python, *words, **kwargs):
    """A sweep whose trainings are those of a made-up Python, started."""
    code = f"""import sys
import main
from training import process, sweep
sys.executable = {str(python)!r}
sys.exit(process.run(lambda: sweep.main(main.FLAGS)))"""
    return subprocess.Popen([PYTHON, "-c", code, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "JOBS": "2"}, start_new_session=True, **kwargs)


def wait(condition, running=None):
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end and (running is None or running.poll() is None)
        time.sleep(0.05)


def window(columns):
    """A terminal of so many columns: the end that is read, without waiting, and the one that is written to."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.set_blocking(ours, False)
    return ours, its


def shown(ours):
    """What was written since one last looked."""
    said = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            said += part
    return said.decode(errors="replace")


def told(output):
    """The lines after "run: failed:"."""
    return [line for line in output.partition("run: failed:\n")[2].splitlines() if not line.startswith("run: ")]
