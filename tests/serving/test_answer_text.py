"""Text that is streamed is the text of the whole answer, also where characters are in parts."""

import pytest

from lockstep.models.chat import ChatTokenizer
from lockstep.serving.answer_text import AnswerText
from lockstep.serving.engine_protocol import Part

TEXT = "龘 naïve 🙂 order"


def test_no_part_of_a_character_is_returned(starter_tokenizer: ChatTokenizer) -> None:
    ids = starter_tokenizer.encode_answer(TEXT)
    answer = AnswerText(starter_tokenizer)
    parts = [answer.add(Part([token])) for token in ids]
    assert len(ids) > len(TEXT.split())
    assert not any("\ufffd" in part for part in parts)
    assert "".join(parts) + answer.finish() == TEXT == starter_tokenizer.parse_answer(ids).text
    assert (answer.finish_reason, answer.count) == ("stop", len(ids))


def test_tokens_that_llama_cpp_withholds_are_read_from_the_text(
    starter_tokenizer: ChatTokenizer,
) -> None:
    """Of a character in several tokens, llama.cpp streams the last token and the whole text."""
    ids = starter_tokenizer.encode_text("龘")
    assert len(ids) > 1
    answer = AnswerText(starter_tokenizer)
    assert answer.add(Part(ids[-1:], "龘", len(ids))) == "龘"
    assert answer.count == len(ids)


def test_what_follows_an_end_token_is_no_part_of_the_answer(
    starter_tokenizer: ChatTokenizer,
) -> None:
    answer = AnswerText(starter_tokenizer)
    more = starter_tokenizer.encode_text(" more")
    text = answer.add(Part([*starter_tokenizer.encode_answer("Yes."), *more]))
    assert text + answer.finish() == "Yes."


@pytest.mark.parametrize("step", [1, 3, 50])
def test_a_stop_sequence_is_found_across_tokens(
    starter_tokenizer: ChatTokenizer, step: int
) -> None:
    ids = starter_tokenizer.encode_text("one two three four")
    answer = AnswerText(starter_tokenizer, ["three", "o three"])
    text = ""
    for start in range(0, len(ids), step):
        text += answer.add(Part(ids[start : start + step]))
        if answer.is_complete:
            break
    assert text + answer.finish() == "one tw"
    assert answer.finish_reason == "stop"
