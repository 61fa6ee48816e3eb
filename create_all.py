"""Draw every figure, with all of the create_*.py in one process, which loads TensorFlow and every run once.

    python create_all.py --train_dir=./checkpoints/train_store --figures=figures
"""
import sys
import time
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
    """Returns 0 if every script drew something, or, as the explorer may, said that it can draw none of these runs."""
    flags = runs.parse_flags(__doc__, words)
    found = runs.runs_of(flags.train_dir)
    failed = []
    for script in SCRIPTS if found else ():
        began, drawn = time.perf_counter(), False
        try:
            with process.default_style():
                drawn = script.draw_all(found, flags.figures) or script is create_explorer
        except Exception:  # whatever it is: the others are drawn
            traceback.print_exc()
        say(f"{script.__name__}.py: {time.perf_counter() - began:.0f} s")
        if not drawn:
            failed.append(script.__name__)
    if failed:
        say(f"not drawn: {', '.join(failed)}", sys.stderr)
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(process.run(main))
