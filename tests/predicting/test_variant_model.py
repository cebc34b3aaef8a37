"""VariantModel: answers, likelihoods and context of the tiny model, and the options they follow."""

import math
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.inference import generation, likelihood
from lockstep.models.heads import Head
from lockstep.predicting import variant_model
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.variant_model import VariantModel
from lockstep.records import Record
from lockstep.suites import Suite
from tests.conftest import LABELS

CHOICE = Suite(task="intent", answer="choice")
TEXT = Suite(task="reply", answer="text")


@pytest.fixture
def make_model(tiny_model: Path) -> Callable[..., VariantModel]:
    """Return the tiny model under the section `predict` with changes."""

    def make(head: Head | None = None, **changes: Any) -> VariantModel:
        values = {"suites": [], "max_new_tokens": 8, "batch_size": 4, **changes}
        return VariantModel(tiny_model, "eager", PredictParams.model_validate(values), head)

    return make


@pytest.fixture
def replies(corpus: list[Record]) -> list[Record]:
    return [record for record in corpus if record.task == "reply"]


def test_a_choice_has_the_log_likelihood_of_each_label(
    make_model: Callable[..., VariantModel], loaded_model: Any, tokenizer: Any, corpus: list[Record]
):
    intents = [record for record in corpus if record.task == "intent"]
    answers = make_model().answer(CHOICE, intents, LABELS)
    prompts = [tokenizer.encode_prompt(record.prompt) for record in intents]
    labels = [tokenizer.encode_answer(label) for label in LABELS]
    for answer, prompt in zip(answers, prompts, strict=True):
        (scores,) = likelihood.score_choices(loaded_model, [prompt], labels, 1)
        assert list(answer.option_scores) == LABELS
        assert list(answer.option_scores.values()) == pytest.approx(scores, abs=1e-3)
        assert answer.text == LABELS[scores.index(max(scores))]


def test_reasoning_in_front_of_an_answer_is_kept_apart(
    make_model: Callable[..., VariantModel], tiny_model_copy: Path, replies: list[Record]
):
    """The template ends reasoning by a character that this model generates."""
    (whole,) = make_model().answer(TEXT, replies[:1], [])
    mark = next(character for character in whole.text[2:] if character in string.ascii_letters)
    file = tiny_model_copy / "chat_template.jinja"
    template = file.read_text().replace("<think>\n", "").replace("\n</think>\n\n", mark)
    file.write_text(template)
    settings = make_model().settings
    (answer,) = VariantModel(tiny_model_copy, "eager", settings, None).answer(TEXT, replies[:1], [])
    before, _, after = whole.text.partition(mark)
    assert (answer.reasoning, answer.text) == (before.strip(), after.lstrip())
    assert answer.reasoning_tokens == len(make_model().tokenizer.encode_text(before.strip()))


def test_generated_answers_are_greedy_and_end_at_max_new_tokens(
    make_model: Callable[..., VariantModel],
    loaded_model: Any,
    tokenizer: Any,
    replies: list[Record],
):
    prompts = [tokenizer.encode_prompt(record.prompt) for record in replies]
    for length in (2, 8):
        expected = generation.generate_answers(loaded_model, tokenizer, prompts, 4, length)
        answers = make_model(max_new_tokens=length).answer(TEXT, replies, [])
        assert [(answer.text, answer.truncated) for answer in answers] == [
            (answer.text, answer.truncated) for answer in expected
        ]


def test_samples_follow_the_temperature_the_seed_and_the_number_of_the_draw(
    make_model: Callable[..., VariantModel], replies: list[Record]
):
    draws = [(replies[0], number) for number in range(4)]
    cold_answers = make_model(robustness={"temperature": 1e-4}).sample(draws, 7)
    (greedy,) = make_model().answer(TEXT, replies[:1], [])
    assert cold_answers == [greedy] * 4
    warm_model = make_model(robustness={"temperature": 5.0})
    samples = warm_model.sample(draws, 7)
    assert len({sample.text for sample in samples}) > 1
    assert warm_model.sample(draws, 7) == samples != warm_model.sample(draws, 8)


