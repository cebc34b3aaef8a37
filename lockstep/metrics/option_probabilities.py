"""Probabilities of the options from which a model chooses."""

from collections.abc import Sequence

import numpy as np

from lockstep.metrics.aggregation import Numbers
from lockstep.predictions import Prediction


def compute_option_probabilities(predictions: Sequence[Prediction]) -> tuple[list[str], Numbers]:
    """Return the options and the softmax of their scores, (records, options).

    All predictions have the options of the first one.
    """
    options = [*predictions[0].option_scores]
    scores = np.array([[*map(row.option_scores.__getitem__, options)] for row in predictions])
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return options, exponents / exponents.sum(axis=1, keepdims=True)
