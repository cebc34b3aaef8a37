"""New phrasings: as many words changed as asked, case and protected values kept."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus import augmentation
from stages.errors import Refusal
from stages.records import Record

SYNONYMS = {"refund": ["repayment"], "order": ["purchase"], "café": ["bar"], "退款": ["退钱"]}


def row(question: str, answer: str) -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="slots", source="a.csv", origin="a.csv:2",
    )  # fmt: skip


def replaced(text: str, rate: float = 1.0) -> str:
    return augmentation.replace_synonyms(text, rate, random.Random(7), SYNONYMS)


@pytest.mark.parametrize(("words", "gone"), [(3, 1), (20, 1), (40, 2), (100, 5)])
def test_deletion_takes_one_word_in_twenty_and_at_least_one(words: int, gone: int) -> None:
    text = " ".join("word" + "abcdefghij"[n % 10] for n in range(words))
    after = augmentation.delete(text, 0.05, random.Random(7))
    assert len(after.split()) == words - gone


@pytest.mark.parametrize("text", ["", "refund", "refund please", "退款", "1 2 3 4"])
def test_deletion_leaves_short_text_alone(text: str) -> None:
    assert augmentation.delete(text, 0.5, random.Random(7)) == text


def test_deletion_takes_single_chinese_characters() -> None:
    text = "请问我的订单12345什么时候发货"
    after = augmentation.delete(text, 0.05, random.Random(7))
    assert len(after) == len(text) - 1
    assert "12345" in after


def test_deletion_takes_a_word_with_its_apostrophe_and_one_of_its_blanks() -> None:
    results = {augmentation.delete("don't you see", 0.1, random.Random(n)) for n in range(50)}
    assert results == {"you see", "don't see", "don't you"}


@pytest.mark.parametrize("text", ["one two three", "请问退款", "a b c d e f g h"])
def test_deletion_never_takes_everything(text: str) -> None:
    assert len(augmentation.delete(text, 1.0, random.Random(7))) > 0


@given(st.text(max_size=40), st.floats(0, 1), st.integers(0, 9))
def test_deletion_keeps_every_digit(text: str, rate: float, seed: int) -> None:
    after = augmentation.delete(text, rate, random.Random(seed))
    assert [c for c in after if c.isdecimal()] == [c for c in text if c.isdecimal()]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("refund my order", "repayment my purchase"),
        ("Refund my Order", "Repayment my Purchase"),
        ("refunds, reorder, order_id", "refunds, reorder, order_id"),
        ("the café, not cafés", "the bar, not cafés"),
        ("我要退款，谢谢", "我要退钱，谢谢"),
        ("nothing here", "nothing here"),
    ],
)
def test_synonyms_replace_whole_words_and_keep_their_case(text: str, after: str) -> None:
    assert replaced(text) == after


def test_synonyms_replace_the_share_asked_for() -> None:
    assert replaced("order order order order", rate=0.5).split().count("purchase") == 2
    assert replaced("order order order order", rate=0.0).split().count("purchase") == 1


def test_the_longest_entry_is_replaced_first() -> None:
    synonyms = {"退": ["还"], "退款": ["退钱"]}
    after = augmentation.replace_synonyms("退款", 1.0, random.Random(7), synonyms)
    assert after == "退钱"


@given(st.text(st.sampled_from("iIİıſskKKıf ")), st.integers(0, 9))
def test_letters_that_only_resemble_an_entry_are_left(text: str, seed: int) -> None:
    """A regular expression that ignores case takes the Turkish ı for an i."""
    synonyms = {"if": ["when"], "i": ["we"], "k": ["okay"]}
    after = augmentation.replace_synonyms(text, 1.0, random.Random(seed), synonyms)
    assert after.count("ı") == text.count("ı")


def test_the_dictionary_is_read_by_word(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.tsv"
    file.write_text(
        "en\tRefund\trepayment, money back\nen\trefund\treturn\nzh\t退款\t退钱\n", "utf-8"
    )
    assert augmentation.read_synonyms(file) == {
        "refund": ["repayment", "money back", "return"],
        "退款": ["退钱"],
    }


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"en\trefund\trepayment\nen refund repayment\n", ":2: must be language, word and syn"),
        (b"en\trefund\t \n", ":1: must be language, word and synonyms, tab-separated"),
        (b"en\trefund\t , ,\n", ":1: must be language, word and synonyms, tab-separated"),
        (b"en\t\trefund\n", ":1: must be language, word and synonyms, tab-separated"),
        (b"", ": empty; add synonyms or set augment.synonyms.share to 0"),
        (b"en\tcaf\xe9\tbar\n", ": not UTF-8 at byte 6; save it as UTF-8"),
    ],
)
def test_a_bad_dictionary_is_refused_in_one_line(tmp_path: Path, data: bytes, line: str) -> None:
    file = tmp_path / "synonyms.tsv"
    file.write_bytes(data)
    with pytest.raises(Refusal) as refusal:
        augmentation.read_synonyms(file)
    assert refusal.value.message.startswith(f"{file}{line}")
    assert "\n" not in refusal.value.message


def test_children_are_the_share_asked_for_and_depend_on_their_parent_alone() -> None:
    parents = [row(f"question {n}", "yes") for n in range(1000)]

    def made(records: list[Record], method: str, seed: int) -> dict[str, str]:
        pairs = augmentation.children(
            records, method, 0.1, lambda text, draw: f"{text} {draw.random()}", seed
        )
        return {parent.id: child.question for parent, child in pairs}

    first = made(parents, "deletion", 7)
    assert 70 <= len(first) <= 130
    assert made(parents[::-1], "deletion", 7) == first
    half = made(parents[:500], "deletion", 7)
    assert half.items() <= first.items(), "more data changes no child of the old data"
    assert made(parents, "synonyms", 7).keys() != first.keys()
    assert made(parents, "deletion", 8).keys() != first.keys()
    assert made([], "deletion", 7) == {}


def test_a_child_names_its_parent_and_method_and_keeps_the_answer() -> None:
    parent = row("refund", "yes")
    ((_, child),) = augmentation.children(
        [parent], "synonyms", 1.0, lambda text, draw: replaced(text), 7
    )
    assert (child.origin, child.question) == (f"{parent.id}:synonyms", "repayment")
    assert (child.answer, child.task, child.source) == ("yes", "slots", "a.csv")


@pytest.mark.parametrize(
    ("question", "answer", "values"),
    [
        ("Send it to Ann in Oslo", {"name": "Ann", "city": "Oslo"}, ["Ann", "Oslo"]),
        ("Send it to Ann", {"name": "Ann", "city": "Oslo"}, ["Ann"]),
        ("送到北京", {"city": "北京", "paid": True}, ["北京"]),
    ],
)
def test_json_values_found_in_the_question_are_protected(
    question: str, answer: dict[str, object], values: list[str]
) -> None:
    parent = row(question, json.dumps(answer, ensure_ascii=False))
    assert augmentation.protected(parent) == values


def test_numbers_found_in_question_and_answer_are_protected() -> None:
    parent = row("Order 12345 of 3 items, 7 days ago", "I see order 12345 with 3 items, 8 days")
    assert augmentation.protected(parent) == ["12345", "3"]
