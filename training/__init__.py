"""What a training needs around it, and `load`, which gives a trained model back."""
from training.loader import load

__all__ = ["load"]
