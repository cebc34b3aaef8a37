"""vLLM generates the answers of transformers; most tests use a stand-in for the vllm module."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.inference import generation, vllm_backend
from lockstep.inference.generation import TransformersGenerator
from lockstep.models import loading, soft_prompt
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.variant_model import VariantModel
from lockstep.records import Record
from lockstep.suites import Suite
from tests.conftest import REPOSITORY, make_tiny_params

LENGTH = 12
STARTED_ENGINES: list[dict[str, Any]] = []
"""Options of each engine that the stand-in has started; `running` is False once it is closed."""


@dataclass(frozen=True)
class SamplingParams:
    """vLLM's parameters for answering one prompt."""

    max_tokens: int
    stop_token_ids: list[int]
    ignore_eos: bool
    detokenize: bool
    temperature: float
    seed: int | None = None


class LLM:
    """The part of vLLM 0.30's interface that Lockstep uses; it generates without a cache."""

    def __init__(
        self,
        model: str,
        *,
        skip_tokenizer_init: bool,
        dtype: loading.Dtype,
        generation_config: str,
        load_format: str,
        gpu_memory_utilization: float,
        max_model_len: int,
        enable_prefix_caching: bool,
        seed: int,
    ) -> None:
        assert (skip_tokenizer_init, generation_config) == (True, "vllm")
        self.options = {"dtype": dtype, "running": True}
        STARTED_ENGINES.append(self.options)
        self.model = loading.load_model(Path(model), dtype, "eager", "cpu")
        core = SimpleNamespace(shutdown=lambda: self.options.update(running=False))
        self.llm_engine = SimpleNamespace(engine_core=core)

    def generate(
        self,
        prompts: Sequence[dict[str, Any]],
        sampling_params: Sequence[SamplingParams],
        *,
        use_tqdm: bool,
    ) -> list[Any]:
        assert self.options["running"]
        rows = [
            self.generate_one(prompt["prompt_token_ids"], options)
            for prompt, options in zip(prompts, sampling_params, strict=True)
        ]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(ids))]) for ids in rows]

    def generate_one(self, prompt: list[int], options: SamplingParams) -> list[int]:
        import torch

        generator = torch.Generator().manual_seed(options.seed) if options.temperature else None
        ids = list(prompt)
        while len(ids) < len(prompt) + options.max_tokens:
            with torch.inference_mode():
                logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
            if generator is None:
                ids.append(int(logits.argmax()))
            else:
                probabilities = torch.softmax(logits / options.temperature, -1)
                ids.append(int(torch.multinomial(probabilities, 1, generator=generator)))
            if ids[-1] in options.stop_token_ids:
                break  # vLLM returns this token as well
        return ids[len(prompt) :]


@pytest.fixture
def vllm_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install the stand-in, and the metadata that pip writes for the extra's packages."""
    module = ModuleType("vllm")
    module.LLM = LLM  # type: ignore[attr-defined]
    module.SamplingParams = SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name in vllm_backend.PACKAGES:
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in vllm_backend.ENVIRONMENT:
        monkeypatch.setenv(name, "")  # restores after the test what an engine sets
    STARTED_ENGINES.clear()


