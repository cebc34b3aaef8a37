"""What shares n words in a row with a held-out text is found, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import contamination, shingles
from lockstep.errors import UserError


def found(texts: list[str], held_out: list[str], words: int) -> list[str]:
    grams = shingles.word_grams(shingles.normalize(texts), words)
    holds = contamination.holds(grams, contamination.all_grams(held_out, words))
    return [text for text, held in zip(texts, holds, strict=True) if held]


def test_a_run_of_words_is_found_across_case_and_punctuation() -> None:
    texts = [
        "please: WHERE is my blue parcel now?",
        "where is my red parcel now",
        "我想知道蓝色包裹在哪里",
        "short",
    ]
    held_out = ["Where is my blue parcel", "蓝色包裹在哪"]
    assert found(texts, held_out, 5) == [texts[0], texts[2]]
    assert found(texts, held_out, 0) == []
    assert found(texts, [], 5) == []
    assert found(texts, ["too few"], 5) == []


WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "价"]), max_size=9)


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5), st.integers(1, 4))
def test_found_is_what_comparing_lists_of_words_finds(
    ours: list[list[str]], theirs: list[list[str]], n: int
) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    texts = [" ".join(words) for words in ours]
    known = set().union(*map(runs, theirs)) if theirs else set()
    wanted = [text for text, words in zip(texts, ours, strict=True) if runs(words) & known]
    assert found(texts, [" ".join(words) for words in theirs], n) == wanted


def test_every_text_of_a_benchmark_counts(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"turns": ["one", {"x": "two"}], "n": NaN}\n')
    (tmp_path / "c.csv").write_text("prompt,label\nthree,safe\n")
    found = contamination.benchmark_texts(tmp_path, ["b.jsonl", "c.csv"])
    assert found == {"b.jsonl": ["one", "two"], "c.csv": ["three", "safe"]}


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("b.jsonl", b'{"a": "ok"}\n{broken\n', "b.jsonl:2: not JSON; repair it or correct "),
        ("b.jsonl", b"", "b.jsonl: no text in it; correct "),
        ("b.csv", b"a,b\n1,2,3\n", "b.csv:2: not JSON; repair it or correct "),
        ("b.jsonl", b'{"a": "caf\xe9"}\n', "b.jsonl: not utf-8 at byte 10; it looks like "),
        ("none.csv", None, "none.csv: not found; put it there or correct "),
    ],
)
def test_a_benchmark_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, data: bytes | None, line: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as refusal:
        contamination.benchmark_texts(tmp_path, [name])
    assert refusal.value.message.startswith(f"{tmp_path}/{line}")
    assert "prepare.sources" not in refusal.value.message
