"""What each random number is for. Every seed is (seed, purpose, step), so that a random number is a function of these
alone: a run that was stopped and resumed draws what an unbroken one draws.

    data.simulate([(flags.seed, Purpose.TRAJECTORY, step)], ...)
"""
import enum


class Purpose(enum.IntEnum):
    """The middle of a seed; at most 16 of them (graph_seed)."""
    TRAJECTORY = 0   # of the training: one a step
    WEIGHTS = 1      # at the start
    NOISE = 2        # of the posterior's samples in training
    DROPOUT = 3
    REPORT = 4       # the trajectory that a training reports on
    EVALUATION = 5   # everything that is drawn or measured afterwards, with seed 0 for every model


class Evaluation(enum.IntEnum):
    """The step of a seed whose purpose is EVALUATION. 0 to 99: the trajectories of the reconstruction loss, and the
    noise with each."""
    STDDEV = 100     # the trajectory that stddevs are averaged over, and whose first image is edited
    STATES = 101     # that scores are over
    CHANGES = 102    # pairs of states that differ in one factor
    CODES = 104      # sampled codes whose range a traversal takes
    IMAGES = 105     # the images that are reconstructed
    COMPONENTS = 106  # where the search for independent components starts

    @property
    def seed(self):
        return 0, Purpose.EVALUATION, self


def graph_seed(seed, purpose):
    """The first of the two ints of a TensorFlow seed; the second is the step."""
    return seed * 16 + purpose
