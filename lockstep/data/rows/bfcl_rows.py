"""Rows of the Berkeley Function Calling Leaderboard (Patil et al., 2025).

A row has `question` (a list of turns, each a list of messages), `function` (the functions that may
be called) and `ground_truth`, which the leaderboard publishes in a second file: for each turn the
calls that are right, with all values that each argument may have.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data import tool_schemas
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields, tool_parsing, turn_parsing
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source
from lockstep.records import Message

OMITTED, EMPTY = "", " "
"""Accepted values: an argument that may be absent, and an empty text of one that may not."""

NO_CALL = "None of the functions fits."
"""Text in the place of a reference without a call; the reference is that no function is called."""

NEW_FUNCTIONS = "You may use further functions now. What about it?"
"""Question of a turn without messages, in which functions are added."""

RESULT, DONE = '{"status": "done"}', "Done."
"""Result of each call of an earlier turn and the answer after it, since no call is executed."""

AcceptedCalls = list[dict[str, Any]]
"""Calls as {name, accepted_arguments: {name: values}}."""


def parse_bfcl(row: Row, source: Source) -> list[Conversation]:
    """Return a conversation for each turn; its history holds the right calls of earlier turns."""
    value = row_fields.get_required_field(row, source, "function")
    tools = _drop_functions(tool_parsing.parse_tools(value), row.get("excluded_function"))
    missed = row.get("missed_function") or {}
    turns = _read_turns(row_fields.get_required_field(row, source, "question"), source)
    answers = _read_answers(row_fields.get_required_field(row, source, "ground_truth"), len(turns))
    history: list[Message] = []
    conversations = []
    for number, (messages, answer) in enumerate(zip(turns, answers, strict=True)):
        history += messages or [{"role": "user", "content": NEW_FUNCTIONS}]
        missing = [name for turn, names in missed.items() if int(turn) > number for name in names]
        accepted = read_accepted_calls(answer, tools)
        reference = _make_reference(accepted)
        _check_calls(accepted, source)
        conversations.append(
            Conversation(
                [*history, reference],
                tools=_drop_functions(tools, missing),
                accepted_calls=accepted,
            )
        )
        added = [reference, *_make_results(reference)]
        history += added if source.split == "test" else map(_keep_from_learning, added)
    return conversations


def answer_by_calls(prompt: list[Message], calls: list[Any], source: Source) -> Conversation:
    """Return a conversation whose answer consists of calls; no call is right in some test rows."""
    if calls:
        parsed = tool_parsing.parse_tool_calls(calls)
        return Conversation([*prompt, {"role": "assistant", "content": "", "tool_calls": parsed}])
    _check_calls(calls, source)
    return Conversation([*prompt, _make_reference([])], accepted_calls=[])


def _check_calls(calls: list[Any], source: Source) -> None:
    """Raise InvalidRowError if a row that may be learnt has no call."""
    if not calls and source.split != "test":
        raise InvalidRowError(
            "no_call_to_learn", detail="a row without a right call needs split: test"
        )


def _drop_functions(tools: list[dict[str, Any]], names: Any) -> list[dict[str, Any]]:
    """Return the tools without the functions that a row does not offer, or not yet."""
    return [tool for tool in tools if tool["function"]["name"] not in (names or ())]


def read_accepted_calls(answer: Any, tools: Sequence[dict[str, Any]]) -> AcceptedCalls:
    """Return the right calls of one turn.

    A call is {function: {argument: [values]}}, a text such as `sort(name='a.txt')`, or a call as
    models write it ({name, arguments}). Values of parameters that are floats become floats, and
    required arguments may not be absent.
    """
    if not isinstance(answer, list):
        raise _describe_answer(answer)
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    accepted = []
    for call in answer:
        name, arguments = _read_call(call, functions)
        parameters = tool_schemas.normalize_parameters(functions.get(name, {}).get("parameters"))
        values = {
            key: _convert_values(key, value if isinstance(value, list) else [value], parameters)
            for key, value in arguments.items()
        }
        accepted.append({"name": name, "accepted_arguments": values})
    return accepted


def _read_turns(question: Any, source: Source) -> list[list[Message]]:
    """Return the messages of each turn; a text, or a single list of messages, is one turn."""
    if isinstance(question, str):
        question = [{"role": "user", "content": row_fields.check_text(question, "question")}]
    if isinstance(question, list) and question and isinstance(question[0], dict):
        question = [question]
    if not isinstance(question, list) or not all(isinstance(turn, list) for turn in question):
        raise InvalidRowError(
            "question_not_turns",
            detail=f"question holds {show_value(question)}, not a list of turns",
        )
    return [
        [message for part in turn for message in turn_parsing.parse_turn(part, source)]
        for turn in question
    ]


def _read_answers(value: Any, turns: int) -> list[Any]:
    """Return the right calls of each turn; the calls of a single turn need no list around them."""
    if isinstance(value, str):  # a cell of a table
        value = row_fields.parse_json(value, "ground_truth")
    if not isinstance(value, list):
        raise _describe_answer(value)
    is_nested = turns > 1 or (bool(value) and isinstance(value[0], list))
    answers = value if is_nested else [value]
    if len(answers) != turns:
        raise InvalidRowError(
            "ground_truth_of_other_turns",
            detail=f"question has {turns} turns, ground_truth {len(answers)}",
        )
    return answers


def _read_call(call: Any, functions: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(call, str):
        return _parse_python_call(call, functions)
    if isinstance(call, dict) and isinstance(call.get("name"), str):
        function = tool_parsing.parse_tool_calls(call)[0]["function"]
        return function["name"], {key: [value] for key, value in function["arguments"].items()}
    if not isinstance(call, dict) or len(call) != 1:
        raise _describe_answer(call)
    ((name, arguments),) = call.items()
    if not isinstance(arguments, dict):
        raise _describe_answer(call)
    return name, arguments


def _parse_python_call(text: str, functions: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the call in a text such as `sort('a.txt', reverse=True)`; nothing is executed.

    Arguments without a name are the parameters of the function in their order.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError
        name = ast.unparse(call.func)
        properties = tool_schemas.normalize_parameters(
            functions.get(name, {}).get("parameters")
        ).get("properties", {})
        named = dict(zip(properties, call.args, strict=False)) if call.args else {}
        named |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        if len(named) < len(call.args) + len(call.keywords):
            raise ValueError
        return name, {key: [ast.literal_eval(node)] for key, node in named.items()}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise _describe_answer(text) from None


def _convert_values(key: str, values: list[Any], parameters: dict[str, Any]) -> list[Any]:
    """Return the accepted values of an argument in the types of its parameter."""
    if key in parameters.get("required", ()):
        values = [EMPTY if value == OMITTED else value for value in values]
    schema = parameters.get("properties", {}).get(key, {})
    return [_convert_value(value, schema) for value in values]


def _convert_value(value: Any, schema: dict[str, Any]) -> Any:
    """Return a value with floats where its schema says so, in lists too."""
    if type(value) is int and schema.get("type") == "number":
        return float(value)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_convert_value(item, schema["items"]) for item in value]
    return list(value) if isinstance(value, tuple) else value


def _make_reference(accepted: AcceptedCalls) -> Message:
    """Return an answer with the first accepted value of each argument."""
    calls = [
        {
            "name": call["name"],
            "arguments": {
                key: _choose_value(next((v for v in values if v != EMPTY), EMPTY))
                for key, values in call["accepted_arguments"].items()
                if values and OMITTED not in values
            },
        }
        for call in accepted
    ]
    if not calls:
        return {"role": "assistant", "content": NO_CALL}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": tool_parsing.parse_tool_calls(calls),
    }


def _choose_value(value: Any) -> Any:
    """Return a value in which each member of an object has the first of its accepted values."""
    if isinstance(value, list):
        return [_choose_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    lists = {key: child if isinstance(child, list) else [child] for key, child in value.items()}
    return {
        key: _choose_value(values[0])
        for key, values in lists.items()
        if values and OMITTED not in values
    }


def _make_results(reference: Message) -> Iterator[Message]:
    """Yield the messages between the calls of a turn and the next question."""
    if "tool_calls" in reference:
        for call in reference["tool_calls"]:
            yield {"role": "tool", "name": call["function"]["name"], "content": RESULT}
        yield {"role": "assistant", "content": DONE}


def _keep_from_learning(message: Message) -> Message:
    """Return a message of an earlier turn, which its own record teaches, if anything does."""
    return {**message, "weight": 0} if message["role"] == "assistant" else message


def _describe_answer(value: Any) -> InvalidRowError:
    return InvalidRowError(
        "ground_truth_not_calls",
        detail=f"ground_truth holds {show_value(value)}, not a list of calls such as "
        '{"function": {"argument": [values]}}',
    )
