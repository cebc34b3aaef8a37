"""Text that is streamed is the text of the whole answer, also where characters are in parts."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.serving.answer_text import AnswerText
from lockstep.serving.engines.engine_protocol import Part
from tests.conftest import STARTER

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


STARTER_TOKENIZER = loading.load_tokenizer(STARTER)


def stream(tokenizer: ChatTokenizer, ids: list[int]) -> str:
    answer = AnswerText(tokenizer)
    return "".join([answer.add(Part([token])) for token in ids]) + answer.finish()


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("<|endoftext|>")
@example("a <|im_end|> b <|im_")
def test_any_text_is_streamed_as_predict_reads_it(text: str) -> None:
    ids = STARTER_TOKENIZER.encode_text(text)
    assert stream(STARTER_TOKENIZER, ids) == STARTER_TOKENIZER.parse_answer(ids).text


def build_byte_fallback_tokenizer() -> ChatTokenizer:
    """Return a tokenizer whose decoder is that of Llama 2: spaces are marks, rare characters bytes.

    The decoder removes the first space of a text.
    """
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁a", "b", "▁▁"]
    core = Tokenizer(
        models.BPE({piece: at for at, piece in enumerate(pieces)}, [], unk_token="<unk>")
    )
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")
    return ChatTokenizer(tokenizer)


BYTE_FALLBACK = build_byte_fallback_tokenizer()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["▁", "▁a", "b", "▁▁", "é", "龘", "🙂"]), max_size=20))
def test_spaces_and_bytes_of_llama_are_streamed_as_predict_reads_them(pieces: list[str]) -> None:
    names = []
    for piece in pieces:
        is_token = piece[0] == "▁" or piece == "b"
        names += [piece] if is_token else [f"<0x{byte:02X}>" for byte in piece.encode()]
    ids = BYTE_FALLBACK.pretrained.convert_tokens_to_ids(names)
    assert stream(BYTE_FALLBACK, ids) == BYTE_FALLBACK.parse_answer(ids).text


def test_a_control_token_in_the_middle_is_removed(starter_tokenizer: ChatTokenizer) -> None:
    pad = starter_tokenizer.pretrained.convert_tokens_to_ids("<|im_start|>")
    ids = [*starter_tokenizer.encode_text("one "), pad, *starter_tokenizer.encode_text("two")]
    assert stream(starter_tokenizer, ids) == "one two" == starter_tokenizer.parse_answer(ids).text


def test_a_long_answer_costs_no_more_per_token_than_a_short_one(
    starter_tokenizer: ChatTokenizer,
) -> None:
    ids = starter_tokenizer.encode_text("Order 4711 has been shipped. " * 500)

    def measure(count: int) -> float:
        start = time.process_time()
        stream(starter_tokenizer, ids[:count])
        return (time.process_time() - start) / count

    measure(100)
    assert measure(4000) < 4 * min(measure(400) for _ in range(3))
