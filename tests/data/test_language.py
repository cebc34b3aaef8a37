"""The script tells the language, as far as it can."""

import pytest

from lockstep.data import language


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Where is my parcel?", "latin"),
        ("Où est mon colis ?", "latin"),
        ("我的包裹在哪里？", "zh"),
        ("iPhone 15 的价格是多少", "zh"),
        ("please translate 你好 into English", "latin"),
        ("これは本です", "ja"),
        ("안녕하세요", "ko"),
        ("Где моя посылка?", "ru"),
        ("12345 …", "none"),
        ("", "none"),
    ],
)
def test_the_language_of_a_text(text: str, name: str) -> None:
    assert language.of(text) == name


def test_what_tells_nothing_is_alike_with_everything() -> None:
    assert language.alike("你好", "42") and language.alike("你好", "再见")
    assert not language.alike("你好", "hello")
