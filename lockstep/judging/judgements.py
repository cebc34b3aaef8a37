"""judgements.jsonl: what was asked about each record and what came, enough for every figure."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lockstep.errors import UserError
from lockstep.judging import judge_prompts, judge_replies
from lockstep.judging.cases import Case
from lockstep.judging.judge_params import Judge
from lockstep.judging.judge_prompts import Prompt
from lockstep.judging.rubric import Rubric

TIE = "tie"

Ask = Callable[[list[Prompt]], list[str]]
"""A judge: its reply to each prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judge's reply on one answer, or on two in the order in which they were shown."""

    id: str
    task: str
    shown: list[str]
    """The variants: two that are compared, or one that is scored."""
    reply: str | None
    """Word for word; None where the two answers are equal, so that nobody was asked."""
    verdicts: dict[str, str] | dict[str, int] | None
    """Dimension -> the better variant or `tie`, or 1 to 5; None where the reply is unreadable."""


def judge(cases: Sequence[Case], rubric: Rubric, chosen: Judge, ask: Ask) -> list[Judgement]:
    """All judgements, record by record; equal prompts are asked once."""
    shown = [(case, variants) for case in cases for variants in _shown(case, chosen)]
    asked = [_prompt(rubric, case, variants, chosen.reference) for case, variants in shown]
    distinct = list(dict.fromkeys(prompt for prompt in asked if prompt))
    given = dict(zip(distinct, ask(distinct) if distinct else [], strict=True))
    return [
        _judgement(case, variants, given[prompt] if prompt else None, chosen.dimensions)
        for (case, variants), prompt in zip(shown, asked, strict=True)
    ]


def write(path: Path, judgements: Iterable[Judgement]) -> None:
    """One JSON line each, keys sorted."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for judgement in judgements:
            stream.write(json.dumps(asdict(judgement), ensure_ascii=False, sort_keys=True) + "\n")


def read(path: Path) -> list[Judgement]:
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


def _shown(case: Case, chosen: Judge) -> Iterator[list[str]]:
    """Each pair in both orders, equal answers once; then each variant that is scored."""
    for pair in chosen.compare:
        yield [pair.variant, pair.against]
        if case.answers[pair.variant] != case.answers[pair.against]:
            yield [pair.against, pair.variant]
    for variant in chosen.score:
        yield [variant]


def _prompt(rubric: Rubric, case: Case, shown: list[str], reference: bool) -> Prompt | None:
    """None where two equal answers are a tie without asking."""
    answers = [case.answers[variant] for variant in shown]
    if len(answers) == 1:
        return judge_prompts.scale(rubric, case.record, answers[0], reference)
    if answers[0] == answers[1]:
        return None
    return judge_prompts.pair(rubric, case.record, (answers[0], answers[1]), reference)


def _judgement(
    case: Case, shown: list[str], reply: str | None, dimensions: Sequence[str]
) -> Judgement:
    verdicts: dict[str, str] | dict[str, int] | None
    if reply is None:
        verdicts = dict.fromkeys(dimensions, TIE)
    elif len(shown) == 1:
        verdicts = judge_replies.read(reply, dimensions, judge_replies.SCALE)
    else:
        named = dict(zip(judge_replies.SIDES, [*shown, TIE], strict=True))
        sides = judge_replies.read(reply, dimensions, judge_replies.SIDES)
        verdicts = sides and {dimension: named[side] for dimension, side in sides.items()}
    return Judgement(
        id=case.record.id, task=case.record.task, shown=shown, reply=reply, verdicts=verdicts
    )
