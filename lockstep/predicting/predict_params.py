"""The section `predict` of params.yaml: suites and limits of the answers."""

from collections.abc import Sequence
from typing import Literal

from lockstep.params import NaturalInt, PositiveInt, Section
from lockstep.predicting.few_shot import FewShotParams
from lockstep.predicting.lm_eval_tasks import LmEvalParams
from lockstep.predicting.perturbations import RobustnessParams
from lockstep.predicting.retrieval import RetrievalParams
from lockstep.suites import GENERATED_FORMS, Suite


class PredictParams(Section):
    """Suites that each variant of the model answers, and the limits of its answers."""

    suites: list[Suite]
    """Tasks with the form of their answers; [] takes one suite for each task of the data."""
    max_new_tokens: PositiveInt
    """Maximum number of tokens of a generated answer."""
    batch_size: PositiveInt
    """Number of prompts in one forward pass."""
    max_length: PositiveInt = 256
    """Maximum number of tokens of a row when likelihoods are computed; longer records are split
    into windows."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """Engine that generates answers; vllm needs a GPU. Likelihoods and the outputs of a head
    always come from transformers. A GGUF file is always loaded by llama.cpp."""
    split_records: NaturalInt = 60
    """Number of training records, and of validation records, of each suite that the model also
    answers, to compare the splits; 0 disables this."""
    lm_eval: LmEvalParams = LmEvalParams()
    """Records and tasks that lm-eval scores in addition."""
    robustness: RobustnessParams = RobustnessParams()
    """Perturbed test records that the model also answers."""
    few_shot: list[FewShotParams] = []
    """Suites that are answered once more with examples in the prompt, as TASK-SHOTS-shot: what the
    base can do without tuning."""
    retrieval: RetrievalParams = RetrievalParams()
    """Generated long-context records that the model also answers."""

    def uses_vllm(self, suites: Sequence[Suite]) -> bool:
        """Whether vLLM generates any answer to these suites."""
        return self.backend == "vllm" and any(suite.answer in GENERATED_FORMS for suite in suites)