def test_long_references_are_read_in_windows_of_max_length(
    make_model: Callable[..., VariantModel], replies: list[Record]
):
    """A window of 80 tokens holds every record but the longest ones."""
    losses_at_once = make_model(max_length=256).compute_reference_losses(replies)
    losses_by_window = make_model(max_length=80).compute_reference_losses(replies)
    assert [tokens for _, tokens in losses_by_window] == [tokens for _, tokens in losses_at_once]
    is_equal = [
        a[0] == pytest.approx(b[0], rel=1e-4)
        for a, b in zip(losses_by_window, losses_at_once, strict=True)
    ]
    assert set(is_equal) == {True, False}


def test_the_better_answer_of_a_pair_is_the_more_likely_one(
    make_model: Callable[..., VariantModel], replies: list[Record]
):
    model = make_model()
    pairs = [
        replace(replies[0], rejected=replies[1].answer),
        replace(replies[0].with_answer(replies[1].answer), rejected=replies[0].answer),
    ]
    losses = [loss for loss, _ in model.compute_reference_losses(pairs)]
    first, second = model.answer(Suite(task="reply", answer="preference"), pairs, [])
    assert first.option_scores == pytest.approx({"chosen": -losses[0], "rejected": -losses[1]})
    assert first.text == second.text == replies[losses.index(min(losses))].answer


def test_the_reasoning_of_a_rejected_answer_counts(
    make_model: Callable[..., VariantModel], replies: list[Record]
):
    model = make_model()
    text = replies[1].answer
    worse = {"role": "assistant", "content": text, "reasoning_content": "Hm."}
    pairs = [replace(replies[0], rejected=worse), replace(replies[0], rejected=text)]
    first, second = model.answer(Suite(task="reply", answer="preference"), pairs, [])
    ((loss, _),) = model.compute_reference_losses([pairs[0].with_rejected()])
    assert first.option_scores["rejected"] == pytest.approx(-loss)
    assert first.option_scores["rejected"] != pytest.approx(second.option_scores["rejected"])


def test_a_base_without_a_head_gets_a_random_one(
    make_model: Callable[..., VariantModel], corpus: list[Record]
):
    head = Head("single_label_classification", LABELS)
    model = make_model(head)
    answers = model.answer(Suite(task="intent", answer="label"), corpus[:3], LABELS)
    for answer in answers:
        assert list(answer.option_scores) == LABELS
        assert answer.text == max(answer.option_scores, key=answer.option_scores.__getitem__)
    assert model.measure_latency(corpus) == {}


def test_the_context_must_hold_a_prompt_and_the_longest_answer(
    make_model: Callable[..., VariantModel], corpus: list[Record]
):
    model = make_model()
    assert model.context == 256
    longest_label = max(len(model.tokenizer.encode_answer(label)) for label in LABELS)
    record = corpus[0]
    length = len(model.encode_prompt(record))
    for suite, answer in ((TEXT, 8), (CHOICE, longest_label)):
        model.context = length + answer
        model.settings = model.settings.model_copy(update={"max_length": 32})
        model.check_context(suite, [record], LABELS)
        model.context -= 1
        assert not model.fits_context(suite, record, LABELS)
        with pytest.raises(UserError, match=rf"^{record.origin[:6]}.* an answer of {answer} "):
            model.check_context(suite, [record], LABELS)


def test_inputs_of_a_head_are_truncated_instead(
    make_model: Callable[..., VariantModel], corpus: list[Record]
):
    model = make_model(Head("regression", []), max_length=16)
    assert model.context == math.inf
    assert all(len(model.encode_prompt(record)) <= 16 for record in corpus)
    model.check_context(Suite(task="intent", answer="number"), corpus, [])
    model.settings = model.settings.model_copy(update={"max_length": 257})
    with pytest.raises(UserError, match="257 tokens are more than the model's context of 256"):
        model.check_context(Suite(task="intent", answer="number"), corpus, [])


def test_kept_prompts_are_those_of_the_records(
    make_model: Callable[..., VariantModel],
    corpus: list[Record],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(variant_model, "MAX_KEPT_PROMPTS", 2)
    model = make_model()
    tool = {"type": "function", "function": {"name": "find_order", "parameters": {}}}
    with_tool = replace(corpus[0], tools=[tool])
    for record in [corpus[0], with_tool, *corpus, corpus[0]]:
        expected = model.tokenizer.encode_prompt(record.prompt, record.tools)
        for _ in range(2):
            ids = model.encode_prompt(record)
            assert ids == expected
            ids.append(0)  # a caller's change must not come back
    assert model.encode_prompt(corpus[0]) != model.encode_prompt(with_tool)
