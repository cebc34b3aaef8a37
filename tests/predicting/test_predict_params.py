"""The section `predict`: when vLLM is needed."""

from typing import Any

from lockstep.predicting.predict_params import PredictParams
from lockstep.suites import RETRIEVAL, Suite

CHOICE = Suite(task="intent", answer="choice")
TEXT = Suite(task="reply", answer="text")
GENERATED = Suite(task=RETRIEVAL, answer="rules")


def make_params(**changes: Any) -> PredictParams:
    values = {"suites": [], "max_new_tokens": 8, "batch_size": 4, "backend": "vllm"}
    return PredictParams.model_validate({**values, **changes})


def test_vllm_is_needed_only_if_a_suite_has_generated_answers():
    params = make_params()
    assert not params.uses_vllm([CHOICE])
    assert params.uses_vllm([CHOICE, TEXT])
    assert params.uses_vllm([CHOICE, GENERATED])
    assert not make_params(backend="transformers").uses_vllm([TEXT])
