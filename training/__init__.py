"""What a training needs around it, and `load`, which gives a trained model back."""
import training.process  # noqa: F401 - first: with it, Ctrl-C is a stop

# isort: split
from training.loader import load

__all__ = ["load"]
