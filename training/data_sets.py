"""The data sets: one record each, a frozen dataclass whose fields are the flags that belong to it.

    data = data_set_of(flags)

A new record is a new data set: it trains, is scored and drawn. What one answers:

    key, words              in the names of figures and in analysis/published_results.json; in titles
    picture                 in the name of a picture of it, real_<picture>.jpg
    image_shape             (n, n, channels), n a multiple of 8
    state_shape             of a state, the numbers that an image is rendered from
    constants()             name -> number: a run is not resumed, nor loaded, with others
    simulate(seeds, frames) states in float32 [len(seeds), frames, *state_shape]; a batch of a training is one seed's
    render(states)          images [..., *image_shape], from 0 to 1; a TensorFlow graph of states [..., *state_shape]
    draw(seed, n)           states [n, *state_shape], each by itself: what scores and maps are over
    factors                 a Factor each of what there is to find in an image
    factors_of(states)      their values [n, factors]
    pairs(seed, n)          two sets of n states that differ in one factor, and its number [n]; None: there are none
    views                   a View each of the planes and lines over which a latent's mean is drawn
    examples                factor's name -> two states that differ in it alone, as icons of figures; may be empty
"""
import dataclasses

from ball_generator import Balls
from shape_generator import Shapes

DATA_SETS = {"balls": Balls, "shapes": Shapes}


def flags_of(data_set):
    """The names of the flags that belong to a data set."""
    return [field.name for field in dataclasses.fields(DATA_SETS[data_set])]


def data_set_of(flags):
    """The record of the data set that flags name."""
    return DATA_SETS[flags.data_set](**{name: getattr(flags, name) for name in flags_of(flags.data_set)})
