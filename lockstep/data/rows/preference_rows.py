"""Parsing of preferences: a prompt with better and worse answers, and how much better they are."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import (
    compared_answers,
    field_synonyms,
    message_parsing,
    question_texts,
    row_fields,
    transcripts,
)
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source
from lockstep.records import Message


def parse_preference(row: Row, source: Source) -> list[Conversation]:
    """Return a pair for each chosen and each rejected answer of a row.

    The answers may be texts, messages, or conversations that differ in the last message.
    """
    if source.sets("winner"):
        better, worse = compared_answers.read_better_and_worse(row, source)
    else:
        better = row_fields.get_required_field(row, source, "chosen")
        worse = row_fields.get_required_field(row, source, "rejected")
    chosen = _parse_answers(better, "chosen", source)
    rejected = _parse_answers(worse, "rejected", source)
    prompt, notes = _read_prompt(row, source)
    margins = _read_margins(row, source, len(chosen), len(rejected))
    reasons = _read_reasons(row, source, len(rejected))
    pairs = []
    for (i, chosen_turns), (j, rejected_turns) in product(enumerate(chosen), enumerate(rejected)):
        pair = _build_pair(chosen_turns, rejected_turns, prompt)
        pair.margin, pair.reject_reason = margins[i][j], reasons[j]
        pair.notes |= notes
        pairs.append(pair)
    return pairs


def _parse_answers(value: Any, name: str, source: Source) -> list[list[Message]]:
    """Return the conversations or single messages that a field has, one for each answer."""
    if isinstance(value, list) and value and not isinstance(value[0], dict):
        return [_parse_text(child, name, source) for child in value]
    messages = _parse_text(value, name, source)
    if all(message["role"] == "assistant" for message in messages):
        return [[message] for message in messages]
    return [messages]


def _parse_text(value: Any, name: str, source: Source) -> list[Message]:
    """Return the messages in a field, which may be a text, a transcript or a list of messages."""
    if isinstance(value, str) and (messages := transcripts.parse_transcript(value)):
        return messages
    return message_parsing.parse_text_or_messages(value, name, "assistant", source)


def _read_prompt(row: Row, source: Source) -> tuple[list[Message], dict[str, str]]:
    """Return the messages of the column `prompt` and notes; none if the row has no such column."""
    value = row_fields.get_optional_field(row, source, "prompt")
    if row_fields.is_empty(value) or "prompt" in source.ignored_fields:
        return [], {}
    return question_texts.parse_question(value, "prompt", source)


def _build_pair(
    chosen: list[Message], rejected: list[Message], prompt: list[Message]
) -> Conversation:
    """Return a pair of answers with the turns before them."""
    if len(chosen) == len(rejected) == 1:
        if not prompt:
            raise InvalidRowError(
                "missing_prompt",
                detail="chosen and rejected are answers; name the column of the prompt in "
                "columns: {prompt: …}",
            )
    else:
        if rejected[:-1] != chosen[:-1]:
            raise InvalidRowError(
                "transcripts_differ_before_the_answer",
                detail=_describe_difference(chosen, rejected),
            )
        if prompt and not _is_prompt_of(prompt, chosen[:-1]):
            raise InvalidRowError(
                "prompt_not_in_transcripts",
                detail=f"the column prompt has {show_value(prompt[-1]['content'])}; if it is "
                "something else, set ignored_fields: [prompt]",
            )
        prompt = chosen[:-1]
    better, worse = _remove_weight(chosen[-1]), _remove_weight(rejected[-1])
    if worse["role"] != "assistant":
        raise InvalidRowError("rejected_is_no_answer", detail=f"it is a turn of {worse['role']}")
    if better == worse:
        raise InvalidRowError("chosen_equals_rejected")
    is_text = worse.keys() == {"role", "content"}
    return Conversation([*prompt, better], rejected=worse["content"] if is_text else worse)


def _remove_weight(answer: Message) -> Message:
    """Return an answer without the mark that it is learnt."""
    if answer.get("weight") == 0:
        raise InvalidRowError("nothing_to_learn", detail="the weight of an answer is 0")
    return {key: value for key, value in answer.items() if key != "weight"}


def _is_prompt_of(prompt: list[Message], turns: list[Message]) -> bool:
    """Whether a prompt is the turns before the answers, or the text of a user's turn in them."""
    texts = [_normalize(message) for message in turns if message["role"] != "system"]
    prompts = [_normalize(message) for message in prompt if message["role"] != "system"]
    return prompts == texts or (len(prompts) == 1 and prompts[0] in texts)


