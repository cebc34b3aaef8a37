"""The command: a dry run lists files, --go writes them, and every mistake is named."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from click.testing import Result
from dvc.repo import Repo

from lockstep import outputs
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.models.heads import HEAD_FILE
from lockstep.publishing.__main__ import main
from tests.killed_commands import run_until
from tests.publishing.conftest import run_git

Export = Callable[..., Result]
OUT = Path("build/export/folder")
MODEL_FILES = [
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def list_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def list_errors(result: Result) -> list[str]:
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


def test_a_dry_run_lists_every_file_with_its_size_and_writes_nothing(
    export: Export, clone: Path
) -> None:
    result = export("folder")
    assert result.exit_code == 0
    lines = [line.rsplit(maxsplit=1) for line in result.stdout.splitlines()]
    assert [name for _, name in lines] == [*MODEL_FILES, "files"]
    sizes = {name: size.strip() for size, name in lines}
    assert sizes["config.json"] == f"{(clone / 'data/quantized/config.json').stat().st_size} bytes"
    assert result.stderr == (
        "dry run: nothing was written; GO=1 writes these files to build/export/folder\n"
    )
    assert not (clone / "build").exists()


def test_the_folder_has_the_model_and_its_card_as_copies(export: Export, clone: Path) -> None:
    result = export("folder", "--go")
    assert (result.exit_code, result.stderr) == (0, "export: wrote build/export/folder\n")
    assert list_names(OUT) == MODEL_FILES
    card = (OUT / "README.md").read_text()
    assert "Load it with `transformers.AutoModelForCausalLM.from_pretrained`.\n" in card
    for name in MODEL_FILES[1:]:
        assert (OUT / name).read_bytes() == (clone / "data/quantized" / name).read_bytes()
        assert not (OUT / name).samefile(clone / "data/quantized" / name)


def test_source_and_target_can_be_chosen(export: Export, clone: Path) -> None:
    with (clone / "data/merged/config.json").open("a") as stream:
        stream.write(" ")
    run_git(clone, "commit", "--quiet", "--allow-empty", "-m", "x")
    Repo().commit(force=True)
    assert export("folder", "--source", "merged", "--out", "elsewhere", "--go").exit_code == 0
    assert Path("elsewhere/config.json").read_bytes().endswith(b" ")


def test_licence_files_travel(export: Export, clone: Path) -> None:
    (clone / "data/quantized/LICENSE").write_text("Terms of the base")
    Repo().commit(force=True)
    assert export("folder", "--go").exit_code == 0
    assert (OUT / "LICENSE").read_text() == "Terms of the base"


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("data/quantized", "quantize"),
        ("data/base", "base"),
        ("data/prepared/card.json", "prepare"),
        ("reports/details.json", "evaluate"),
        ("reports/model-card.md", "report"),
    ],
)
def test_a_missing_output_names_its_stage(
    path: str, stage: str, export: Export, clone: Path
) -> None:
    shutil.move(clone / path, clone / "moved")
    assert list_errors(export("folder")) == [f"{path}: not found; run `dvc repro {stage}`"]


def test_all_mistakes_are_reported_together(export: Export, clone: Path) -> None:
    (clone / "params.yaml").write_text((clone / "params.yaml").read_text() + "\n# changed\n")
    config = clone / "data/quantized/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"x": str(clone)}))
    repository, token, stale, changed, private = list_errors(export("hub", "--repository", "a"))
    assert repository.startswith("REPO: 'a' is not owner/name")
    assert token.startswith("HF_TOKEN is not set")
    assert stale.startswith("dvc.lock: does not match data/quantized; run `dvc repro`")
    assert changed.startswith("git: uncommitted changes in params.yaml; commit them")
    assert private.startswith("data/quantized/config.json: contains the path of this clone")


def test_a_changed_parameter_without_a_run_is_refused(export: Export, clone: Path) -> None:
    text = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(text.replace("method: nf4", "method: int8"))
    (error,) = list_errors(export("folder"))
    assert error.startswith("dvc.lock: does not match params.yaml:quantize")


def test_a_model_without_the_data_can_be_exported(export: Export, clone: Path) -> None:
    """`dvc pull data/merged` brings one folder alone."""
    shutil.rmtree(clone / "data/raw")
    run_git(clone, "commit", "--quiet", "-am", "x")
    assert export("folder").exit_code == 0


def test_an_existing_target_is_never_replaced(export: Export, clone: Path) -> None:
    OUT.mkdir(parents=True)
    (OUT / "notes.txt").write_text("mine")
    (error,) = list_errors(export("folder", "--go"))
    assert error == ("build/export/folder: exists; move it away or name another folder by OUT=…")
    assert list_names(OUT) == ["notes.txt"]


def test_too_little_space_is_noticed_before_anything_is_written(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    (error,) = list_errors(export("folder", "--go"))
    assert error.startswith("build/export/folder: the export needs ")
    assert "the disk has 1 kB; free space" in error
    assert not Path("build").exists()


def test_a_read_only_target_is_noticed_by_the_dry_run(
    export: Export, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lets root write into any folder, so its answer is replaced."""
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != clone)
    (error,) = list_errors(export("folder"))
    assert error.startswith(f"build/export/folder: {clone} is read-only; make it writable")


