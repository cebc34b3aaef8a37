"""Results of a comparison as a table for a terminal, and as drift.json without any text."""

from typing import Any

from lockstep.drift.compared_texts import LoggedTexts
from lockstep.drift.drift_results import DriftResults, Verdict
from lockstep.drift.drift_tests import DriftTest
from lockstep.multiple_testing import LEVEL
from lockstep.reporting.markdown_tables import format_table
from lockstep.serving.drift_params import DriftParams

MEANINGS: dict[Verdict, str] = {
    "drift": "The requests differ from the training records, and chance does not explain it.",
    "no drift": "No difference is both significant and large.",
    "too few texts": "There are too few texts to compare; nothing was tested.",
}
"""Meaning of each verdict."""
MAX_NAME = 40
"""Maximum number of characters of a category in the table of a terminal."""


def format_results(
    results: DriftResults, logged: LoggedTexts, training: int, settings: DriftParams
) -> str:
    """Return the verdict, the table of tests, and the number of texts."""
    parts = [f"{results.verdict}: {MEANINGS[results.verdict]}"]
    if results.tests:
        rows = [_format_row(test) for test in results.tests]
        header = "test", "largest difference", "training", "requests", "effect", "p", "result"
        parts += [
            str(format_table(header, rows, texts=2)),
            f"An alarm needs p below {LEVEL:g}, corrected for all tests, and an effect of at least "
            f"{settings.minimum_effect:g}:\nthe share of requests that would have to be different.",
        ]
    return "\n\n".join([*parts, describe_texts(logged, training, settings.minimum_texts)])


def describe_texts(logged: LoggedTexts, training: int, minimum: int) -> str:
    """Return a sentence about the texts that were compared."""
    sentence = (
        f"{logged.requests:,} requests in {logged.conversations:,} conversations of "
        f"{logged.users:,} users; {len(logged.texts):,} different texts, one per user, against "
        f"{training:,} training records."
    )
    is_enough = min(len(logged.texts), training) >= minimum
    return sentence if is_enough else f"{sentence} Needed: {minimum:,} of each."


def find_largest_difference(test: DriftTest) -> tuple[str, float, float]:
    """Return the kind of text whose share differs most, with both shares."""
    return max(test.shares, key=lambda row: abs(row[2] - row[1]))


def _format_row(test: DriftTest) -> tuple[str, ...]:
    name, before, after = find_largest_difference(test)
    return (
        test.name,
        shorten_name(name).replace("|", "\\|"),
        f"{before:.1%}",
        f"{after:.1%}",
        f"{test.effect:.3f}",
        format_p(test.p_adjusted),
        "ALARM" if test.is_alarm else "-",
    )


def format_p(p: float) -> str:
    """Return a p-value with three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def shorten_name(name: str, maximum: int = MAX_NAME) -> str:
    """Return the name of a category on one line, or its beginning."""
    line = " ".join(name.split()) or "(none)"
    return line if len(line) <= maximum else f"{line[:maximum]}…"


def collect_json(
    results: DriftResults, logged: LoggedTexts, training: int, now: float
) -> dict[str, Any]:
    """Return the content of drift.json."""
    return {
        "time": now,
        "verdict": results.verdict,
        "alarm": results.is_alarm,
        "requests": logged.requests,
        "conversations": logged.conversations,
        "users": logged.users,
        "texts": len(logged.texts),
        "training_records": training,
        "tests": {
            test.name: {
                "alarm": test.is_alarm,
                "effect": round(test.effect, 4),
                "p": test.p,
                "p_adjusted": test.p_adjusted,
                "training_records": test.texts[0],
                "requests": test.texts[1],
            }
            for test in results.tests
        },
    }
