"""Row formats: each function turns a row of one format into a conversation."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from lockstep.data.label_studio import spans, voting
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import (
    bfcl_rows,
    column_values,
    conversation,
    field_synonyms,
    growing_histories,
    ifeval_rows,
    label_flags,
    marked_reasoning,
    message_parsing,
    nested_replies,
    preference_rows,
    question_texts,
    rendered_chats,
    row_fields,
    row_notes,
    template_options,
    tool_parsing,
    tools_in_text,
    transcripts,
    turn_rows,
    turns_without_roles,
)
from lockstep.data.rows.conversation import Conversation, make_pair
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source
from lockstep.data.span_annotations import span_rows

_TRUTH_VALUES = {True: True, False: False, "true": True, "false": False}


def parse_row(row: Row, source: Source) -> list[Conversation]:
    """Return the conversations in a row; raise InvalidRowError if there is none.

    A row has several if it is a preference with several answers on a side, or a benchmark's
    conversation with right calls in several turns.
    """
    _refuse_unaccepted(row, source)
    if source.format == "preference":
        conversations = preference_rows.parse_preference(row, source)
    elif source.format == "bfcl":
        conversations = bfcl_rows.parse_bfcl(row, source)
    else:
        conversations = [ROW_PARSERS[source.format](row, source)]
    for parsed in conversations:
        template_options.read_options(parsed, row, source)
        marked_reasoning.read_reasoning(parsed)
        question_texts.read_speaker_names(parsed, source)
        conversation.add_row_fields(parsed, row, source)
        if source.unanswered == "drop":
            _drop_unanswered_end(parsed)
        parsed.messages = message_parsing.check_order(parsed.messages, source)
        _drop_unlearnt_end(parsed)
    return conversations


def _refuse_unaccepted(row: Row, source: Source) -> None:
    """Raise InvalidRowError if the annotator of a row rejected or skipped it in Prodigy."""
    verdict = row.get(field_synonyms.VERDICT)
    if (
        verdict in field_synonyms.NOT_ACCEPTED
        and not row.keys().isdisjoint(field_synonyms.VERDICT_MARKS)
        and field_synonyms.VERDICT not in source.ignored_fields
    ):
        raise InvalidRowError("annotation_not_accepted", detail=f"the column answer is {verdict}")


def _drop_unanswered_end(parsed: Conversation) -> None:
    """Leave out the user's turns after the last answer, if there is one."""
    number = len(parsed.messages)
    while number and parsed.messages[number - 1]["role"] == "user":
        number -= 1
    if number and number < len(parsed.messages) and parsed.messages[number - 1]["role"] != "system":
        parsed.messages = parsed.messages[:number]
        parsed.is_shortened = True


def _drop_unlearnt_end(parsed: Conversation) -> None:
    """Leave out the turns after the last one that may be learnt, which becomes the answer."""
    for message in parsed.messages:
        if "weight" in message:
            break
    else:
        return
    number = len(parsed.messages)
    parsed.messages = message_parsing.drop_unlearnt_end(parsed.messages)
    is_shortened = len(parsed.messages) < number
    parsed.is_shortened = parsed.is_shortened or is_shortened
    if is_shortened and parsed.desirable is not None:
        raise InvalidRowError("nothing_to_learn", detail="the weight of the answer is 0")


def _parse_alpaca(row: Row, source: Source) -> Conversation:
    """Read `instruction`, `input` or both, and `output`."""
    values = {
        name: row_fields.get_optional_field(row, source, name) for name in ("instruction", "input")
    }
    notes = row_notes.find_absent_input(values["input"])
    if row_notes.ABSENT_INPUT in notes:
        values["input"] = None
    parts = [
        row_fields.check_text(value, name)
        for name, value in values.items()
        if value is not None and not (isinstance(value, str) and not value.strip())
    ]
    if not parts:
        raise InvalidRowError(
            "missing_instruction",
            detail="instruction and input are both empty or missing; the row has "
            f"{', '.join(map(str, row))}",
        )
    question, question_notes = question_texts.parse_instruction("\n".join(parts), source)
    earlier = [{"role": role, "content": text} for role, text in _read_history(row, source)]
    output = row_fields.get_text_field(row, source, "output")
    messages = [*earlier, *question, {"role": "assistant", "content": output}]
    return Conversation(messages, notes=notes | question_notes)