def test_an_interrupted_copy_leaves_no_folder(
    export: Export, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def interrupt(source: Path, target: Path) -> None:
        if Path(target).name == "tokenizer.json":
            raise KeyboardInterrupt
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", interrupt)
    assert export("folder", "--go").exit_code == 1
    assert list_names(Path("build/export")) == []


@pytest.mark.parametrize(
    ("form", "moment"),
    [
        ("folder", (shutil, "copyfile")),
        ("folder", (outputs, "flush")),
        ("ollama", (gguf.GGUFWriter, "write_tensors_to_file")),
    ],
)
def test_after_a_kill_the_same_command_completes_the_export(
    form: str, moment: tuple[Any, str], export: Export, clone: Path
) -> None:
    assert run_until(moment, main, (form, "--go")) == -signal.SIGKILL
    assert list_names(Path("build/export"))[0] == f".{form}.partial"
    assert not Path("build/export", form).exists()
    result = export(form, "--go")
    assert (result.exit_code, result.stderr) == (0, f"export: wrote build/export/{form}\n")
    assert [path.name for path in Path("build/export").iterdir()] == [form]


def test_the_token_and_the_folder_of_the_user_may_not_leave(
    export: Export, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HOME", "/home/anna")
    for name, text in (("config.json", "/home/anna/x"), ("tokenizer_config.json", "hf_secret")):
        path = clone / "data/quantized" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"x": text}))
    Repo().commit(force=True)
    errors = list_errors(export("folder", "--go"))
    assert [error.partition(":")[0] for error in errors] == [
        "data/quantized/config.json",
        "data/quantized/tokenizer_config.json",
    ]
    assert "hf_secret" not in "".join(errors)


def test_a_name_that_contains_a_path_is_no_path(
    export: Export, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may have its home in /app, and an owner on the hub may be called so."""
    monkeypatch.setenv("HOME", "/app")
    path = clone / "data/quantized/config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"x": "org/app, /apple, /app-store"}))
    Repo().commit(force=True)
    assert export("folder").exit_code == 0


@pytest.mark.parametrize(
    ("config", "file", "sentence"),
    [
        ({"is_encoder_decoder": True}, "", "`transformers.AutoModelForSeq2SeqLM.from_pretrained`."),
        (
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "",
            "`transformers.AutoModelForCausalLM.from_pretrained`; it needs bitsandbytes.",
        ),
        ({}, HEAD_FILE, "`transformers.AutoModelForSequenceClassification.from_pretrained`."),
        ({}, GGUF_FILE, "llama.cpp and Ollama load `model.gguf`."),
    ],
)
def test_the_card_says_what_loads_the_model(
    config: dict[str, object], file: str, sentence: str, export: Export, clone: Path
) -> None:
    path = clone / "data/quantized/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if file:
        head = {"problem": "single_label_classification", "labels": ["a", "b"]}
        (clone / "data/quantized" / file).write_text(json.dumps(head))
    if file == GGUF_FILE:
        (clone / "data/quantized/model.safetensors").unlink()
    Repo().commit(force=True)
    assert export("folder", "--go").exit_code == 0
    assert f"{sentence}\n" in (OUT / "README.md").read_text()


def test_a_folder_without_git_has_no_commit_to_name(export: Export, clone: Path) -> None:
    shutil.rmtree(clone / ".git")
    (error,) = list_errors(export("folder"))
    assert error.startswith("no git commit here")
