"""Similar texts: MinHash finds candidate pairs, exact Jaccard similarity confirms them.

Candidates share a band of their MinHash signatures (Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, 3.4).
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from lockstep.data import duplicates, ngrams, parallel
from lockstep.data.duplicates import Pairs
from lockstep.data.normalized_texts import NormalizedTexts, normalize_texts

NGRAM_LENGTH = 5
"""Length of the character n-grams whose sets are compared."""

PERMUTATIONS = 64
"""Number of hash functions in a MinHash signature."""
_SEED = 1  # of the permutations; another seed would miss different pairs, but not more of them
_MAX_PAIRS, _MAX_CHARACTERS = 4096, 4_000_000  # limits of one batch of comparisons
_MAX_WAITING_PAIRS = 1_000_000

Bands = npt.NDArray[np.uint64]
"""MinHash bands; two near-duplicates most likely have a band in common: (texts, bands)."""


def compute_bands(texts: NormalizedTexts, threshold: float) -> Bands:
    """Return MinHash signatures (Broder, 1997) in bands, each as one number.

    Signs and the values of digits are ignored.

    For a pair at the threshold, the chance to have no band in common is below 2 % if the
    threshold is 0.5 or more.
    """
    rows = _count_rows(threshold)
    if len(texts.offsets) == 1:
        return np.empty((0, PERMUTATIONS // rows), np.uint64)
    words = texts.drop_signs().equate_digits()
    character_ngrams = ngrams.hash_character_ngrams(words, NGRAM_LENGTH)
    digest = RMinHash.digest_matrix_from_flat_token_hashes(
        character_ngrams.hashes, character_ngrams.offsets.astype(np.uint64), PERMUTATIONS, _SEED
    )
    flat = b"".join(array("I", row) for row in digest.to_rows())  # three times faster than np.array
    signatures = np.frombuffer(flat, np.uint32).reshape(-1, PERMUTATIONS // rows, rows)
    multipliers = np.array(
        [pow(0x9E3779B97F4A7C15, k, 2**64) for k in range(1, rows + 1)], np.uint64
    )
    return (signatures * multipliers).sum(2, dtype=np.uint64)


def find_near_pairs(bands: Bands, get_text: Callable[[int], str], threshold: float) -> Pairs:
    """Return pairs of similar texts, enough to connect all members of each group.

    Pairs with a band in common are compared exactly; `get_text` returns the text at an index.
    """
    return _confirm_pairs(find_candidate_pairs(bands), get_text, threshold)


def find_candidate_pairs(bands: Bands) -> Pairs:
    """Return pairs of texts with a band in common, enough to connect all that have one."""
    return _merge_pairs(map(duplicates.pair_equal_values, bands.T), len(bands))


def find_near_texts(texts: Sequence[str], others: Sequence[str], threshold: float) -> set[int]:
    """Return the indices of the texts that are similar to one of the others."""
    keys, other_keys = (normalize_texts(part).make_keys() for part in (texts, others))
    near_keys = {*keys} & {*other_keys}
    undecided = {key: text for key, text in zip(keys, texts, strict=True) if key not in near_keys}
    unique_others = [*dict(zip(other_keys, others, strict=True)).values()]
    undecided_keys, all_texts = [*undecided], [*undecided.values(), *unique_others]
    if undecided_keys and unique_others:
        bands = _compute_all_bands([*undecided.values()], threshold)
        for pairs in _find_candidate_batches(bands, _compute_all_bands(unique_others, threshold)):
            shifted = pairs + np.array([0, len(undecided_keys)])
            confirmed = _confirm_pairs(shifted, all_texts.__getitem__, threshold)
            near_keys |= {undecided_keys[index] for index in confirmed[:, 0].tolist()}
    return {index for index, key in enumerate(keys) if key in near_keys}


def _compute_all_bands(texts: Sequence[str], threshold: float) -> Bands:
    chunks = parallel.split_into_chunks(texts, len)
    function = partial(_compute_chunk_bands, threshold)
    return np.concatenate(list(parallel.map_chunks(function, chunks)))


def _compute_chunk_bands(threshold: float, texts: Sequence[str]) -> Bands:
    return compute_bands(normalize_texts(texts), threshold)


def _count_rows(threshold: float) -> int:
    """Return the most rows per band that miss at most 2 % of the pairs at the threshold."""
    candidates = [1, 2, 4, 8, 16]
    miss_rates = {rows: (1 - threshold**rows) ** (PERMUTATIONS // rows) for rows in candidates}
    return max((rows for rows in candidates if miss_rates[rows] <= 0.02), default=1)


def _find_candidate_batches(bands: Bands, other_bands: Bands) -> Iterator[Pairs]:
    """Yield pairs (index, index in the others) with a band in common, about a million at a time."""
    order = np.argsort(other_bands, axis=0, kind="stable")
    ordered = np.take_along_axis(other_bands, order, axis=0)
    begin, end = (
        np.stack(
            [np.searchsorted(*columns, side) for columns in zip(ordered.T, bands.T, strict=True)], 1
        )
        for side in ("left", "right")
    )
    counts = end - begin
    batch = np.cumsum(counts.sum(1)) // _MAX_WAITING_PAIRS
    for indices in np.split(np.arange(len(bands)), np.flatnonzero(np.diff(batch)) + 1):
        count = counts[indices].ravel()
        ends = np.cumsum(count)
        rank = np.repeat(begin[indices].ravel() - ends + count, count) + np.arange(ends[-1])
        band = np.repeat(np.tile(np.arange(bands.shape[1]), len(indices)), count)
        index = np.repeat(np.repeat(indices, bands.shape[1]), count)
        yield _decode_pairs(index * len(other_bands) + order[rank, band], len(other_bands))


def _merge_pairs(parts: Iterable[Pairs], count: int) -> Pairs:
    """Return all pairs of indices below `count` once, the smaller index first."""
    codes = [pairs.min(1) * count + pairs.max(1) for pairs in parts]
    return _decode_pairs(np.concatenate([np.empty(0, np.int64), *codes]), max(count, 1))


def _decode_pairs(codes: npt.NDArray[np.int64], count: int) -> Pairs:
    """Return each pair once; a pair's code is its first index times `count` plus its second."""
    codes = np.sort(codes)
    unique = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
    return np.stack(np.divmod(codes[unique], count), 1)


