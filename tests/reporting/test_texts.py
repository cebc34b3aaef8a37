"""Texts: every message has a translation with the same fields, and no translation is unused."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from lockstep.reporting import texts
from lockstep.reporting.texts import Text, capitalize, join_texts, say, translate_term

FOLDER = Path(texts.__file__).parent


def list_messages() -> set[str]:
    """Return the messages of `say` and `t` in the code and the templates of the report."""
    messages = set()
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "say" and isinstance(node.args[0], ast.Constant):
                messages.add(node.args[0].value)
    for file in FOLDER.rglob("*.j2"):
        messages |= {*re.findall(r'\bt\("([^"]*)"', file.read_text("utf-8"))}
    return messages


def test_each_message_has_a_translation() -> None:
    assert list_messages() - texts.read_catalog().keys() == set()


def list_fields(message: str) -> set[str]:
    """Return the names of the {fields} of a message."""
    return {name for _, name, _, _ in Formatter().parse(message) if name is not None}


@pytest.mark.parametrize(("message", "translation"), texts.read_catalog().items())
def test_a_translation_has_the_fields_of_its_message(message: str, translation: str) -> None:
    assert list_fields(translation) == list_fields(message)


def test_each_translated_sentence_is_used() -> None:
    """Terms may come from data and other packages; sentences with fields are the report's own."""
    source = "".join(
        file.read_text("utf-8") for file in FOLDER.rglob("*") if file.suffix in (".py", ".j2")
    )
    joined = re.sub(r'"\s*\n\s*"', "", source)  # implicit concatenation of two lines
    sentences = [message for message in texts.read_catalog() if "{" in message]
    assert [message for message in sentences if message not in joined] == []


def test_values_are_filled_in_by_language() -> None:
    text = say("{task} {metric}", task="intent", metric=translate_term("accuracy"))
    assert (text, text.en, text.zh) == ("intent accuracy", "intent accuracy", " intent 准确率")
    with pytest.raises(KeyError):
        say("A sentence without a translation")


def test_terms_are_joined_and_capitalized_by_language() -> None:
    text = capitalize(join_texts(", ", [translate_term("loss"), Text("b", "乙")]))
    assert (text.en, text.zh) == ("Loss, b", "损失、乙")
