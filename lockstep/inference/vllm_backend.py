"""vLLM as the writer of answers, on a CUDA device."""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.inference import generation
from lockstep.inference.generation import GeneratedAnswer
from lockstep.models import chat, compute, soft_prompt

PACKAGES = ("vllm", "vllm-bnb-plugin")
"""Of the extra `vllm`; the second one reads what bitsandbytes has quantized."""

SHARE = 0.85
"""Of the device's memory that vLLM takes; the rest is for what this process holds there without
a model: a CUDA context and workspaces."""

ENVIRONMENT = {
    "VLLM_BATCH_INVARIANT": "1",  # no answer hangs on what is batched with it
    # a process of its own, since those kernels take the place of torch's in the process they are in
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork could not use CUDA, which is in use here
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}

INSTEAD = "set predict.backend to transformers"


def check_machine() -> None:
    """Refuse a machine on which vLLM cannot write."""
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            raise UserError(
                f"params.yaml: predict.backend: {name} is not installed; pip install '.[vllm]', "
                f"or {INSTEAD}"
            ) from None
    if compute.select_device() != "cuda":
        raise UserError(
            "params.yaml: predict.backend: vllm needs a CUDA device, and models run on the CPU "
            f"here; {INSTEAD}"
        )


def check_model(folder: Path) -> None:
    """Refuse, besides, a model that vLLM would not read as it is, before weights are loaded."""
    check_machine()
    if (folder / soft_prompt.FILE).exists():
        raise UserError(f"{folder / soft_prompt.FILE}: vllm reads no learnt prefix; {INSTEAD}")
    if read_dtype(folder) == "float32" and _quantization(folder).get("load_in_4bit"):
        raise UserError(
            f"{folder}: vllm reads 4-bit weights of models in 16 bits alone, and this one's dtype "
            f"is float32; {INSTEAD}"
        )


def read_dtype(folder: Path) -> str:
    """Of a model's weights, as its config.json names it.

    It is told to vLLM, which would take 16 bits in the place of 32.
    """
    named = _configuration(folder).dtype
    if named is None:
        raise UserError(
            f"{folder / 'config.json'}: names no dtype, which vllm must know; {INSTEAD}"
        )
    return str(named).removeprefix("torch.")


class VllmGenerator:
    """A `AnswerGenerator` whose weights are in a process of vLLM's own, until it is closed."""

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        """Load the model of a folder; takes most of the device's memory at once."""
        os.environ.update(ENVIRONMENT)  # read while vllm is imported
        from vllm import LLM

        self.tokenizer = tokenizer
        try:
            self._llm = LLM(
                model=str(folder),
                skip_tokenizer_init=True,  # it reads and writes token ids
                dtype=read_dtype(folder),
                generation_config="vllm",  # the folder's own might penalize repetitions
                load_format="safetensors",
                gpu_memory_utilization=SHARE,
                max_model_len=-1,  # the model's context, or what of it fits into the memory
                enable_prefix_caching=False,  # what was asked before must not change the arithmetic
                seed=0,
            )
        except Exception as error:  # vLLM raises any class, or that its process has failed
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(f"{folder}: vllm does not load it ({reason}); {INSTEAD}") from None

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """All prompts at once: vLLM batches them."""
        return self._generate(prompts, [self._how(max_new_tokens, temperature=0.0)] * len(prompts))

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Each drawn from a seed of its own, as `sampling` does; the draws are others."""
        how = [
            self._how(
                max_new_tokens,
                temperature=temperature,
                seed=generation.compute_draw_seed(prompt, turn, seed),
            )
            for prompt, turn in prompts
        ]
        return self._generate([prompt for prompt, _ in prompts], how)

    def close(self) -> None:
        """End vLLM's process, which gives back the device's memory."""
        self._llm.llm_engine.engine_core.shutdown()

    def _how(self, max_new_tokens: int, **options: Any) -> Any:
        """Ends at our end of turn alone, like what transformers is told."""
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=max_new_tokens,
            stop_token_ids=[chat.get_end_of_turn_id(self.tokenizer)],
            ignore_eos=True,
            detokenize=False,
            **options,
        )

    def _generate(self, prompts: Sequence[list[int]], how: Sequence[Any]) -> list[GeneratedAnswer]:
        given = [{"prompt_token_ids": prompt} for prompt in prompts]
        found = self._llm.generate(given, how, use_tqdm=False)
        return [
            generation.decode_generated(self.tokenizer, list(one.outputs[0].token_ids))
            for one in found
        ]


def _configuration(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True)


def _quantization(folder: Path) -> dict[str, Any]:
    return getattr(_configuration(folder), "quantization_config", None) or {}
