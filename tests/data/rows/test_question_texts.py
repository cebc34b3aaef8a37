"""Questions that hold turns are read as conversations, and names of speakers are no text."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.rows.test_transcripts import list_texts, parse
from tests.data.test_source_reading import read, write_rows

TURNS = [("user", "Hi"), ("assistant", "Hello, you?"), ("user", "Fine"), ("assistant", "Good.")]
CHATML = "<|im_start|>{}\n{}<|im_end|>\n"


@pytest.mark.parametrize(
    "question",
    [
        "Human:Hi\nAssistant:Hello, you?\nHuman:Fine\nAssistant:",
        "Human：Hi\nAssistant：Hello, you?\nHuman：Fine\nAssistant：\n",
        "User: Hi\n\nAssistant: Hello, you?\n\nUser: Fine\n\nAssistant: ",
        "用户：Hi\n助手：Hello, you?\n用户：Fine\n助手：",
        "问：Hi\n答：Hello, you?\n问：Fine\n答：",
        "### Human: Hi### Assistant: Hello, you?### Human: Fine### Assistant:",
        "Hi<extra_id_1>Assistant\nHello, you?\n<extra_id_1>User\nFine",
        "<extra_id_1>User\nHi\n<extra_id_1>Assistant\nHello, you?\n<extra_id_1>User\nFine\n"
        "<extra_id_1>Assistant\n",
        "".join(CHATML.format(*turn) for turn in TURNS[:3]) + "<|im_start|>assistant\n",
        "[INST] Hi [/INST] Hello, you? </s><s>[INST] Fine [/INST]",
    ],
)
@pytest.mark.parametrize("format", ["alpaca", "prompt_completion", "preference"])
def test_turns_in_a_question_are_turns(question: str, format: str) -> None:
    row: dict[str, Any] = {"prompt": question, "completion": "Good."}
    if format == "alpaca":
        row = {"instruction": question, "input": "", "output": "Good."}
    elif format == "preference":
        row = {"prompt": question, "chosen": "Good.", "rejected": "Bad."}
    conversation = parse(row, format)
    assert list_texts(conversation) == TURNS
    assert list(conversation.notes) == ["turns_in_question"]


def test_a_prompt_of_one_question_is_that_question() -> None:
    for prompt in (
        "Human: Hi\nAssistant:",
        "Below is an instruction that describes a task. Answer it.\n\n### Instruction:\nHi\n\n"
        "### Response:\n",
    ):
        conversation = parse({"prompt": prompt, "completion": "Good."}, "prompt_completion")
        assert list_texts(conversation) == [("user", "Hi"), ("assistant", "Good.")]


@pytest.mark.parametrize(
    "question",
    [
        "User: Hi\nAssistant: Hello\nUser: Bye",  # a dialogue to be summed up
        "Summarise.\nHuman: Hi\nAssistant:",
        "Human: Hi\nHuman: Hi\nAssistant:",
        "Human: a\nAssistant: b\n\nAssistant: c\nHuman: d\nAssistant:",
        "Name: Ada\nAnswer:",
        "The Assistant:",
    ],
)
def test_other_questions_stay_one_text(question: str) -> None:
    row = {"instruction": question, "output": "Good."}
    conversation = parse(row, "alpaca")
    assert list_texts(conversation) == [("user", question), ("assistant", "Good.")]
    assert "turns_in_question" not in conversation.notes


def test_turns_in_questions_are_counted(tmp_path: Path) -> None:
    row = {"instruction": "Human: Hi\nAssistant:", "output": "Good."}
    write_rows(tmp_path, [row, {"instruction": "Hi?", "output": "Good."}])
    _, _, (report,) = read(tmp_path, {"format": "alpaca"})
    assert report.noted == {"turns_in_question": 1}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("问：", "答："),
        ("问: ", "答: "),
        ("Human: ", "Assistant: "),
        ("### User:\n", "### Assistant:\n"),
    ],
)
def test_names_before_a_question_and_its_answer_are_left_out(question: str, answer: str) -> None:
    row = {"prompt": f"{question}Hi", "completion": f"{answer}Good."}
    conversation = parse(row, "prompt_completion")
    assert list_texts(conversation) == [("user", "Hi"), ("assistant", "Good.")]
    assert list(conversation.notes) == ["speaker_names"]
    row = {"prompt": f"{question}Hi", "chosen": f"{answer}Good.", "rejected": f"{answer}Bad."}
    assert parse(row, "preference").rejected == "Bad."


@pytest.mark.parametrize(
    ("question", "answer", "is_noted"),
    [
        ("Q: Hi", "A: Good.", True),
        ("Question: Hi", "Answer: Good.", True),
        ("Human: Hi", "Good.", True),
        ("Hi", "答：Good.", True),
        ("Hi", "A: Good.", False),
        ("Q: Hi", "Good.", False),
        ("问题：Hi", "Good.", False),
        ("Human:", "Assistant:", False),
    ],
)
def test_names_that_may_be_text_are_learnt_and_noted(
    question: str, answer: str, is_noted: bool
) -> None:
    row = {"prompt": question, "completion": answer}
    conversation = parse(row, "prompt_completion")
    assert list_texts(conversation) == [("user", question), ("assistant", answer)]
    assert list(conversation.notes) == ["learnt_speaker_names"] * is_noted


def test_names_that_the_source_maps_are_left_out() -> None:
    roles = {"Q": "user", "A": "assistant"}
    for row in (
        {"prompt": "Q: Hi", "completion": "A: Good."},
        {"prompt": "Q: Hi", "completion": "Good."},
    ):
        conversation = parse(row, "prompt_completion", roles=roles)
        assert list_texts(conversation) == [("user", "Hi"), ("assistant", "Good.")]


def test_names_of_listed_texts_are_roles() -> None:
    conversation = parse({"messages": ["问：Hi", "答：Good."]})
    assert list_texts(conversation) == [("user", "Hi"), ("assistant", "Good.")]
    row = {"messages": [{"role": "user", "content": "Q: a"}, {"role": "助手", "content": "A: b"}]}
    assert list(parse(row).notes) == ["learnt_speaker_names"]
