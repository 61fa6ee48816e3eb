"""sbatch --array run, with a real Slurm: one node, this machine, started for the test."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest
from conftest import HANG, ROOT, losses, same, script

from training import checkpoints

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="Slurm is not installed: apt install slurm-wlm munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd needs root"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def slurm():
    """A Slurm of one node; yields a function that runs one of its commands."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has 107 characters at most
    host = socket.gethostname().split(".")[0]
    (home / "key").write_bytes(os.urandom(128))
    (home / "key").chmod(0o400)
    (home / "slurm.conf").write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
AuthInfo=socket={home}/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
""")
    for folder in "state", "spool":
        (home / folder).mkdir()
    env = {**os.environ, "SLURM_CONF": f"{home}/slurm.conf", "PYTHON": sys.executable}
    servers = []

    def serve(*command):
        log = open(home / f"{command[0]}.log", "wb")
        servers.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))

    def command(*words):
        return subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        serve("munged", "--foreground", "--force", f"--socket={home}/munge", f"--key-file={home}/key",
              f"--pid-file={home}/munged.pid", f"--seed-file={home}/seed")
        time.sleep(1)
        serve("slurmctld", "-D", "-c")
        serve("slurmd", "-D", "-N", host)
        end = time.monotonic() + HANG
        while subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True).stdout != "idle\n":
            assert time.monotonic() < end, [(path, path.read_text()[-2000:]) for path in home.glob("*.log")]
            time.sleep(0.5)
        yield command
    finally:
        subprocess.run(["scancel", "--user=root"], env=env)
        time.sleep(1)
        for server in reversed(servers):
            server.terminate()
            server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def test_an_array_with_a_requeued_task(slurm, tmp_path):
    """Two tasks of the array; one is requeued in mid-training and ends as if it had never been."""
    flags = ("--batch_size=4", "--save_every=25", "--threads=1")
    job = slurm("sbatch", "--parsable", "--array=6,12", "--requeue", f"--output={tmp_path}/%a.txt", "run",
                f"--train_dir={tmp_path}/s", "--max_step=4000", *flags).strip()
    conv, all_conv = (tmp_path / f"s_model_{model}_num_balls_1_beta_0.1_batch_size_4"
                      for model in ("conv", "all_conv"))
    end = time.monotonic() + HANG

    def wait(condition):
        while not condition():
            assert time.monotonic() < end, [path.read_text() for path in tmp_path.glob("*.txt")]
            time.sleep(0.2)

    wait(lambda: list(conv.glob("ckpt-*.npz")) and list(all_conv.glob("ckpt-*.npz")))
    slurm("scontrol", "requeue", f"{job}_6")
    wait(lambda: "stopped by SIGTERM" in (conv / "log.txt").read_text())
    stopped_at = checkpoints.newest(str(conv))[0]
    assert 0 < stopped_at < 4000
    wait(lambda: "PENDING" in slurm("squeue", "-h", "-o", "%T", f"--jobs={job}_6"))
    slurm("scontrol", "update", f"JobId={job}_6", "StartTime=now")  # Slurm would wait two minutes
    wait(lambda: f"resumed from step {stopped_at}" in (conv / "log.txt").read_text())
    wait(lambda: checkpoints.newest(str(conv))[0] > stopped_at)
    slurm("scancel", job)
    wait(lambda: (conv / "log.txt").read_text().count("stopped by SIGTERM") == 2)
    wait(lambda: not slurm("squeue", "-h").strip())

    last = checkpoints.newest(str(conv))[0]
    script("main.py", f"--train_dir={tmp_path}/unbroken", f"--max_step={last}", *flags)
    unbroken = tmp_path / "unbroken_model_conv_num_balls_1_beta_0.1_batch_size_4"
    assert same(conv, unbroken, last)
    assert [row[:3] for row in losses(conv)] == [row[:3] for row in losses(unbroken)]
    assert "stopped by SIGTERM" in (all_conv / "log.txt").read_text()
