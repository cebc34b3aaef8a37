"""Variants of a GGUF file answer every form of suite through llama.cpp."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import heads
from lockstep.models.heads import Head
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.gguf_variant import GgufVariant
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.seq2seq_variant import open_variant
from lockstep.predicting.variant_model import VariantModel
from lockstep.records import Record
from lockstep.suites import Suite
from tests.conftest import STARTER

LABELS = ["cancel_order", "track", "refund my order", "other"]
TASKS: dict[str, Any] = {
    "write": {
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["。", "."], "max_gen_toks": 24},
        "metric_list": [{"metric": "exact_match"}],
    },
    "read": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "byte_perplexity"}],
    },
}
"""Configurations of lm-eval for a generated answer and for the perplexity of a text."""


@pytest.fixture(scope="module")
def settings() -> PredictParams:
    values = {
        "suites": [], "max_new_tokens": 12, "batch_size": 2, "max_length": 64, "backend": "vllm",
    }  # fmt: skip
    return PredictParams.model_validate(values)


@pytest.fixture(scope="module")
def variant(starter_gguf: Path, settings: PredictParams) -> Iterator[VariantModel]:
    variant = open_variant(starter_gguf, "eager", settings, None)
    yield variant
    variant.close()


@pytest.fixture(scope="module")
def merged(settings: PredictParams) -> VariantModel:
    """The same weights, loaded by transformers."""
    transformers_settings = settings.model_copy(update={"backend": "transformers"})
    return VariantModel(STARTER, "eager", transformers_settings, None)


@pytest.fixture(scope="module")
def rows(make_record: Callable[..., Record]) -> list[Record]:
    return [
        make_record(
            f"{'请问 ' * (i % 3)}Where is order {i + 70}?", LABELS[i % 4], system="Name the intent."
        )
        for i in range(6)
    ]


def test_the_folder_decides_on_llama_cpp(variant: VariantModel) -> None:
    """predict.backend is vllm here, which would need a GPU."""
    assert isinstance(variant, GgufVariant)
    variant.check_backend([Suite(task="reply", answer="text")])
    assert variant.weight_bytes == (variant.folder / "model.gguf").stat().st_size


def test_answers_are_those_of_transformers(
    variant: VariantModel, merged: VariantModel, rows: list[Record]
) -> None:
    text, choice = Suite(task="intent", answer="text"), Suite(task="intent", answer="choice")
    assert variant.answer(text, rows, []) == merged.answer(text, rows, [])
    answers = variant.answer(choice, rows, LABELS)
    for answer, expected in zip(answers, merged.answer(choice, rows, LABELS), strict=True):
        assert answer.option_scores == pytest.approx(expected.option_scores, abs=0.05)
        assert answer.text == max(answer.option_scores, key=answer.option_scores.__getitem__)


def test_preferences_and_losses_of_long_records_are_those_of_transformers(
    variant: VariantModel, merged: VariantModel, make_record: Callable[..., Record]
) -> None:
    """The second record has more tokens than predict.max_length, so it is read in windows."""
    pairs = [
        replace(make_record("Hello?", "Hello!", "pairs"), rejected="Go away, qwxz!"),
        make_record("Tell me more.", "Your order 1 is on its way. " * 20, "reply"),
    ]
    losses = variant.compute_reference_losses(pairs)
    for (loss, tokens), (expected, number) in zip(
        losses, merged.compute_reference_losses(pairs), strict=True
    ):
        assert tokens == number
        assert loss == pytest.approx(expected, rel=1e-2)
    preference = Suite(task="pairs", answer="preference")
    (answer,) = variant.answer(preference, pairs[:1], [])
    (expected_answer,) = merged.answer(preference, pairs[:1], [])
    assert answer.text == expected_answer.text
    assert answer.option_scores == pytest.approx(expected_answer.option_scores, rel=1e-2)


def test_lm_eval_scores_its_tasks_as_with_transformers(
    variant: VariantModel,
    merged: VariantModel,
    rows: list[Record],
    tmp_path: Path,
) -> None:
    scores = [v.measure_lm_eval_accuracy(rows, LABELS) for v in (variant, merged)]
    assert scores[0] == scores[1]
    texts = ["Where is my order 7?", "请取消订单 88。", "naïve 🙂"]
    documents = [{"text": text, "answer": "x"} for text in texts]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    for name, task in TASKS.items():
        source = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(tmp_path / "texts.jsonl")}},
            "test_split": "test",
        }
        (tmp_path / f"{name}.yaml").write_text(json.dumps({**source, **task}))
    lm_eval = lm_eval_tasks.LmEvalParams(tasks=list(TASKS))
    results = [
        lm_eval_tasks.run_tasks(v._build_lm_eval_model(), lm_eval, tmp_path)
        for v in (variant, merged)
    ]
    assert results[0]["write"]["exact_match"] == results[1]["write"]["exact_match"]
    assert results[0]["read"]["byte_perplexity"] == pytest.approx(
        results[1]["read"]["byte_perplexity"], rel=1e-3
    )


def test_lm_eval_generates_the_answers_of_transformers(
    variant: VariantModel, merged: VariantModel
) -> None:
    from lm_eval.api.instance import Instance

    requests = [
        Instance("generate_until", {}, (text, {"until": ["。", "."], "max_gen_toks": 24}), 0)
        for text in ("Where is my order 7?", "请取消订单 88。")
    ]
    answers = [
        v._build_lm_eval_model().generate_until(requests, disable_tqdm=True)
        for v in (variant, merged)
    ]
    assert answers[0] == answers[1]
    assert all("。" not in answer and "." not in answer for answer in answers[0])
    sampled = Instance("generate_until", {}, ("Hello", {"do_sample": True, "temperature": 1.0}), 0)
    with pytest.raises(UserError, match=r"llama.cpp answers no task that samples its answers"):
        variant._build_lm_eval_model().generate_until([sampled])


def test_a_model_with_a_head_is_refused(
    starter_gguf: Path, tmp_path: Path, settings: PredictParams
) -> None:
    for file in starter_gguf.iterdir():
        (tmp_path / file.name).symlink_to(file)
    heads.write_head(Head("regression", []), tmp_path)
    with pytest.raises(UserError, match=r"llama.cpp runs no model with a head"):
        open_variant(tmp_path, "eager", settings, None)
