"""Draw every figure, with all of the create_*.py in one process, which loads TensorFlow and every run once.

    python create_all.py --train_dir=./checkpoints/train_store --figures=figures
"""
import sys
import traceback

import create_beta_images
import create_cool_images
import create_disentanglement_graphs
import create_error_graph
import create_explorer
import create_reconstruction_images
import create_stddev_graphs
import create_training_curves
from analysis import runs
from training import process
from training.progress import say

SCRIPTS = (create_error_graph, create_stddev_graphs, create_training_curves, create_disentanglement_graphs,
           create_cool_images, create_beta_images, create_reconstruction_images, create_explorer)


def main(words=None):
    """Call the main of every plot script. Returns 0 if all of them drew something that they can draw."""
    flags = runs.parse_flags(__doc__, words)
    if not runs.runs_of(flags.train_dir):
        return 1
    failed = []
    for script in SCRIPTS:
        try:
            code = script.main([*(f"--train_dir={place}" for place in flags.train_dir), f"--figures={flags.figures}"])
        except Exception:  # whatever it is: the others are drawn
            traceback.print_exc()
            code = 1
        if code and code != create_explorer.NONE_KNOWN:  # of which it has told
            failed.append(script.__name__)
    if failed:
        say(f"not drawn: {', '.join(failed)}", sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(process.run(main))
