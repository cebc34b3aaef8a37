"""Simulate `make drift` on the sample: how often it alarms without drift, and what it finds.

`python -m benchmarks.drift` draws training records and requests from the training records of the
sample, plants a shift in a share of the requests, and counts alarms. It needs the outputs of
`make`.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import vstack

from lockstep.drift import compared_texts, drift_results, text_features
from lockstep.drift.compared_texts import ComparedText
from lockstep.drift.drift_results import DriftResults, LabelSamples
from lockstep.drift.text_features import TextFeatures, find_language
from lockstep.multiple_testing import LEVEL
from lockstep.reporting.markdown_tables import format_table
from lockstep.serving.drift_params import DriftParams
from lockstep.serving.logs.text_masking import TextMasker

Indices = NDArray[np.int64]

TASKS = ["intent"]
POOL = 6000
"""Number of texts from which both sides are drawn."""
REFERENCE = 2000
"""Number of training records of a comparison."""
SIZES = (100, 300, 1000)
"""Numbers of requests of a comparison."""
SHARES = (0.1, 0.2, 0.3, 0.5)
"""Shares of the requests that are shifted."""
RESAMPLES = 999
NEW_LANGUAGE, NEW_TOPIC, MORE_LABEL = "zh", "warranty_claim", "refund_status"
"""Language and label that training lacks, and label that becomes more frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Texts from which a comparison draws, and changed versions of them."""

    features: TextFeatures
    longer: TextFeatures
    """Each text followed by the next one."""
    invented: TextFeatures
    """Each text with two words of random letters."""
    labels: NDArray[np.str_]

    @classmethod
    def build(cls, items: Sequence[ComparedText], generator: np.random.Generator) -> "Pool":
        """Compute the features of all versions of texts whose answers are labels."""
        longer = [
            replace(item, text=f"{item.text} {other.text}")
            for item, other in zip(items, [*items[1:], items[0]], strict=True)
        ]
        invented = [
            replace(item, text=f"{item.text} {_invent(generator)} {_invent(generator)}")
            for item in items
        ]
        return cls(
            features=compute_all_features(items),
            longer=compute_all_features(longer),
            invented=compute_all_features(invented),
            labels=np.array([item.answer for item in items], np.str_),
        )


def _invent(generator: np.random.Generator) -> str:
    return "".join(generator.choice([*string.ascii_lowercase], 7))


def compute_all_features(items: Sequence[ComparedText]) -> TextFeatures:
    """Compute the features of texts, with the language of all of them."""
    features = text_features.compute_features(items)
    rest = [find_language(item.text) for item in items[len(features.languages) :]]
    return replace(features, languages=np.array([*features.languages.tolist(), *rest], np.str_))


def select(features: TextFeatures, rows: Indices) -> TextFeatures:
    """Return the features of some texts."""
    return TextFeatures(
        lengths=features.lengths[rows],
        systems=features.systems[rows],
        scripts=features.scripts[rows],
        languages=features.languages[rows],
        words=[features.words[row] for row in rows.tolist()],
        ngrams=features.ngrams[rows],
    )


def concatenate(first: TextFeatures, second: TextFeatures) -> TextFeatures:
    """Return the features of the texts of both."""
    return TextFeatures(
        lengths=np.append(first.lengths, second.lengths),
        systems=np.append(first.systems, second.systems),
        scripts=np.append(first.scripts, second.scripts),
        languages=np.append(first.languages, second.languages),
        words=[*first.words, *second.words],
        ngrams=vstack([first.ngrams, second.ngrams]).tocsr(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A change of a share of the requests."""

    is_usual: Callable[[Pool], NDArray[np.bool_]] = lambda pool: np.ones(len(pool.labels), bool)
    """Texts that training has."""
    is_shifted: Callable[[Pool], NDArray[np.bool_]] = lambda pool: np.ones(len(pool.labels), bool)
    """Texts of shifted requests."""
    version: Callable[[Pool], TextFeatures] = lambda pool: pool.features
    """Version of the texts of shifted requests."""


