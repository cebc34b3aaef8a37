"""Facts in long texts: as long as asked, as deep as asked, and always the same."""

import re
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.metrics import rules
from lockstep.models import chat
from lockstep.predicting import retrieval
from lockstep.predicting.retrieval import Retrieval
from lockstep.records import Record

LENGTHS = [300, 900]
DEPTHS = [0.0, 0.25, 1.0]
CHOSEN = Retrieval(lengths=LENGTHS, depths=DEPTHS, languages=["en", "zh"], records=2)


def tokens(tokenizer: Any, row: Record) -> int:
    return len(chat.encode_prompt(tokenizer, row.prompt))


def test_each_length_depth_and_language_has_its_records(tokenizer: Any) -> None:
    rows = retrieval.made(tokenizer, CHOSEN, 7)
    found = [(row.slices["language"], row.slices["length"], row.slices["depth"]) for row in rows]
    assert found == [
        (language, str(length), depth)
        for language in ("en", "zh")
        for length in LENGTHS
        for depth in ("0", "0.25", "1")
        for _ in range(2)
    ]
    assert {row.task for row in rows} == {"retrieval"}
    assert len({row.id for row in rows}) == len(rows) == 24


def test_prompts_are_as_long_as_wanted_but_for_a_sentence(tokenizer: Any) -> None:
    for row in retrieval.made(tokenizer, CHOSEN, 7):
        sentences = re.split(r"(?<=[.。]) ?", row.question.split("\n\n")[1])
        longest = max(len(chat.encode_text(tokenizer, f" {sentence}")) for sentence in sentences)
        wanted = int(row.slices["length"])
        assert wanted - longest - 2 <= tokens(tokenizer, row) <= wanted, row.origin


def test_the_fact_stands_at_its_depth_and_holds_the_only_number(tokenizer: Any) -> None:
    for row in retrieval.made(tokenizer, CHOSEN, 7):
        (code,) = re.findall(r"\d+", row.question)
        log = row.question.split("\n\n")[1]
        sentences = [one for one in re.split(r"(?<=[.。]) ?", log) if one]
        (place,) = [at for at, one in enumerate(sentences) if code in one]
        depth = float(row.slices["depth"])
        assert place == pytest.approx(depth * (len(sentences) - 1), abs=0.5)
        assert rules.followed(row.answer, f"It is {code}.") == [True]
        assert rules.followed(row.answer, f"It is 1{code}.") == [False]


def test_a_seed_gives_the_same_texts_and_another_one_others(tokenizer: Any) -> None:
    ids = [row.id for row in retrieval.made(tokenizer, CHOSEN, 7)]
    assert ids == [row.id for row in retrieval.made(tokenizer, CHOSEN, 7)]
    assert not set(ids) & {row.id for row in retrieval.made(tokenizer, CHOSEN, 8)}


def test_a_length_that_does_not_hold_the_fact_is_refused(tokenizer: Any) -> None:
    with pytest.raises(UserError, match=r"^retrieval: 12 tokens do not hold .* ask for more$"):
        retrieval.made(tokenizer, CHOSEN.model_copy(update={"lengths": [12]}), 7)


def test_texts_longer_than_all_sentences_begin_again(tokenizer: Any) -> None:
    chosen = Retrieval(lengths=[60_000], depths=[0.5], languages=["zh"], records=1)
    (row,) = retrieval.made(tokenizer, chosen, 7)
    assert 59_900 < tokens(tokenizer, row) <= 60_000