def _normalize(message: Message) -> tuple[str, str]:
    return message["role"], " ".join(message["content"].split())


def _describe_difference(chosen: list[Message], rejected: list[Message]) -> str:
    """Return the first turn in which two conversations differ."""
    if len(chosen) != len(rejected):
        return f"chosen has {len(chosen)} turns, rejected has {len(rejected)}"
    number = next(i for i, turn in enumerate(chosen) if turn != rejected[i])
    shown = " and ".join(show_value(turns[number]["content"], 40) for turns in (chosen, rejected))
    return f"turn {number + 1} is {shown}"


def _read_margins(
    row: Row, source: Source, chosen_count: int, rejected_count: int
) -> list[list[float | None]]:
    """Return the margin of each chosen (rows) over each rejected answer (columns)."""
    fields = _select_fields(row, source)
    for pair in field_synonyms.SCORE_PAIRS:
        if pair[0] in fields and pair[1] in fields:
            return _subtract(fields[pair[0]], fields[pair[1]], chosen_count, rejected_count)
    for name in field_synonyms.MARGIN:
        if name in fields:
            value = fields[name]
            if isinstance(value, dict):
                scores = [value.get(answer) for answer in ("chosen", "rejected")]
                return _subtract(scores[0], scores[1], chosen_count, rejected_count)
            margins = _parse_scores(value, rejected_count)
            return [[*margins] for _ in range(chosen_count)]
    return [[None] * rejected_count for _ in range(chosen_count)]


def _select_fields(row: Row, source: Source) -> Row:
    """Return the fields beside a preference that hold something."""
    if field_synonyms.PREFERENCE_FIELDS.isdisjoint(row):
        return {}
    return {
        name: row[name]
        for name in field_synonyms.PREFERENCE_FIELDS & row.keys()
        if name not in source.ignored_fields and not row_fields.is_empty(row[name])
    }


def _subtract(
    chosen: Any, rejected: Any, chosen_count: int, rejected_count: int
) -> list[list[float | None]]:
    worse = _parse_scores(rejected, rejected_count)
    return [[c - r for r in worse] for c in _parse_scores(chosen, chosen_count)]


def _parse_scores(value: Any, count: int) -> list[float]:
    """Return a score for each of `count` answers; one number counts for all."""
    values: Sequence[Any] = value if isinstance(value, list) else [value] * count
    scores = [row_fields.parse_number(child) for child in values]
    if len(scores) != count or not all(map(math.isfinite, scores)):
        raise InvalidRowError(
            "score_not_a_number",
            detail=f"{count} answers have the scores {show_value(value)}",
        )
    return scores


def _read_reasons(row: Row, source: Source, count: int) -> list[str]:
    """Return the reason against each of `count` rejected answers; "" if the row gives none."""
    value = _select_fields(row, source).get(field_synonyms.REJECT_REASON)
    if value is None:
        return [""] * count
    values = value if isinstance(value, list) and len(value) == count else [value] * count
    return [_format_reason(child) for child in values]


def _format_reason(value: Any) -> str:
    """Return a reason as text; several are sorted and joined."""
    texts = value if isinstance(value, list) else [value]
    reasons = [row_fields.check_text(text, field_synonyms.REJECT_REASON) for text in texts]
    for reason in reasons:
        row_fields.check_all_texts(reason)
    return ", ".join(sorted({reason.strip() for reason in reasons}))
