"""benchmarks/starts.py: what becomes of a code is told checkpoint by checkpoint."""
import shutil

from benchmarks import starts
from training import checkpoints, load


def test_each_checkpoint_has_its_own_latents(trained, tmp_path):
    def only(*steps):
        """The run's folder with these checkpoints of its 30."""
        path = tmp_path / "_".join(map(str, steps)) / trained.name
        shutil.copytree(trained, path)
        for step in set(checkpoints.steps(path)) - set(steps):
            for file in path.glob(f"ckpt-{step}.*"):
                file.unlink()
        return str(path)

    points = starts.follow(only(10, 300))["points"]
    active = [len(load(only(step)).active) for step in (10, 300)]
    assert [(point["step"], point["active_latents"]) for point in points] == list(zip((10, 300), active, strict=True))
    assert active[0] != active[1] and points[1]["reconstruction"] < points[0]["reconstruction"]
