"""The language is detected from the script."""

import pytest

from lockstep.data import language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is my parcel?", "latin"),
        ("Où est mon colis ?", "latin"),
        ("我的包裹在哪里？", "zh"),
        ("iPhone 15 的价格是多少", "zh"),
        ("please translate 你好 into English", "latin"),
        ("これは本です", "ja"),
        ("ｶﾀｶﾅ", "ja"),
        ("列奥纳多・达・芬奇", "zh"),
        ("안녕하세요", "ko"),
        ("ㅋㅋㅋ", "ko"),
        ("Где моя посылка?", "ru"),
        ("12345 …", "none"),
        ("", "none"),
    ],
)
def test_the_language_of_a_text_is_detected(text: str, expected: str) -> None:
    assert language.detect_language(text) == expected


def test_a_text_without_a_language_matches_any_language() -> None:
    assert language.is_same_language("你好", "42") and language.is_same_language("你好", "再见")
    assert not language.is_same_language("你好", "hello")