@pytest.fixture
def set_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Set whether torch reports a CUDA device."""
    import torch

    def set_available(is_available: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: is_available)
        monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)

    return set_available


@pytest.fixture
def prompts(tokenizer: ChatTokenizer, corpus: list[Record]) -> list[list[int]]:
    return [tokenizer.encode_prompt(record.prompt) for record in corpus[:5]]


def test_greedy_answers_equal_those_of_transformers(
    vllm_stand_in: None,
    tiny_model: Path,
    loaded_model: Any,
    tokenizer: ChatTokenizer,
    prompts: list[list[int]],
):
    expected = generation.generate_answers(loaded_model, tokenizer, prompts, 3, LENGTH)
    assert len(set(expected)) > 1
    assert vllm_backend.VllmGenerator(tiny_model, tokenizer).generate(prompts, LENGTH) == expected


def test_an_answer_stops_at_any_end_token_of_the_generation_config(
    vllm_stand_in: None,
    tiny_model: Path,
    loaded_model: Any,
    tokenizer: ChatTokenizer,
    prompts: list[list[int]],
):
    """generation_config.json declares a second end token, which this model generates."""
    unstopped = generate_greedily(loaded_model, prompts[0])
    tokenizer = ChatTokenizer(tokenizer.pretrained, [unstopped[4]])
    expected = generation.generate_answers(loaded_model, tokenizer, prompts, 3, LENGTH)
    answer_ids = unstopped[: unstopped.index(unstopped[4])]
    assert expected[0].text == tokenizer.parse_answer(answer_ids).text
    assert not expected[0].truncated
    assert vllm_backend.VllmGenerator(tiny_model, tokenizer).generate(prompts, LENGTH) == expected


def test_a_sample_depends_only_on_its_prompt_and_seed(
    vllm_stand_in: None, tiny_model: Path, tokenizer: ChatTokenizer, prompts: list[list[int]]
):
    generator = vllm_backend.VllmGenerator(tiny_model, tokenizer)
    prompt, other = prompts[:2]

    def draw(*pairs: tuple[list[int], int], seed: int = 7) -> list[GeneratedAnswer]:
        return generator.sample(pairs, 1.0, LENGTH, seed)

    first, second, again = draw((prompt, 0), (other, 0), (prompt, 1))
    assert first != again, "another draw number gives another sample"
    assert [again, first] == draw((prompt, 1), (prompt, 0))
    assert [second] == draw((other, 0))
    assert [first] != draw((prompt, 0), seed=8)


def test_the_dtype_of_the_folder_is_passed_to_vllm(
    vllm_stand_in: None, tiny_model_copy: Path, tokenizer: ChatTokenizer
):
    """vLLM would otherwise load 32-bit weights in 16 bits."""
    vllm_backend.VllmGenerator(tiny_model_copy, tokenizer)
    rewrite_config(tiny_model_copy, dtype="bfloat16")
    vllm_backend.VllmGenerator(tiny_model_copy, tokenizer)
    assert [options["dtype"] for options in STARTED_ENGINES] == ["float32", "bfloat16"]


def test_the_error_for_a_model_that_vllm_cannot_load_is_one_line(
    vllm_stand_in: None, tiny_model_copy: Path, tokenizer: ChatTokenizer
):
    (tiny_model_copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"vllm cannot load it .*set predict.backend to transf"):
        vllm_backend.VllmGenerator(tiny_model_copy, tokenizer)


def test_vllm_and_transformers_are_never_loaded_at_the_same_time(
    vllm_stand_in: None, tiny_model: Path, loaded_model: Any, corpus: list[Record]
):
    suite = Suite(task="reply", answer="text")
    rows = [row for row in corpus if row.task == "reply"]
    settings = PredictParams.model_validate({**make_tiny_params({})["predict"], "backend": "vllm"})
    model = VariantModel(tiny_model, "eager", settings, None)
    transformers_generator = TransformersGenerator(
        loaded_model, model.tokenizer, settings.batch_size
    )
    prompts = [model.encode_prompt(row) for row in rows]
    expected = transformers_generator.generate(prompts, settings.max_new_tokens)

    def generate() -> list[GeneratedAnswer]:
        answers = model.answer(suite, rows, [])
        return [GeneratedAnswer(answer.text, answer.truncated) for answer in answers]

    def list_running() -> list[bool]:
        return [options["running"] for options in STARTED_ENGINES]

    assert generate() == expected
    assert len(model.sample([(row, 0) for row in rows], 7)) == len(rows)
    assert list_running() == [True], "samples come from the same engine"
    losses = model.compute_reference_losses(rows)
    assert list_running() == [False]
    assert generate() == expected
    assert list_running() == [False, True]
    assert model.compute_reference_losses(rows) == losses
    assert list_running() == [False, False]


def generate_greedily(model: Any, prompt: list[int]) -> list[int]:
    """Generate LENGTH tokens greedily, whether or not one of them ends the turn."""
    import torch

    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(LENGTH):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def rewrite_config(folder: Path, **changes: Any) -> None:
    """Change values in a folder's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_missing_package_is_an_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(REPOSITORY)])
    line = r"vllm is not installed; pip install '\.\[vllm\]', or set predict.backend to transf"
    with pytest.raises(UserError, match=line):
        vllm_backend.check_model(tiny_model)


