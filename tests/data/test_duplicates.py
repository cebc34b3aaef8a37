"""Exact duplicates, conflicts and groups are found by keys."""

from dataclasses import replace

from lockstep.data import duplicates
from tests.data.examples import make_record


def test_duplicates_have_the_same_words_and_the_same_answer() -> None:
    records = [
        make_record("Hi  there!"),
        make_record("hi there"),
        make_record("hi there", "no"),
        make_record("Ｈi, there"),
    ]
    _, contents, _ = duplicates.compute_keys(records)
    assert duplicates.find_equal_pairs(contents).tolist() == [[0, 1], [0, 3]]


def test_equal_inputs_have_the_same_words_or_the_same_text_without_words() -> None:
    pairs = [("a", "x"), ("A?", "y"), ("a ", "x"), ("b", "x"), ("?", "x")]
    pairs += [("!", "y"), ("a b", "y"), ("ab", "x")]
    inputs, _, _ = duplicates.compute_keys([make_record(*pair) for pair in pairs])
    assert duplicates.find_equal_pairs(inputs).tolist() == [[0, 1], [0, 2]]


def test_plain_text_and_preferences_never_conflict() -> None:
    text = replace(make_record(""), messages=[{"role": "assistant", "content": "hi"}])
    inputs, _, _ = duplicates.compute_keys([text, replace(make_record("a"), rejected="no")])
    assert not inputs.any()


def test_the_conflict_policy_decides_which_answers_are_removed() -> None:
    answers = ["x", "y", "x"]
    assert duplicates.find_removed_answers(answers, "keep") == []
    assert duplicates.find_removed_answers(answers, "drop") == [0, 1, 2]
    assert duplicates.find_removed_answers(answers, "majority") == [1]
    assert duplicates.find_removed_answers(answers[:2], "majority") == [0, 1]


def test_records_with_equal_group_keys_are_one_group_and_others_have_none() -> None:
    users = ["u1", "", "u2", "u1", "", "u1"]
    _, _, groups = duplicates.compute_keys([make_record("a", group=user) for user in users])
    pairs = duplicates.find_equal_pairs(groups)
    assert duplicates.group_pairs(6, [pairs]).tolist() == [0, 1, 2, 0, 3, 0]


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
    inputs, contents, _ = duplicates.compute_keys(records)
    assert len(duplicates.find_equal_pairs(inputs)) == 0
    assert len(duplicates.find_equal_pairs(contents)) == 0
