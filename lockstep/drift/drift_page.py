"""Write the page of a comparison: its tests, and examples of requests, in one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2

from lockstep import outputs, reporting
from lockstep.drift import drift_text
from lockstep.drift.compared_texts import LoggedTexts
from lockstep.drift.drift_results import LABELS, NGRAMS, WORDS, DriftResults, choose_examples
from lockstep.drift.drift_tests import DriftTest
from lockstep.reporting.rendering import clip

TEMPLATE = "drift.html.j2"
EXAMPLES = 5
"""Number of examples of each test that alarms."""
MAX_NAME = 160
"""Maximum number of characters of a category."""
MAX_SHARES = 12
"""Number of rows of a table of shares; the largest differences are shown."""
REMARKS = {
    NGRAMS: "A classifier learnt to tell requests from training records by their n-grams. The "
    "shares are those of texts it had not seen.",
    LABELS: "Answers of the tuned model that are labels. Those on the left answer test records of "
    "the sources that training has too; without predictions, they are the answers in training.",
    WORDS: "Ranges of the share of a text's words that no other training record has.",
}
"""Explanation of a test, by name."""


@dataclass(frozen=True, slots=True)
class FeatureSection:
    """The part of the page about one test."""

    test: DriftTest
    shares: list[tuple[str, float, float]]
    remark: str
    examples: list[str]


def write_page(
    out: Path, results: DriftResults, logged: LoggedTexts, training: int, now: float, minimum: int
) -> None:
    """Write the page of results to a file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parent, *reporting.__path__]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent="{:.1%}".format, p_value=drift_text.format_p)
    page = environment.get_template(TEMPLATE).render(
        time=datetime.fromtimestamp(now, UTC),
        results=results,
        meaning=drift_text.MEANINGS[results.verdict],
        texts=drift_text.describe_texts(logged, training, minimum),
        sections=_build_sections(results.tests, logged),
    )
    with outputs.atomic_file(out) as partial:
        partial.touch(mode=0o600)  # as the log, since it has examples
        partial.write_text(page, encoding="utf-8")


def _build_sections(tests: Sequence[DriftTest], logged: LoggedTexts) -> list[FeatureSection]:
    """Return a section for each test, those that alarm first, then by effect."""
    ordered = sorted(tests, key=lambda test: (not test.is_alarm, -test.effect))
    return [
        FeatureSection(
            test=test,
            shares=_list_shares(test),
            remark=REMARKS.get(test.name, ""),
            examples=[
                clip(logged.texts[index].text)
                for index in choose_examples(test, EXAMPLES if test.is_alarm else 0)
            ],
        )
        for test in ordered
    ]


def _list_shares(test: DriftTest) -> list[tuple[str, float, float]]:
    """Return the rows with the largest differences, in the order of the test."""
    largest = sorted(test.shares, key=lambda row: -abs(row[2] - row[1]))[:MAX_SHARES]
    return [
        (drift_text.shorten_name(name, MAX_NAME), before, after)
        for name, before, after in test.shares
        if (name, before, after) in largest
    ]
