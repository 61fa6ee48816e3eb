"""What a figure needs around it: trained models, what is measured of them, and how that is drawn. `load` gives a
trained model back, in a notebook too."""
from analysis.loader import load

__all__ = ["load"]
