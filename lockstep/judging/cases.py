"""Select the test records that are judged, with the answers of the variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.judging.judge_params import JudgeParams
from lockstep.predictions import ZERO_SHOT, Prediction
from lockstep.records import Record


@dataclass(frozen=True, slots=True)
class Case:
    """A test record and the answers of the variants to it."""

    record: Record
    answers: dict[str, str]
    """Answer by variant."""


def read_cases(predicted: Path, test: Path, settings: JudgeParams) -> list[Case]:
    """Return an even sample of each suite's test records with the answers of all variants.

    Raise UserError if a suite has no free-text answers or a variant lacks an answer.
    """
    files: dict[str, Path] = {
        variant: predicted / variant / "predictions.jsonl" for variant in settings.variants
    }
    by_variant = {variant: _read_predictions_by_id(file) for variant, file in files.items()}
    test_records = list(records.read(test))
    sampled = [
        record
        for suite in _select_suites(settings.suites, by_variant)
        for record in records.sample_evenly(
            [record for record in test_records if record.task == suite], settings.records
        )
    ]
    for variant, file in files.items():
        _check_complete(file, by_variant[variant], sampled)
    return [
        Case(
            record,
            {variant: by_id[record.id].prediction for variant, by_id in by_variant.items()},
        )
        for record in sampled
    ]


def _read_predictions_by_id(file: Path) -> dict[str, Prediction]:
    """Return the predictions of records that belong to a suite, by record id.

    Few-shot suites are left out: the test split has no such records.
    """
    rows = predictions.read(file)
    return {row.id: row for row in rows if row.answer_form and ZERO_SHOT not in row.slices}


def _select_suites(
    suites: Sequence[str], by_variant: Mapping[str, Mapping[str, Prediction]]
) -> Sequence[str]:
    """Return the named suites, or all with free-text answers if none is named.

    Raise UserError if a named suite has no free-text answers, or if none has.
    """
    rows = (row for by_id in by_variant.values() for row in by_id.values())
    text_suites = sorted({row.task for row in rows if row.answer_form == "text"})
    if not text_suites:
        raise UserError(
            "params.yaml: judge.suites: no suite has free-text answers; set judge.by to none"
        )
    for suite in suites:
        if suite not in text_suites:
            raise UserError(
                f"params.yaml: judge.suites: {suite} is no suite with free-text answers; "
                f"known: {', '.join(text_suites)}"
            )
    return suites or text_suites


def _check_complete(file: Path, by_id: Mapping[str, Prediction], sampled: Sequence[Record]) -> None:
    for record in sampled:
        if record.id not in by_id:
            raise UserError(
                f"{file}: no answer to record {record.id} of task {record.task}; run `dvc repro`"
            )
