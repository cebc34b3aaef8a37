"""The parameters of the section `augment`."""

from typing import Annotated

from pydantic import Field

from lockstep.augmentation.methods import Method
from lockstep.augmentation.mixing import Mix
from lockstep.params import Fraction, NaturalInt, Section


class AugmentParams(Section):
    """Methods that add augmented training records, and the mix of the training data."""

    methods: list[Method] = []
    """Augmentation methods, applied in this order; [] adds no records."""
    max_children: NaturalInt = 2
    """Maximum number of augmented records per training record, over all methods."""
    similarity: Fraction = 0.8
    """Jaccard similarity to a validation or test record at which an augmented record is discarded,
    0 to 1."""
    mix: list[Mix] = []
    """Target shares of slice values in the training data, set by record weights, e.g.
    [{slice: language, shares: {en: 0.5, zh: 0.5}}]; [] keeps the weights."""
    replay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training rows that come from sources of earlier rounds (prepare.sources: round),
    set by record weights after `mix`; null keeps the weights."""
