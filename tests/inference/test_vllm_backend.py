"""vLLM writes what transformers writes; most tests put a module of its name in its place."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from lockstep.metrics.suites import Suite
from lockstep.predicting.answering import Answering

from lockstep.errors import UserError
from lockstep.inference import generation, vllm_backend
from lockstep.inference.generation import GeneratedAnswer, TransformersGenerator
from lockstep.models import chat, model_io, soft_prompt
from lockstep.predicting.predict_params import Asked
from lockstep.records import Record
from tests.conftest import REPOSITORY, tiny_params

LENGTH = 12
STARTED: list[dict[str, Any]] = []
"""What each engine of the stand-in was started with; `running` says whether it still is."""


@dataclass(frozen=True)
class SamplingParams:
    """How a prompt is to be answered, by vLLM's names."""

    max_tokens: int
    stop_token_ids: list[int]
    ignore_eos: bool
    detokenize: bool
    temperature: float
    seed: int | None = None


class LLM:
    """The part of vLLM 0.30's interface that is used, token by token by whole forward passes."""

    def __init__(
        self,
        model: str,
        *,
        skip_tokenizer_init: bool,
        dtype: model_io.Dtype,
        generation_config: str,
        load_format: str,
        gpu_memory_utilization: float,
        max_model_len: int,
        enable_prefix_caching: bool,
        seed: int,
    ) -> None:
        assert (skip_tokenizer_init, generation_config) == (True, "vllm")
        self.options = {"dtype": dtype, "running": True}
        STARTED.append(self.options)
        self.model = model_io.load_model(Path(model), dtype, "eager", "cpu")
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
        given = zip(prompts, sampling_params, strict=True)
        written = [self.one(prompt["prompt_token_ids"], how) for prompt, how in given]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(ids))]) for ids in written]

    def one(self, prompt: list[int], how: SamplingParams) -> list[int]:
        import torch

        drawn = torch.Generator().manual_seed(how.seed) if how.temperature else None
        ids = list(prompt)
        while len(ids) < len(prompt) + how.max_tokens:
            with torch.inference_mode():
                logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
            if drawn is None:
                ids.append(int(logits.argmax()))
            else:
                chances = torch.softmax(logits / how.temperature, -1)
                ids.append(int(torch.multinomial(chances, 1, generator=drawn)))
            if ids[-1] in how.stop_token_ids:
                break  # vLLM returns this token, too
        return ids[len(prompt) :]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in, and what pip leaves behind of the extra's packages."""
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
        monkeypatch.setenv(name, "")  # and so undo what an engine sets
    STARTED.clear()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Whether torch finds a CUDA device."""
    import torch

    def is_there(found: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
        monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)

    return is_there


@pytest.fixture
def prompts(tokenizer: Any, corpus: list[Record]) -> list[list[int]]:
    return [chat.encode_prompt(tokenizer, record.prompt) for record in corpus[:5]]


def test_its_answers_are_those_of_transformers(
    installed: None, tiny: Path, loaded: Any, tokenizer: Any, prompts: list[list[int]]
):
    want = generation.generate_answers(loaded, tokenizer, prompts, 3, LENGTH)
    assert len(set(want)) > 1
    assert vllm_backend.VllmGenerator(tiny, tokenizer).generate(prompts, LENGTH) == want


def test_its_answers_stop_at_our_end_of_turn(
    installed: None, tiny: Path, loaded: Any, tokenizer: Any, prompts: list[list[int]]
):
    """A token that this model does write is made the end of turn."""
    free = greedy(loaded, prompts[0])
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(free[4])
    want = generation.generate_answers(loaded, tokenizer, prompts, 3, LENGTH)
    assert want[0].text == chat.decode_answer(tokenizer, free[: free.index(tokenizer.eos_token_id)])
    assert not want[0].truncated
    assert vllm_backend.VllmGenerator(tiny, tokenizer).generate(prompts, LENGTH) == want


def test_a_draw_is_of_its_prompt_and_seed_whatever_stands_beside_it(
    installed: None, tiny: Path, tokenizer: Any, prompts: list[list[int]]
):
    writer = vllm_backend.VllmGenerator(tiny, tokenizer)
    one, other = prompts[:2]

    def draw(*asked: tuple[list[int], int], seed: int = 7) -> list[GeneratedAnswer]:
        return writer.sample(asked, 1.0, LENGTH, seed)

    first, second, again = draw((one, 0), (other, 0), (one, 1))
    assert first != again, "another number is another draw"
    assert [again, first] == draw((one, 1), (one, 0))
    assert [second] == draw((other, 0))
    assert [first] != draw((one, 0), seed=8)


def test_it_is_told_the_dtype_of_the_folder(installed: None, tiny_copy: Path, tokenizer: Any):
    """vLLM by itself would halve 32 bits."""
    vllm_backend.VllmGenerator(tiny_copy, tokenizer)
    rewrite(tiny_copy, dtype="bfloat16")
    vllm_backend.VllmGenerator(tiny_copy, tokenizer)
    assert [one["dtype"] for one in STARTED] == ["float32", "bfloat16"]


def test_a_model_that_it_does_not_load_is_told_in_one_line(
    installed: None, tiny_copy: Path, tokenizer: Any
):
    (tiny_copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"vllm does not load it .*set evaluate.backend to transf"):
        vllm_backend.VllmGenerator(tiny_copy, tokenizer)


def test_one_of_both_is_loaded_at_a_time(
    installed: None, tiny: Path, loaded: Any, corpus: list[Record]
):
    texts = Suite(task="reply", answer="text", metrics=["rouge_l"])
    rows = [row for row in corpus if row.task == "reply"]
    asked = Asked.model_validate({**asked_values(), "backend": "vllm"})
    model = Answering(tiny, "eager", asked, None)
    ours = TransformersGenerator(loaded, model.tokenizer, asked.batch_size)
    written = ours.generate([model.prompt(row) for row in rows], asked.max_new_tokens)
    want = [(one.text, one.truncated) for one in written]

    def running() -> list[bool]:
        return [one["running"] for one in STARTED]

    assert [(one.text, one.truncated) for one in model.answers(texts, rows, [])] == want
    assert len(model.samples([(row, 0) for row in rows], 7)) == len(rows)
    assert running() == [True], "the same engine draws"
    before = model.losses(rows)
    assert running() == [False]
    assert [(one.text, one.truncated) for one in model.answers(texts, rows, [])] == want
    assert running() == [False, True]
    assert model.losses(rows) == before
    assert running() == [False, False]


def greedy(model: Any, prompt: list[int]) -> list[int]:
    """The likeliest token, again and again, whether or not it ends the turn."""
    import torch

    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(LENGTH):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def asked_values() -> dict[str, Any]:
    values = tiny_params({})["evaluate"]
    return {name: value for name, value in values.items() if name in Asked.model_fields}


def rewrite(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_is_not_installed_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(REPOSITORY)])
    line = r"vllm is not installed; pip install '\.\[vllm\]', or set evaluate.backend to transf"
    with pytest.raises(UserError, match=line):
        vllm_backend.check_model(tiny)


def test_a_machine_without_a_gpu_is_refused(
    installed: None, device: Callable[[bool], None], tiny: Path
):
    device(False)
    with pytest.raises(
        UserError, match=r"vllm needs a CUDA device.*evaluate.backend to transformers"
    ):
        vllm_backend.check_model(tiny)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dtype": None}, "config.json: names no dtype"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "4-bit weights of models in 16 bits alone, and this one's dtype is float32",
        ),
    ],
)
def test_a_model_that_it_would_not_read_as_it_is_is_refused(
    installed: None,
    device: Callable[[bool], None],
    tiny_copy: Path,
    changes: dict[str, Any],
    line: str,
):
    device(True)
    vllm_backend.check_model(tiny_copy)
    rewrite(tiny_copy, **changes)
    with pytest.raises(UserError, match=line):
        vllm_backend.check_model(tiny_copy)


def test_a_model_with_a_learnt_prefix_is_refused(
    installed: None, device: Callable[[bool], None], tiny_copy: Path
):
    device(True)
    (tiny_copy / soft_prompt.FILE).touch()
    with pytest.raises(UserError, match=f"{soft_prompt.FILE}: vllm reads no learnt prefix"):
        vllm_backend.check_model(tiny_copy)


@pytest.mark.slow
def test_the_stage_refuses_before_weights_load_and_the_first_stage_before_all_work(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    """On the CPU, with and without vLLM."""
    (workplace / "base/model.safetensors").unlink()
    prepared = [f"prepared/{name}.jsonl" for name in ("train", "validation", "test")]
    paths = (*prepared, "prepared/labels.json", "tasks", "evaluated/base")
    changes = {"evaluate.backend": "vllm"}
    line = "params.yaml: evaluate.backend: vllm "
    refused(stage("evaluate", "base", *paths, changes=changes), workplace / "evaluated", line)
    refused(stage("base", "text.jsonl", "other", changes=changes), workplace / "other", line)


def test_who_writes_nothing_is_not_asked_for_it():
    choice = {"task": "intent", "answer": "choice", "metrics": ["accuracy"]}
    values = {**asked_values(), "backend": "vllm"}
    assert Asked.model_validate(values).vllm_writes
    assert not Asked.model_validate({**values, "suites": [choice]}).vllm_writes
    assert not Asked.model_validate({**values, "backend": "transformers"}).vllm_writes


@pytest.mark.slow
def test_vllm_itself_writes_what_transformers_writes(
    tiny: Path, loaded: Any, tokenizer: Any, prompts: list[list[int]]
):
    """On a GPU with the extra: the same tokens, but where two are as likely but for rounding."""
    import torch

    pytest.importorskip("vllm")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    vllm_backend.check_model(tiny)
    writer = vllm_backend.VllmGenerator(tiny, tokenizer)
    try:
        got = writer.generate(prompts, LENGTH)
        drawn = writer.sample([(prompt, 0) for prompt in prompts], 1.0, LENGTH, 7)
        one_by_one = [writer.sample([(prompt, 0)], 1.0, LENGTH, 7)[0] for prompt in prompts]
    finally:
        writer.close()
    assert got == generation.generate_answers(loaded, tokenizer, prompts, 3, LENGTH)
    assert drawn == one_by_one
