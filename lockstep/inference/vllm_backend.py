"""Generate answers with vLLM on a CUDA device."""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.inference import generation
from lockstep.models import compute, soft_prompt
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer

PACKAGES = ("vllm", "vllm-bnb-plugin")
"""Packages of the extra `vllm`; the second one loads models quantized by bitsandbytes."""

MEMORY_FRACTION = 0.85
"""Fraction of the device's memory that vLLM allocates. The rest is for what this process holds
there without a model: a CUDA context and workspaces."""

ENVIRONMENT = {
    "VLLM_BATCH_INVARIANT": "1",  # an answer does not depend on what is batched with it
    # vLLM runs in a process of its own, since its kernels replace those of torch in their process
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork could not use CUDA, which this process uses
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}

REMEDY = "set predict.backend to transformers"


def check_machine() -> None:
    """Raise UserError if vLLM is not installed or there is no CUDA device."""
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            raise UserError(
                f"params.yaml: predict.backend: {name} is not installed; pip install '.[vllm]', "
                f"or {REMEDY}"
            ) from None
    if compute.select_device() != "cuda":
        raise UserError(
            "params.yaml: predict.backend: vllm needs a CUDA device, but models run on the CPU "
            f"here; {REMEDY}"
        )


def check_model(folder: Path) -> None:
    """Raise UserError if vLLM cannot run here or cannot load exactly the folder's model.

    Weights are not loaded.
    """
    check_machine()
    if (folder / soft_prompt.FILE).exists():
        raise UserError(f"{folder / soft_prompt.FILE}: vllm cannot load a soft prompt; {REMEDY}")
    if read_dtype(folder) == "float32" and _read_quantization_config(folder).get("load_in_4bit"):
        raise UserError(
            f"{folder}: vllm loads 4-bit weights only if the model's dtype has 16 bits, but it is "
            f"float32; {REMEDY}"
        )


def read_dtype(folder: Path) -> str:
    """Return the dtype in a model's config.json; by default vLLM uses 16 bits for float32."""
    dtype = _load_config(folder).dtype
    if dtype is None:
        raise UserError(f"{folder / 'config.json'}: no dtype, which vllm needs; {REMEDY}")
    return str(dtype).removeprefix("torch.")


class VllmGenerator:
    """An `AnswerGenerator` whose weights are in a process of vLLM until it is closed."""

    def __init__(self, folder: Path, tokenizer: ChatTokenizer) -> None:
        """Load the model of a folder; this allocates most of the device's memory at once."""
        os.environ.update(ENVIRONMENT)  # vllm reads it at import
        from vllm import LLM

        self.tokenizer = tokenizer
        try:
            self._llm = LLM(
                model=str(folder),
                skip_tokenizer_init=True,  # prompts and answers are token ids
                dtype=read_dtype(folder),
                generation_config="vllm",  # the folder's own might penalize repetitions
                load_format="safetensors",
                gpu_memory_utilization=MEMORY_FRACTION,
                max_model_len=-1,  # the model's context, or as much of it as fits into the memory
                enable_prefix_caching=False,  # earlier prompts must not change the arithmetic
                seed=0,
            )
        except Exception as error:  # vLLM raises any class, or reports that its process failed
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(f"{folder}: vllm cannot load it ({reason}); {REMEDY}") from None

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """Return the greedy answer to each prompt; vLLM forms the batches."""
        greedy = self._sampling_params(max_new_tokens, temperature=0.0)
        return self._generate(prompts, [greedy] * len(prompts))

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Return a sampled answer to each pair of a prompt and the number of its draw.

        Each answer has the random seed that `sample_answers` gives it; the samples still differ
        from those of transformers.
        """
        sampling_params = [
            self._sampling_params(
                max_new_tokens,
                temperature=temperature,
                seed=generation.compute_draw_seed(prompt, draw, seed),
            )
            for prompt, draw in prompts
        ]
        return self._generate([prompt for prompt, _ in prompts], sampling_params)

    def close(self) -> None:
        """End vLLM's process, which frees the device's memory."""
        self._llm.llm_engine.engine_core.shutdown()

    def _sampling_params(self, max_new_tokens: int, **options: Any) -> Any:
        """Return vLLM's parameters for one prompt; only the end-of-turn token ends an answer."""
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=max_new_tokens,
            stop_token_ids=list(self.tokenizer.end_ids),
            ignore_eos=True,
            detokenize=False,
            **options,
        )

    def _generate(
        self, prompts: Sequence[list[int]], sampling_params: Sequence[Any]
    ) -> list[GeneratedAnswer]:
        inputs = [{"prompt_token_ids": prompt} for prompt in prompts]
        results = self._llm.generate(inputs, sampling_params, use_tqdm=False)
        return [
            self.tokenizer.parse_answer(list(result.outputs[0].token_ids)) for result in results
        ]


def _load_config(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True)


def _read_quantization_config(folder: Path) -> dict[str, Any]:
    return getattr(_load_config(folder), "quantization_config", None) or {}