def test_a_machine_without_a_gpu_is_an_error(
    vllm_stand_in: None, set_cuda: Callable[[bool], None], tiny_model: Path
):
    set_cuda(False)
    with pytest.raises(
        UserError, match=r"vllm needs a CUDA device.*predict.backend to transformers"
    ):
        vllm_backend.check_model(tiny_model)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dtype": None}, "config.json: no dtype, which vllm needs"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "vllm loads 4-bit weights only if the model's dtype has 16 bits, but it is float32",
        ),
    ],
)
def test_a_model_that_vllm_would_load_differently_is_an_error(
    vllm_stand_in: None,
    set_cuda: Callable[[bool], None],
    tiny_model_copy: Path,
    changes: dict[str, Any],
    line: str,
):
    set_cuda(True)
    vllm_backend.check_model(tiny_model_copy)
    rewrite_config(tiny_model_copy, **changes)
    with pytest.raises(UserError, match=line):
        vllm_backend.check_model(tiny_model_copy)


def test_a_model_with_a_soft_prompt_is_an_error(
    vllm_stand_in: None, set_cuda: Callable[[bool], None], tiny_model_copy: Path
):
    set_cuda(True)
    (tiny_model_copy / soft_prompt.FILE).touch()
    with pytest.raises(UserError, match=f"{soft_prompt.FILE}: vllm cannot load a soft prompt"):
        vllm_backend.check_model(tiny_model_copy)


@pytest.mark.slow
def test_a_missing_vllm_stops_predict_before_loading_weights_and_the_first_stage_at_once(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    """This holds on the CPU, with and without vLLM."""
    (workspace / "base/model.safetensors").unlink()
    tasks = {"reply": {"kind": "text", "records": {"train": 4, "validation": 4, "test": 4}}}
    (workspace / "prepared/tasks.json").write_text(json.dumps(tasks))
    changes = {"predict.backend": "vllm"}
    line = "params.yaml: predict.backend: vllm "
    run = run_stage("predict", "base", "prepared", "tasks", "predicted/base", changes=changes)
    assert_user_error(run, workspace / "predicted", line)
    assert_user_error(
        run_stage("base", "base", "other", changes=changes), workspace / "other", line
    )


@pytest.mark.slow
def test_the_real_vllm_generates_the_answers_of_transformers(
    tiny_model: Path, loaded_model: Any, tokenizer: ChatTokenizer, prompts: list[list[int]]
):
    """Needs a GPU and the extra. Tokens whose likelihoods are almost equal could still differ."""
    import torch

    pytest.importorskip("vllm")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    vllm_backend.check_model(tiny_model)
    generator = vllm_backend.VllmGenerator(tiny_model, tokenizer)
    try:
        answers = generator.generate(prompts, LENGTH)
        samples = generator.sample([(prompt, 0) for prompt in prompts], 1.0, LENGTH, 7)
        one_by_one = [generator.sample([(prompt, 0)], 1.0, LENGTH, 7)[0] for prompt in prompts]
    finally:
        generator.close()
    assert answers == generation.generate_answers(loaded_model, tokenizer, prompts, 3, LENGTH)
    assert samples == one_by_one
