"""What a training needs around it, and `load`, which gives a trained model back."""
from training import process  # first: with it, Ctrl-C is a stop

# isort: split
from training.loader import load

__all__ = ["load", "process"]