def _confirm_pairs(pairs: Pairs, get_text: Callable[[int], str], threshold: float) -> Pairs:
    """Return the pairs whose similarity reaches the threshold."""
    confirmed = [np.empty((0, 2), np.int64)]
    end = 0
    while end < len(pairs):
        texts: dict[int, str] = {}
        characters, begin = 0, end
        while end < len(pairs) and end - begin < _MAX_PAIRS and characters < _MAX_CHARACTERS:
            for index in pairs[end].tolist():
                if index not in texts:
                    texts[index] = get_text(index)
                characters += len(texts[index])
            end += 1
        batch = pairs[begin:end]
        local = {index: number for number, index in enumerate(texts)}
        local_pairs = np.array([[local[i] for i in pair] for pair in batch.tolist()], np.int64)
        confirmed.append(batch[_compute_similarity([*texts.values()], local_pairs) >= threshold])
    return np.concatenate(confirmed)


def _compute_similarity(texts: Sequence[str], pairs: Pairs) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of each pair's n-grams; 1 for two empty texts: (pairs,)."""
    normalized = normalize_texts(texts).drop_signs().equate_digits()
    unique = ngrams.deduplicate_ngrams(ngrams.hash_character_ngrams(normalized, NGRAM_LENGTH))
    sizes = np.diff(unique.offsets)[pairs]
    shared = ngrams.count_shared(unique.select(pairs[:, 0]), unique.select(pairs[:, 1]))
    union = sizes.sum(1) - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 1.0)
