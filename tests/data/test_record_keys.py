"""Records are duplicates if question and answer are equal, and what counts for that."""

from dataclasses import replace
from typing import Any

from lockstep.data import duplicates, record_keys
from lockstep.records import Record
from tests.data.examples import make_record


def find_equal(records: list[Record], name: str) -> list[list[int]]:
    """Return the pairs of records with equal keys of this name."""
    keys, _ = record_keys.compute_keys(records)
    pairs: list[list[int]] = duplicates.find_equal_pairs(getattr(keys, name)).tolist()
    return pairs


def make_conversation(*turns: tuple[str, str], **values: Any) -> Record:
    messages = [{"role": role, "content": content} for role, content in turns]
    return replace(make_record(""), messages=messages, **values)


def test_duplicates_have_the_same_words_and_the_same_answer() -> None:
    records = [
        make_record("Hi  there!"),
        make_record("hi there"),
        make_record("hi there", "no"),
        make_record("Ｈi, there"),
    ]
    assert find_equal(records, "contents") == [[0, 1], [0, 3]]


def test_equal_inputs_have_the_same_words_or_the_same_text_without_words() -> None:
    pairs = [("a", "x"), ("A?", "y"), ("a ", "x"), ("b", "x"), ("?", "x")]
    pairs += [("!", "y"), ("a b", "y"), ("ab", "x")]
    assert find_equal([make_record(*pair) for pair in pairs], "inputs") == [[0, 1], [0, 2]]


def test_numbers_and_signs_are_part_of_the_question() -> None:
    questions = ["what is c", "what is c++", "what is c#", "is a<b", "is a>b", "5", "-5", "order 7"]
    assert find_equal([make_record(question) for question in questions], "inputs") == []


def test_the_system_turn_and_the_roles_are_part_of_the_question() -> None:
    question, answer = ("user", "is it raining"), ("assistant", "Yes")
    records = [
        make_conversation(("system", "Say only yes."), question, answer),
        make_conversation(("system", "Say only yes or no."), question, answer),
        make_conversation(question, answer),
        make_conversation(("system", "say only YES"), question, answer),
        make_conversation(("user", "Say only yes."), ("assistant", "is it raining"), answer),
    ]
    assert find_equal(records, "contents") == [[0, 3]]


def test_different_tools_or_tool_calls_make_different_inputs() -> None:
    plain = make_record("where is it")
    tool = {"type": "function", "function": {"name": "track"}}
    records = [plain, replace(plain, tools=[tool])]
    for number in (1, 2):
        function = {"name": "track", "arguments": {"n": number}}
        calls = [{"type": "function", "function": function}]
        calling = {"role": "assistant", "content": "", "tool_calls": calls}
        result = {"role": "tool", "content": "Lyon"}
        messages = [plain.messages[0], calling, result, plain.messages[1]]
        records.append(replace(plain, messages=messages))
    assert find_equal(records, "inputs") == []
    assert find_equal(records, "contents") == []


def test_the_reasoning_is_part_of_the_answer() -> None:
    plain = make_record("where is it")
    thoughts = [
        replace(plain, messages=[plain.messages[0], {**plain.messages[1], "reasoning_content": t}])
        for t in ("a", "b", "a")
    ]
    assert find_equal([plain, *thoughts], "contents") == [[1, 3]]


def test_the_margin_and_the_accepted_calls_are_part_of_the_answer() -> None:
    """Two ratings of a pair both count, and two sets of right calls are no copies of each other."""
    plain = make_record("where is it")
    pair = replace(plain, rejected="no")
    pairs = [pair, *(replace(pair, margin=margin) for margin in (1.0, 2.0, 1.0))]
    assert find_equal(pairs, "contents") == [[1, 3]]
    calls = [[{"name": "track", "accepted_arguments": {"n": values}}] for values in ([1], [1, 2])]
    benchmark = [replace(plain, accepted_calls=accepted) for accepted in (*calls, calls[0], [])]
    assert find_equal([plain, *benchmark], "contents") == [[1, 3]]
    assert len(find_equal([plain, *benchmark], "inputs")) == 4


def test_only_one_right_answer_can_be_contradicted() -> None:
    """A question has several preference pairs, good and bad answers, and ratings."""
    plain = make_record("a")
    records = [
        plain,
        make_record("a", "4", source="ratings.csv"),
        replace(plain, rejected="no"),
        replace(plain, desirable=True),
        replace(plain, desirable=False),
        make_conversation(("assistant", "plain text")),
    ]
    single = record_keys.find_single_answers(records, {"ratings.csv"})
    assert single.tolist() == [True, False, False, False, False, False]


def test_the_normalized_text_is_that_of_all_user_turns() -> None:
    records = [
        make_conversation(
            ("user", "One"), ("assistant", "x"), ("user", "two!"), ("assistant", "y")
        ),
        make_conversation(("assistant", "Plain text")),
        make_conversation(("system", "s"), ("user", "c"), ("assistant", "d")),
    ]
    _, texts = record_keys.compute_keys(records)
    bounds = zip(texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), strict=True)
    found = ["".join(map(chr, texts.codes[begin:end].tolist())) for begin, end in bounds]
    assert found == ["onetwo", "plaintext", "c"]


def test_numbers_of_the_answer_that_the_question_has_not_tell_calculations_apart() -> None:
    pairs = [("order 12", "12 comes in 3 days"), ("order 47", "47 comes in 3 days")]
    pairs += [("1 + 3", "4"), ("2 + 5", "7"), ("where", "in 3 days"), ("where", "soon")]
    keys = record_keys.compute_answer_numbers([make_record(*pair) for pair in pairs])
    first, second, third, fourth, fifth, sixth = keys.tolist()
    assert first == second == fifth
    assert len({first, third, fourth, sixth}) == 4