def _read_history(row: Row, source: Source) -> Iterator[tuple[str, str]]:
    """Yield the turns of earlier (question, answer) pairs."""
    pairs = row_fields.get_optional_field(row, source, "history") or []
    if isinstance(pairs, str):
        pairs = row_fields.parse_json(pairs, "history")
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InvalidRowError(
                "history_not_pairs", detail=f"{show_value(pair)} is no [question, answer]"
            )
        yield "user", row_fields.check_text(pair[0], "history")
        yield "assistant", row_fields.check_text(pair[1], "history")


def _parse_messages(row: Row, source: Source) -> Conversation:
    return _parse_turns(row, source, "messages")


def _parse_sharegpt(row: Row, source: Source) -> Conversation:
    return _parse_turns(row, source, "conversations")


def _parse_turns(row: Row, source: Source, name: str) -> Conversation:
    """Read a list of turns, the JSON text of one, a rendered chat, or a transcript."""
    value = row_fields.get_required_field(row, source, name)
    if isinstance(value, str) and source.turn_separator:
        value = turns_without_roles.split_text(value, source.turn_separator)
    if isinstance(value, str):
        value = rendered_chats.split_turns(value) or value
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        messages, tools = transcripts.parse_conversation(
            row_fields.check_text(value, name), name, source
        )
        return Conversation(messages, tools=tools)
    if isinstance(value, str):  # a cell of a table
        value = row_fields.parse_json(value, name)
    value, notes = _flatten_turns(value, source)
    if isinstance(value, list) and not turns_without_roles.have_roles(value):
        value = turns_without_roles.add_roles(value, source)
    messages = message_parsing.parse_messages(value, name, source)
    if messages[0]["role"] != "system" or "<tools>" not in messages[0]["content"]:
        return Conversation(messages, notes=notes)
    system, tools = tools_in_text.split_tools(messages[0]["content"])
    first = [{**messages[0], "content": system}] if system else []
    return Conversation([*first, *messages[1:]], tools=tools, notes=notes)


def _flatten_turns(value: Any, source: Source) -> tuple[Any, dict[str, str]]:
    """Return the turns in a tree of replies or in growing histories, with notes on them.

    Any other value stays as it is.
    """
    root = value[0] if isinstance(value, list) and len(value) == 1 else value
    if nested_replies.is_tree(root):
        thread, number = nested_replies.follow_best(root)
        is_whole = len(thread) == number
        detail = f"{len(thread)} of {number} turns are read"
        return thread, {} if is_whole else {row_notes.TREE: detail}
    if isinstance(value, list) and growing_histories.are_histories(value):
        texts = growing_histories.join_histories(value)
        notes = {row_notes.CANDIDATES: f"the last answer is {show_value(texts[-1], 40)}"}
        if growing_histories.SILENCE in texts[0]:
            notes[row_notes.PLACEHOLDER] = f"the first turn is {texts[0]}"
        return turns_without_roles.alternate_before(texts, "assistant", source), notes
    return value, {}


def _parse_prompt_completion(row: Row, source: Source) -> Conversation:
    value = row_fields.get_required_field(row, source, "prompt")
    prompt, notes = question_texts.parse_question(value, "prompt", source)
    value = row_fields.get_required_field(row, source, "completion")
    if (calls := _find_calls(value, row, source)) is not None:
        conversation = bfcl_rows.answer_by_calls(prompt, calls, source)
    else:
        answer = message_parsing.parse_answer(value, "completion", source)
        conversation = Conversation(prompt + answer)
    conversation.notes |= notes
    return conversation


def _find_calls(value: Any, row: Row, source: Source) -> list[Any] | None:
    """Return the calls that the answer of a row with tools consists of; None: it is another one."""
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return None
    if not conversation.has_tools(row, source):
        return None
    if isinstance(value, str):
        try:
            value = row_fields.parse_json(value, "completion")
        except InvalidRowError:
            return None
    calls = [value] if isinstance(value, dict) else value
    if not isinstance(calls, list):
        return None
    are_calls = all(isinstance(call, dict) and tool_parsing.is_call(call) for call in calls)
    return calls if are_calls else None


