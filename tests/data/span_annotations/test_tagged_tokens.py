"""Tags of tokens become spans, as conlleval and seqeval read them; tokens become a text."""

from typing import Any

import pytest

from lockstep.data.span_annotations import tagged_tokens
from tests.data.examples import make_source


def find(tags: str, **values: Any) -> list[tuple[str, int, int]]:
    """Return (type, first token, last token), the notation of seqeval's get_entities."""
    found = tagged_tokens.find_tagged(tags.split(), make_source("spans", **values))
    return [(name, start, end - 1) for (start, end), name in found]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        # the example in the documentation of seqeval's get_entities
        ("B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        # the example of seqeval's README, first sentence
        ("O O O B-MISC I-MISC I-MISC O", [("MISC", 3, 5)]),
        # IOB1, as CoNLL-2003 was published: B only between two spans of one type
        ("I-ORG O I-MISC B-MISC", [("ORG", 0, 0), ("MISC", 2, 2), ("MISC", 3, 3)]),
        ("S-PER B-LOC I-LOC E-LOC I-LOC", [("PER", 0, 0), ("LOC", 1, 3), ("LOC", 4, 4)]),
        ("B-PER L-PER U-PER U-PER", [("PER", 0, 1), ("PER", 2, 2), ("PER", 3, 3)]),
        ("B-NAME M-NAME E-NAME O", [("NAME", 0, 2)]),
        ("PER PER O PER LOC", [("PER", 0, 1), ("PER", 3, 3), ("LOC", 4, 4)]),
        ("B_first-name I_first-name", [("first-name", 0, 1)]),
    ],
)  # fmt: skip
def test_each_scheme_gives_spans(tags: str, entities: list[tuple[str, int, int]]) -> None:
    assert find(tags) == entities


def test_numbers_are_tags_by_their_names() -> None:
    names = ["O", "B-PER", "I-PER"]
    found = tagged_tokens.find_tagged([0, 1, 2], make_source("spans", label_names=names))
    assert found == [((1, 3), "PER")]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["EU", "rejects", "German", "call"], "EU rejects German call"),
        (["他", "在", "北", "京", "，", "看", "N", "B", "A"], "他在北京，看NBA"),
        (["東京", "へ", "行く"], "東京へ行く"),
        (["他", "用", "了", "这", "Deep", "Learning"], "他用了这Deep Learning"),
        (["He", "said", "你好", "again"], "He said 你好 again"),
    ],
)
def test_tokens_are_joined_as_their_language_is_written(tokens: list[str], text: str) -> None:
    joined, bounds = tagged_tokens.join_tokens(tokens)
    assert joined == text
    assert [joined[start:end] for start, end in bounds] == tokens


def test_a_text_without_tokens_has_a_tag_for_each_word_or_character() -> None:
    assert tagged_tokens.split_text("a bc", 2) == [(0, 1), (2, 4)]
    assert tagged_tokens.split_text("北京", 2) == [(0, 1), (1, 2)]
    assert tagged_tokens.locate_tokens("can't", ["ca", "n't"]) == [(0, 2), (2, 5)]
