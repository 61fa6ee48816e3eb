"""Draw every figure, with all of the create_*.py in one process, which loads TensorFlow and every run once.

    python -m analysis.draw --train_dir=./checkpoints/train_store --figures=figures
"""
import glob
import importlib
import os
import sys
import traceback

from analysis import runs
from training import process
from training.progress import say


def main(words=None):
    """Call the main of every plot script. Returns 0 if all of them drew something."""
    flags = runs.parse_flags(__doc__, words)
    if not runs.runs_of(flags.train_dir):
        return 1
    failed = []
    for path in sorted(glob.glob(os.path.join(glob.escape(process.ROOT), "create_*.py"))):
        name = os.path.basename(path).removesuffix(".py")
        try:
            code = importlib.import_module(name).main([f"--train_dir={flags.train_dir}", f"--figures={flags.figures}"])
        except Exception:  # whatever it is: the others are drawn
            traceback.print_exc()
            code = 1
        if code:
            failed.append(name)
    if failed:
        say(f"not drawn: {', '.join(failed)}", sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(process.run(main))
