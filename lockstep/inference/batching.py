"""Put rows of token ids into batches of similar length, and pad them to tensors."""

from collections.abc import Iterator, Sequence
from typing import Any

from lockstep import progress


def batch_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of rows in batches of similar length, the longest rows first.

    A batch that does not fit into memory therefore fails first, not after hours. Each batch counts
    as progress when the next one is asked for.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        yield batch
        progress.advance(len(batch))


def pad_rows(rows: Sequence[Sequence[int]], fill: int, left: bool = False) -> tuple[Any, Any]:
    """Return two integer tensors (rows, longest row): the padded ids, and a mask.

    The mask is 1 on tokens and 0 on padding. `fill` is the id of the padding, which is on the
    right unless `left` is set.
    """
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), fill, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        columns = slice(width - len(row), width) if left else slice(len(row))
        ids[i, columns] = torch.tensor(row, dtype=torch.long)
        mask[i, columns] = 1
    return ids, mask
