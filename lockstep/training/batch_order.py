"""The order of rows in an epoch. Imports torch."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class Epochs(Sampler[int]):
    """The order of rows in an epoch, by seed and epoch alone: a resumed run draws nothing again.

    With `lengths`, rows of like length stand together, as in transformers' LengthGroupedSampler.
    """

    def __init__(self, rows: int, seed: int, lengths: Sequence[int] | None, batch: int) -> None:
        self.rows, self.seed, self.lengths, self.batch = rows, seed, lengths, batch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.lengths is None:
            yield from torch.randperm(self.rows, generator=generator).tolist()
        else:
            yield from get_length_grouped_indices(self.lengths, self.batch, generator=generator)
