"""A variant whose weights are a GGUF file: llama.cpp answers, as where the file is deployed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.inference import latency, llama_cpp_generation, llama_cpp_likelihood
from lockstep.inference.generation import AnswerGenerator
from lockstep.inference.likelihood import AnswerLoss
from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.models.chat import Example
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.variant_model import UNLIMITED, VariantModel
from lockstep.records import Record
from lockstep.suites import Suite


class GgufVariant(VariantModel):
    """A variant that llama.cpp loads.

    Prompts and labels are encoded, and answers are decoded, by the tokenizer beside the file, so
    llama.cpp reads and writes the tokens of the other variants.
    """

    def __init__(self, folder: Path, attention: str, settings: PredictParams) -> None:
        """Read the tokenizer of a folder; raise UserError if its model has a head."""
        super().__init__(folder, attention, settings, None)
        if self.head is not None:
            raise UserError(
                f"{folder}: llama.cpp runs no model with a head; set quantize.method to nf4 or int8"
            )
        self.runtime = LlamaCpp(folder / GGUF_FILE)

    @property
    def generator(self) -> AnswerGenerator:
        """Return llama.cpp's engine that generates answers."""
        return llama_cpp_generation.LlamaCppGenerator(self.runtime, self.tokenizer)

    @property
    def weight_bytes(self) -> int:
        """Size of the GGUF file, in bytes."""
        return self.runtime.file.stat().st_size

    def close(self) -> None:
        """Unload the model."""
        self.runtime.close()

    def check_backend(self, suites: Sequence[Suite]) -> None:
        """Raise UserError if llama.cpp cannot load the file; predict.backend has no effect."""
        self.runtime.load(1)

    def measure_latency(self, records: Sequence[Record]) -> dict[str, float]:
        """Measure how fast the model generates."""
        if not records:
            return {}
        return latency.measure_latency(
            self.runtime,
            [self.encode_prompt(record) for record in records],
            self.tokenizer.pad_token_id,
            self.settings.batch_size,
            self.settings.max_new_tokens,
            llama_cpp_generation.time_tokens,
        )

    def _build_lm_eval_model(self) -> Any:
        from lockstep.predicting.lm_eval_llama_cpp import LlamaCppLM

        limit = UNLIMITED if math.isinf(self.input_limit) else int(self.input_limit)
        return LlamaCppLM(self.runtime, self.tokenizer, limit)

    def _compute_losses(self, examples: Sequence[Example]) -> list[AnswerLoss]:
        end_id = self.tokenizer.end_ids[0]
        return llama_cpp_likelihood.compute_answer_losses(self.runtime, examples, end_id)

    def _score_choices(
        self, prompts: Sequence[list[int]], choices: Sequence[list[int]]
    ) -> list[list[float]]:
        end_id = self.tokenizer.end_ids[0]
        return llama_cpp_likelihood.score_choices(self.runtime, prompts, choices, end_id)
