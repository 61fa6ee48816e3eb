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
from conftest import HANG, ROOT, losses

from training import checkpoints

TOOLS = "munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol"
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
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
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="Slurm is not installed: apt install slurm-wlm munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd needs root"),
]


def wait(condition, said):
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end, [path.read_text()[-2000:] for path in said()]
        time.sleep(0.2)


@pytest.fixture
def slurm():
    """A Slurm of one node; yields a function that runs one of its commands."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has 107 characters at most
    host = socket.gethostname().split(".")[0]
    (home / "key").write_bytes(os.urandom(128))
    (home / "key").chmod(0o400)
    for folder in "state", "spool":
        (home / folder).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    (home / "slurm.conf").write_text(CONF.format(host=host, home=home, ports=ports, cores=os.cpu_count()))
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
        wait((home / "munge").exists, lambda: home.glob("*.log"))
        serve("slurmctld", "-D", "-c")
        serve("slurmd", "-D", "-N", host)
        wait(lambda: subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True).stdout ==
             "idle\n", lambda: home.glob("*.log"))
        yield command
    finally:
        subprocess.run(["scancel", "--user=root"], env=env)
        time.sleep(1)
        for server in reversed(servers):
            server.terminate()
            server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def test_an_array_with_a_requeued_task(slurm, tmp_path):
    """A task of the array is requeued in mid-training, and resumes."""
    flags = "--batch_size=4", "--save_every=25", "--threads=1"
    job = slurm("sbatch", "--parsable", "--array=6", "--requeue", f"--output={tmp_path}/%a.txt", "--open-mode=append",
                "run", f"--train_dir={tmp_path}/s", "--max_step=4000", "--restart", *flags).strip()
    path = tmp_path / "s_model_conv_num_balls_1_beta_0.1_batch_size_4"

    def wait_until(condition):
        wait(condition, lambda: tmp_path.glob("*.txt"))

    def log():
        return (path / "log.txt").read_text()

    wait_until(lambda: list(path.glob("ckpt-*.npz")))
    slurm("scontrol", "requeue", f"{job}_6")
    wait_until(lambda: "stopped by SIGTERM" in log())
    stopped_at = checkpoints.newest(str(path))[0]
    wait_until(lambda: "PENDING" in slurm("squeue", "-h", "-o", "%T", f"--jobs={job}_6"))
    slurm("scontrol", "update", f"JobId={job}_6", "StartTime=now")  # Slurm would wait two minutes
    wait_until(lambda: f"resumed from step {stopped_at}" in log() and checkpoints.newest(str(path))[0] > stopped_at)
    slurm("scancel", job)
    wait_until(lambda: log().count("stopped by SIGTERM") == 2 and not slurm("squeue", "-h").strip())
    said = (tmp_path / "6.txt").read_text()
    assert said.count("run: task 6: trains") == 2
    assert said.count("(SLURM_RESTART_COUNT): it resumes, without --restart") == 1
    assert 0 < stopped_at < checkpoints.newest(str(path))[0] < 4000
    steps = [row[0] for row in losses(path)]
    assert steps == sorted(set(steps))
