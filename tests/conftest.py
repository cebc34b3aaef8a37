"""A tiny random model, tiny data, and functions that run stages on them."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from ruamel.yaml import YAML

from lockstep import records
from lockstep.export.gguf_conversion import write_gguf
from lockstep.models import lean_imports, loading, saving
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.records import Record
from lockstep.starter import pretraining
from tests.seq2seq_models import WRITERS, write_t5

# set before torch is imported; the CPU may be shared, and no test needs a network
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel on tiny models
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

# a shell ignores SIGINT in background jobs; stages that tests start must not inherit that
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup ignores SIGHUP; child processes do not inherit this handler, and the tests keep running
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

hypothesis.settings.register_profile("untimed", deadline=None)  # the CPU may be busy
hypothesis.settings.load_profile("untimed")

REPOSITORY = Path(__file__).parents[1]
STARTER = REPOSITORY / "data/starter/model"
LABELS = ["cancel_order", "track", "refund"]
KINDS = {"intent": "label", "slots": "json", "reply": "text"}
"""Kind of each task in the corpus."""

TINY: dict[str, Any] = {
    "compute.threads": 1,
    "compute.portable": False,
    "train.epochs": 2.0,
    "train.batch_size": 4,
    "train.max_length": 200,
    "train.log_steps": 1,
    "train.evaluation_steps": 2,
    "train.sft.weighting": "fixed",
    "train.sft.task_weights": {},
    "merge.prompts": 4,
    "quantize.rows": 6,
    "predict.batch_size": 4,
    "predict.max_new_tokens": 8,
    "predict.split_records": 2,
    "predict.lm_eval": {"records": 3},
    "predict.robustness": {"records": 0},
    "predict.retrieval": {"lengths": []},
    "evaluate.domains": {},
    "runtime.device": "cpu",
}
"""Values for a model that trains in seconds, by dotted path in params.yaml."""

ADAPTERS: dict[str, dict[str, Any]] = {
    "full": {},
    "freeze": {"layers": 1},
    "lora": {"r": 4, "lora_alpha": 32, "lora_dropout": 0.1, "target_modules": "all-linear"},
    "qlora": {"r": 4, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": "all-linear"},
    "adalora": {
        "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 1, "target_modules": "all-linear"
    },
    "ia3": {},
    "bottleneck": {"r": 32, "depth": 1, "target_modules": "all-linear"},
    "prompt": {"num_virtual_tokens": 20},
    "p_tuning": {"num_virtual_tokens": 20, "encoder_hidden_size": 128},
    "prefix": {"num_virtual_tokens": 20},
    "trainable_tokens": {"token_indices": [0]},
}  # fmt: skip
"""Default of `train.adapter` in the tests, by strategy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no worker waits for one of them in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def change_params(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Set values by dotted path, for example "prepare.sources.0.task"; a path may add a key."""
    for path, value in changes.items():
        *parents, last = path.split(".")
        section: Any = values
        for parent in parents:
            section = (
                section[int(parent)]
                if isinstance(section, list)
                else section.setdefault(parent, {})
            )  # the schema refuses unknown keys
        section[last] = value
    return values


def make_tiny_params(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the repository's params for a tiny model, with `changes` by dotted path.

    Unless it is changed, `train.adapter` fits the strategy.
    """
    adapter = {"train.adapter": dict(ADAPTERS[changes.get("train.strategy", "lora")])}
    file = REPOSITORY / "params.yaml"
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    return change_params(values, {**TINY, **adapter, **changes})


def write_params(workspace: Path, changes: dict[str, Any]) -> None:
    """Write the params for a tiny model to the workspace's params.yaml."""
    with (workspace / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(make_tiny_params(changes), stream)


@pytest.fixture(autouse=True)
def restore_bitsandbytes() -> Iterator[None]:
    """Undo that a stage left out bitsandbytes in this process."""
    yield
    lean_imports.restore_bitsandbytes()


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """Texts in two languages, enough for a few batches."""
    lines = [
        "Where is my order {}?",
        "请取消订单 {}。",
        "Refund order {} please.",
        "退款多久到账？",
    ]
    return [line.format(100 + number) for number in range(20) for line in lines]


@pytest.fixture(scope="session")
def starter_params() -> pretraining.StarterParams:
    """Params of a starter that trains in seconds."""
    return pretraining.StarterParams(
        vocabulary=400,
        hidden_size=64,
        layers=2,
        heads=2,
        look_back_heads=1,
        context=256,
        batch_tokens=128,
        sequence=32,
        copying_steps=2,
        steps=3,
        answer_weight=1.0,
        learning_rate=4e-2,
        matrix_learning_rate=6e-3,
        validation_documents=8,
        evaluation_steps=2,
    )


@pytest.fixture(scope="session")
def tiny_model(
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[str],
    starter_params: pretraining.StarterParams,
) -> Path:
    """Folder of a random Qwen2 model with large weights, so that its logits differ."""
    import torch

    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = pretraining.train_tokenizer([documents], starter_params)
    torch.manual_seed(0)
    model = pretraining.build_model(tokenizer, starter_params, "eager")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    saving.save_model(model, folder, 1.0)
    saving.save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def starter_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the starter model as a GGUF file in 16 bits."""
    folder = tmp_path_factory.mktemp("starter") / "gguf"
    shutil.copytree(STARTER, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    write_gguf(STARTER, folder / GGUF_FILE, "gguf_f16")
    return folder


@pytest.fixture(scope="session")
def seq2seq_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny random encoder-decoders, by architecture."""
    root = tmp_path_factory.mktemp("seq2seq")
    for name, write in WRITERS.items():
        write(root / name)
    return {name: root / name for name in WRITERS}


@pytest.fixture
def tiny_model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """Copy of the tiny model's folder, which a test may damage."""
    return shutil.copytree(tiny_model, tmp_path / "damaged")


@pytest.fixture
def tokenizer(tiny_model: Path) -> ChatTokenizer:
    """Tokenizer of the tiny model."""
    return loading.load_tokenizer(tiny_model)


@pytest.fixture(scope="session")
def loaded_model(tiny_model: Path) -> Any:
    """Loaded tiny model, which no test may change."""
    return loading.load_model(tiny_model, "float32", "eager", "cpu")


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Return a record of one question and its answer."""

    def make(question: str, answer: str, task: str = "intent", system: str = "") -> Record:
        turns = [("system", system)] * bool(system) + [("user", question), ("assistant", answer)]
        return Record(
            messages=[{"role": role, "content": content} for role, content in turns],
            task=task,
            source="s.csv",
            origin=f"s.csv:{question}",
            slices={"language": "zh" if ord(question[0]) > 127 else "en"},
        )

    return make


@pytest.fixture(scope="session")
def corpus(make_record: Callable[..., Record]) -> list[Record]:
    """Four records of each of three tasks, with prompts and answers of different lengths."""
    rows = []
    for number, label in enumerate([*LABELS, "track"]):
        question = f"{'请问，' * (number % 2)}order {10**number}: {label}?"
        rows.append(make_record(question, label, system="Name the intent."))
        rows.append(make_record(f"{question} slots", f'{{"order":"{10**number}"}}', "slots"))
        rows.append(
            make_record(f"{question} reply", f"好的，{label} is done. " * (number + 1), "reply")
        )
    return rows


def write_tasks(prepared: Path, kinds: dict[str, str]) -> None:
    """Write tasks.json for the splits in the folder; `kinds` holds the kind of each task."""
    splits = {
        name: [record.task for record in records.read(prepared / f"{name}.jsonl")]
        for name in ("train", "validation", "test")
    }
    tasks = {
        task: {
            "kind": kind,
            "slices": [],
            "records": {name: tasks.count(task) for name, tasks in splits.items()},
        }
        for task, kind in kinds.items()
    }
    (prepared / "tasks.json").write_text(json.dumps(tasks))


def write_stage_inputs(workspace: Path, model: Path, rows: list[Record]) -> Path:
    """Write the inputs of `train` and `predict` into a folder: model, records, labels, tasks."""
    shutil.copytree(model, workspace / "base")
    for folder in ("adapters", "augmented", "prepared", "tasks"):
        (workspace / folder).mkdir()
    records.write(workspace / "augmented/train.jsonl", rows)
    for part in ("train", "validation", "test"):
        records.write(workspace / f"prepared/{part}.jsonl", rows)
    (workspace / "prepared/labels.json").write_text(json.dumps({"intent": LABELS}))
    write_tasks(workspace / "prepared", KINDS)
    return workspace


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path, corpus: list[Record]) -> Path:
    """A folder with the inputs of `train` and `predict`."""
    return write_stage_inputs(tmp_path, tiny_model, corpus)


@pytest.fixture
def start_stage(workspace: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a stage in the workspace with changed params, by default with `python -m`.

    The call returns the running process, which is killed at the end of the test.
    """
    processes = []

    def start(
        *arguments: str, changes: dict[str, Any] | None = None, command: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        write_params(workspace, changes or {})
        name, *paths = arguments
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
        process = subprocess.Popen(
            [*(command or (sys.executable, "-m")), f"stages.{name}", *paths],
            cwd=workspace,
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def run_stage(
    start_stage: Callable[..., subprocess.Popen[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m stages.NAME ARGUMENTS` in the workspace with changed params to its end."""

    def run(
        *arguments: str, changes: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        process = start_stage(*arguments, changes=changes)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def run_stage_in_process(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a stage in the workspace within this process and return what it printed on stderr.

    This is faster than `run_stage`, which starts a process that imports torch.
    """

    def run(*arguments: str, changes: dict[str, Any] | None = None) -> str:
        write_params(workspace, changes or {})
        monkeypatch.chdir(workspace)
        for variable in [name for name in os.environ if name.startswith("DVC_")]:
            monkeypatch.delenv(variable)
        name, *paths = arguments
        main: Any = importlib.import_module(f"stages.{name}").main
        capsys.readouterr()
        main.main(paths, standalone_mode=False)
        return capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def read_folder() -> Callable[[Path], dict[str, bytes]]:
    """Read all files below a folder into a mapping of relative path to bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read


@pytest.fixture(scope="session")
def assert_user_error() -> Callable[..., None]:
    """Assert that a run failed with exit code 2 and one line on stderr that contains the words.

    The run must not have left an output at `out`.
    """

    def check(run: subprocess.CompletedProcess[str], out: Path, *words: str) -> None:
        assert run.returncode == 2, run.stderr
        lines = [line for line in run.stderr.splitlines() if not line.startswith("train: ")]
        assert len(lines) == 1, run.stderr
        assert [word for word in words if word not in lines[0]] == [], run.stderr
        assert not list(out.parent.glob(f"*{out.name}*"))

    return check


TEMPLATES = {"llama": "llama3_2", "gemma-3": "gemma3", "qwen3": "qwen3", "qwen2": "qwen2_5"}
"""Name of TRL's chat template for each family of generative models that publishes one."""


def write_random_model(name: str, folder: Path, tiny_model: Path) -> None:
    """Write a random model of the architecture that a hub name contains, e.g. qwen3.

    Encoders have the tokenizer of the tiny model without its template, GPT-2 a tokenizer with an
    end token alone, T5 one of its own, and the others the chat template and the control tokens of
    their family.
    """
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )  # fmt: skip

    from tests.models import chat_families
    from tests.published_folders import build_byte_pairs

    if "t5" in name:
        write_t5(folder)
        return
    tokenizer = loading.load_tokenizer(tiny_model).pretrained
    if template := next((TEMPLATES[family] for family in TEMPLATES if family in name), None):
        tokenizer = chat_families.build_pretrained(template)
    elif "gpt2" in name:
        tokenizer = build_byte_pairs()
    else:
        tokenizer.chat_template = None
    layout: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id,
    }  # fmt: skip
    decoder = {**layout, "num_key_value_heads": 1}
    torch.manual_seed(0)
    model: Any
    if "bert" in name or "minilm" in name:
        model = BertModel(BertConfig(**layout))
    elif "gpt2" in name:
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=256,
                eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id,
            )
        )  # fmt: skip
    elif "llama" in name:
        model = LlamaForCausalLM(LlamaConfig(**decoder))
    elif "gemma-3" in name:
        model = Gemma3ForCausalLM(Gemma3TextConfig(**decoder, head_dim=16, sliding_window=16))
    elif "qwen3" in name:
        model = Qwen3ForCausalLM(Qwen3Config(**decoder, head_dim=16))
    elif "qwen2" in name:
        model = Qwen2ForCausalLM(Qwen2Config(**decoder))
    else:
        raise ValueError(f"no random model for {name}")
    saving.save_model(model, folder, 1.0)
    saving.save_tokenizer(tokenizer, folder)