def _parse_unpaired_preference(row: Row, source: Source) -> Conversation:
    """Read `messages`, or `prompt` and `completion`, and a `label` that is true or false."""
    has_messages = row_fields.get_optional_field(row, source, "messages") is not None
    if has_messages or source.sets("messages"):
        conversation = _parse_messages(row, source)
    else:
        conversation = _parse_prompt_completion(row, source)
    label = row_fields.get_required_field(row, source, "label")
    if isinstance(label, str):
        label = label.strip().lower()
    if not isinstance(label, bool | int | str) or label not in _TRUTH_VALUES:
        raise InvalidRowError("label_not_true_or_false", detail=f"it is {show_value(label)}")
    conversation.desirable = _TRUTH_VALUES[label]
    return conversation


def _parse_classification(row: Row, source: Source) -> Conversation:
    text = row_fields.get_text_field(row, source, "text")
    if source.label_columns:
        return make_pair(text, label_flags.get_only_label(label_flags.read_columns(row, source)))
    return make_pair(text, _read_label(row, source))


def _read_label(row: Row, source: Source) -> str:
    """Return the label in a row, which may be the only one that an object or a list sets."""
    value = row_fields.get_optional_field(row, source, "label")
    if isinstance(value, dict | list):
        names = label_flags.read_value(value, source.get_column("label"), source)
        if names is not None:
            return label_flags.get_only_label(names)
    return row_fields.get_label_field(row, source)


def _parse_multi_label(row: Row, source: Source) -> Conversation:
    """Read the labels of a row; the answer is the sorted list as JSON."""
    if source.label_columns:
        labels = label_flags.read_columns(row, source)
    else:
        labels = _read_labels(row, source)
    answer = orjson.dumps(sorted({*labels})).decode()
    return make_pair(row_fields.get_text_field(row, source, "text"), answer)


def _read_labels(row: Row, source: Source) -> list[str]:
    """Read `labels`: a list or its JSON text, labels between commas, or flags."""
    value = row_fields.get_required_field(row, source, "labels")
    if isinstance(value, str | int):
        value = row_fields.split_labels(column_values.write_text(value) or "", source)
    names = label_flags.read_value(value, source.get_column("labels"), source)
    if names is not None:
        return names
    if not isinstance(value, list):
        raise InvalidRowError("labels_not_a_list", detail=f"they are {show_value(value)}")
    return [row_fields.read_label(label, source) for label in value]


def _parse_regression(row: Row, source: Source) -> Conversation:
    """Read `value`, a finite number; the answer has 15 significant digits at most."""
    value = row_fields.get_required_field(row, source, "value")
    number = row_fields.parse_number(value)
    if not math.isfinite(number):
        raise InvalidRowError("value_not_a_number", detail=f"it is {show_value(value)}")
    return make_pair(row_fields.get_text_field(row, source, "text"), f"{number:.15g}")


def _parse_text(row: Row, source: Source) -> Conversation:
    text = row_fields.get_text_field(row, source, "text")
    if text.lstrip().startswith(("#", "<", "[", "Below")):
        rendered_chats.refuse_conversation(text, source.get_column("text"))
        transcripts.refuse_marked_turns(text, source.get_column("text"))
    return Conversation([{"role": "assistant", "content": text}])


def _parse_spans(row: Row, source: Source) -> Conversation:
    """Read a text and its spans; the answer is the slots, or the text with tags."""
    text, found = span_rows.read_row(row, source)
    return make_pair(text, spans.WRITERS[source.annotation or "slots"](found, text))


def _parse_label_studio(row: Row, source: Source) -> Conversation:
    """Read the text and the answer of the annotators, or both answers of a comparison."""
    question = row_fields.get_text_field(row, source, "text")
    conversation = make_pair(question, row_fields.check_text(row.get(voting.ANSWER), "answer"))
    if voting.REJECTED in row:
        conversation.rejected = row_fields.check_text(row[voting.REJECTED], "answer")
    return conversation


ROW_PARSERS: dict[str, Callable[[Row, Source], Conversation]] = {
    "alpaca": _parse_alpaca,
    "messages": _parse_messages,
    "sharegpt": _parse_sharegpt,
    "turns": turn_rows.parse_joined_turns,
    "prompt_completion": _parse_prompt_completion,
    "unpaired_preference": _parse_unpaired_preference,
    "classification": _parse_classification,
    "multi_label": _parse_multi_label,
    "regression": _parse_regression,
    "text": _parse_text,
    "spans": _parse_spans,
    "label_studio": _parse_label_studio,
    "ifeval": ifeval_rows.parse_ifeval,
}
"""Parser of each row format whose rows have one conversation."""
