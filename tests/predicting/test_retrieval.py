"""Long-context records: their length, the depth of the fact, and the same texts for a seed."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.metrics.rules import checking
from lockstep.predicting.retrieval import RetrievalParams, generate_records
from lockstep.records import Record

LENGTHS = [300, 900]
DEPTHS = [0.0, 0.25, 1.0]
PARAMS = RetrievalParams(lengths=LENGTHS, depths=DEPTHS, languages=["en", "zh"], records=2)


def count_by(tokenizer: Any) -> Callable[[str], int]:
    """Return the function that counts the tokens of a prompt with its chat template."""
    return lambda text: len(tokenizer.encode_prompt([{"role": "user", "content": text}]))


def count_prompt_tokens(tokenizer: Any, row: Record) -> int:
    return len(tokenizer.encode_prompt(row.prompt))


def test_each_length_depth_and_language_has_its_records(tokenizer: Any) -> None:
    rows = generate_records(count_by(tokenizer), PARAMS, 7)
    slices = [(row.slices["language"], row.slices["length"], row.slices["depth"]) for row in rows]
    assert slices == [
        (language, str(length), depth)
        for language in ("en", "zh")
        for length in LENGTHS
        for depth in ("0", "0.25", "1")
        for _ in range(2)
    ]
    assert {row.task for row in rows} == {"retrieval"}
    assert len({row.id for row in rows}) == len(rows) == 24


def test_a_prompt_is_less_than_one_sentence_shorter_than_its_length(tokenizer: Any) -> None:
    for row in generate_records(count_by(tokenizer), PARAMS, 7):
        sentences = re.split(r"(?<=[.。]) ?", row.question.split("\n\n")[1])
        longest = max(len(tokenizer.encode_text(f" {sentence}")) for sentence in sentences)
        length = int(row.slices["length"])
        assert length - longest - 2 <= count_prompt_tokens(tokenizer, row) <= length, row.origin


def test_the_fact_stands_at_its_depth_and_has_the_only_number(tokenizer: Any) -> None:
    for row in generate_records(count_by(tokenizer), PARAMS, 7):
        (code,) = re.findall(r"\d+", row.question)
        log = row.question.split("\n\n")[1]
        sentences = [text for text in re.split(r"(?<=[.。]) ?", log) if text]
        (position,) = [index for index, text in enumerate(sentences) if code in text]
        depth = float(row.slices["depth"])
        assert position == pytest.approx(depth * (len(sentences) - 1), abs=0.5)
        assert checking.check_rules(row.answer, f"It is {code}.") == [True]
        assert checking.check_rules(row.answer, f"It is 1{code}.") == [False]


def test_a_seed_gives_the_same_texts_and_another_seed_gives_others(tokenizer: Any) -> None:
    ids = [row.id for row in generate_records(count_by(tokenizer), PARAMS, 7)]
    assert ids == [row.id for row in generate_records(count_by(tokenizer), PARAMS, 7)]
    assert not set(ids) & {row.id for row in generate_records(count_by(tokenizer), PARAMS, 8)}


def test_a_length_that_does_not_hold_the_fact_is_refused(tokenizer: Any) -> None:
    line = (
        r"^params.yaml: predict.retrieval.lengths: 12 tokens do not hold a question and its fact, "
        r"which take \d+ tokens; raise it$"
    )
    with pytest.raises(UserError, match=line):
        generate_records(count_by(tokenizer), PARAMS.model_copy(update={"lengths": [12]}), 7)


def test_a_text_longer_than_all_sentences_repeats_them(tokenizer: Any) -> None:
    params = RetrievalParams(lengths=[60_000], depths=[0.5], languages=["zh"], records=1)
    (row,) = generate_records(count_by(tokenizer), params, 7)
    assert 59_900 < count_prompt_tokens(tokenizer, row) <= 60_000


def test_a_language_that_the_tokenizer_does_not_know_is_refused() -> None:
    """T5's tokenizer turns a Chinese text into one unknown token."""

    def count_words(text: str) -> int:
        return len(re.findall(r"[a-z]+|[^ -~]+", text))

    with pytest.raises(UserError, match=r"^params\.yaml: predict\.retrieval\.languages: .* zh; "):
        generate_records(count_words, PARAMS, 7)
