"""Judgements: the judge's replies on the variants' answers and the verdicts in them."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lockstep.errors import UserError
from lockstep.judging import judge_prompts, judge_replies
from lockstep.judging.cases import Case
from lockstep.judging.judge_params import JudgeParams
from lockstep.judging.judge_prompts import Prompt
from lockstep.judging.judge_replies import TIE
from lockstep.judging.rubric import Rubric

JudgeFunction = Callable[[list[Prompt]], list[str]]
"""A function that returns the judge's reply to each prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judge's verdicts on one answer, or on two answers in the order in which it saw them."""

    id: str
    """Content hash of the test record."""
    task: str
    """Task of the test record."""
    shown: list[str]
    """Variants whose answers the judge saw, in order: two to compare or one to score."""
    reply: str | None
    """Reply of the judge, word for word; None for two equal answers, which are not judged."""
    verdicts: dict[str, str] | dict[str, int] | None
    """Verdict by dimension: the better variant, `tie`, or a score from 1 to 5; None if the reply
    is unreadable."""


def judge_cases(
    cases: Sequence[Case], rubric: Rubric, settings: JudgeParams, ask: JudgeFunction
) -> list[Judgement]:
    """Return all judgements, record by record; equal prompts are sent once."""
    requests = [(case, variants) for case in cases for variants in _select_variants(case, settings)]
    prompts = [
        _build_prompt(rubric, case, variants, settings.reference) for case, variants in requests
    ]
    distinct_prompts = list(dict.fromkeys(prompt for prompt in prompts if prompt))
    replies = dict(
        zip(distinct_prompts, ask(distinct_prompts) if distinct_prompts else [], strict=True)
    )
    return [
        _read_reply(case, variants, replies[prompt] if prompt else None, settings.dimensions)
        for (case, variants), prompt in zip(requests, prompts, strict=True)
    ]


def write_judgements(path: Path, judgements: Iterable[Judgement]) -> None:
    """Write judgements as JSON lines with sorted keys."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for judgement in judgements:
            stream.write(json.dumps(asdict(judgement), ensure_ascii=False, sort_keys=True) + "\n")


def read_judgements(path: Path) -> list[Judgement]:
    """Read judgements; raise UserError if the file is missing or damaged."""
    from pydantic import TypeAdapter, ValidationError

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        adapter = TypeAdapter(Judgement)
        return [adapter.validate_json(line, extra="forbid") for line in lines]
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro`") from None
    except ValidationError:
        raise UserError(f"{path}: a line is not a judgement; run `dvc repro`") from None


def _select_variants(case: Case, settings: JudgeParams) -> Iterator[list[str]]:
    """Yield the variants of each comparison in both orders, then each variant to score.

    Two equal answers are yielded in one order only.
    """
    for pair in settings.compare:
        yield [pair.variant, pair.against]
        if case.answers[pair.variant] != case.answers[pair.against]:
            yield [pair.against, pair.variant]
    for variant in settings.score:
        yield [variant]


def _build_prompt(
    rubric: Rubric, case: Case, variants: list[str], with_reference: bool
) -> Prompt | None:
    """Return the prompt for these variants, or None for two equal answers."""
    answers = [case.answers[variant] for variant in variants]
    if len(answers) == 1:
        return judge_prompts.build_score_prompt(rubric, case.record, answers[0], with_reference)
    if answers[0] == answers[1]:
        return None
    return judge_prompts.build_pair_prompt(
        rubric, case.record, (answers[0], answers[1]), with_reference
    )


def _read_reply(
    case: Case, variants: list[str], reply: str | None, dimensions: Sequence[str]
) -> Judgement:
    """Return the judgement in a reply; no reply means a tie of two equal answers."""
    verdicts: dict[str, str] | dict[str, int] | None
    if reply is None:
        verdicts = dict.fromkeys(dimensions, TIE)
    elif len(variants) == 1:
        verdicts = judge_replies.parse_verdicts(reply, dimensions, judge_replies.SCALE)
    else:
        variant_by_side = dict(zip(judge_replies.SIDES, [*variants, TIE], strict=True))
        sides = judge_replies.parse_verdicts(reply, dimensions, judge_replies.SIDES)
        verdicts = sides and {name: variant_by_side[side] for name, side in sides.items()}
    return Judgement(
        id=case.record.id, task=case.record.task, shown=variants, reply=reply, verdicts=verdicts
    )