SHIFTS = {
    "texts twice as long": Shift(version=lambda pool: pool.longer),
    "another language": Shift(
        is_usual=lambda pool: pool.features.scripts != NEW_LANGUAGE,
        is_shifted=lambda pool: pool.features.scripts == NEW_LANGUAGE,
    ),
    "a new topic": Shift(
        is_usual=lambda pool: pool.labels != NEW_TOPIC,
        is_shifted=lambda pool: pool.labels == NEW_TOPIC,
    ),
    "two unseen words": Shift(version=lambda pool: pool.invented),
    "one label more often": Shift(is_shifted=lambda pool: pool.labels == MORE_LABEL),
}


def simulate(
    pool: Pool, shift: Shift, share: float, sizes: tuple[int, int], seed: int
) -> DriftResults:
    """Compare training records and requests, of which a share is shifted, drawn at random.

    No text is on both sides, in contrast to its changed versions. Raise ValueError if the pool has
    too few shifted texts.
    """
    generator = np.random.default_rng(seed)
    training, requests = sizes
    usual = generator.permutation(np.flatnonzero(shift.is_usual(pool)))
    reference, rest = usual[:training], usual[training:]
    candidates = np.setdiff1d(np.flatnonzero(shift.is_shifted(pool)), reference)
    number = int(generator.binomial(requests, share))
    if number > len(candidates):
        raise ValueError(f"{number} shifted texts, but only {len(candidates)} candidates")
    changed = generator.permutation(candidates)[:number]
    kept = np.setdiff1d(rest, changed, assume_unique=True)
    kept = generator.permutation(kept)[: requests - number]
    features = concatenate(select(pool.features, kept), select(shift.version(pool), changed))
    labels = np.append(pool.labels[kept], pool.labels[changed])
    known = pool.labels[reference]
    is_new = ~np.isin(labels, known)  # a model answers a new topic with some label that it knows
    labels[is_new] = generator.choice(known, is_new.sum())
    order = generator.permutation(len(labels))
    samples = LabelSamples(reference=known, requests=labels[order], indices=[*range(len(order))])
    return drift_results.measure_drift(
        select(pool.features, reference),
        select(features, order),
        samples,
        DriftParams(),
        seed,
        RESAMPLES,
    )


def count_significant(
    pool: Pool, sizes: tuple[int, int], runs: int, shift: Shift | None = None, share: float = 0.0
) -> tuple[float, float]:
    """Return the share of runs with a significant test, and the share of runs with an alarm."""
    results = [simulate(pool, shift or Shift(), share, sizes, seed) for seed in range(runs)]
    significant = [any(t.p_adjusted < LEVEL for t in result.tests) for result in results]
    return float(np.mean(significant)), float(np.mean([result.is_alarm for result in results]))


def measure_power(pool: Pool, requests: int, runs: int, shift: Shift, share: float) -> str:
    """Return the share of runs with an alarm, or a dash if the pool has too few shifted texts."""
    try:
        return f"{count_significant(pool, (REFERENCE, requests), runs, shift, share)[1]:.0%}"
    except ValueError:
        return "-"


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"))
@click.option("--null-runs", default=1000, help="Comparisons without drift, for each size.")
@click.option("--runs", default=50, help="Comparisons for each shift, share and size.")
def main(data: Path, null_runs: int, runs: int) -> None:
    generator = np.random.default_rng(0)
    items = compared_texts.read_training_texts(data, TASKS, TextMasker(), generator)[:POOL]
    pool = Pool.build(items, generator)
    rows = []
    for requests in SIZES:
        significant, alarms = count_significant(pool, (REFERENCE, requests), null_runs)
        rows.append((f"{requests:,}", f"{significant:.1%}", f"{alarms:.1%}"))
    click.echo(format_table(("requests", "any test significant", "alarm"), rows))
    powers = [
        (name, f"{requests:,}", *(measure_power(pool, requests, runs, shift, x) for x in SHARES))
        for name, shift in SHIFTS.items()
        for requests in SIZES
    ]
    header = "shift", "requests", *(f"{share:.0%}" for share in SHARES)
    click.echo(f"\n{format_table(header, powers)}")


if __name__ == "__main__":
    main()
