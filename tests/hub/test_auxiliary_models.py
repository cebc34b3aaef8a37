"""A model is a local folder or a revision on the hub, which is downloaded once."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.augmentation import back_translation, paraphrase
from lockstep.errors import UserError
from lockstep.hub import auxiliary_models
from lockstep.models.compute import ComputeParams
from tests.hub_server import MODEL, REVISION, Hub, make_environment

ROOT = Path(__file__).parents[2]
MARIAN = {
    name: name.encode()
    for name in ("config.json", "vocab.json", "source.spm", "target.spm", "model.safetensors")
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        server.files = {**MARIAN, "pytorch_model.bin": b"x"}
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_revision_of_the_hub_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    code = (
        "import sys; from lockstep.hub import auxiliary_models;"
        "print(auxiliary_models.resolve_model(sys.argv[1]))"
    )
    folders = set()
    for _ in range(2):
        process = subprocess.run(
            [sys.executable, "-c", code, f"{MODEL}@{REVISION}"],
            cwd=ROOT,
            env={**make_environment(hub.url, tmp_path / "home"), "DVC_ROOT": str(tmp_path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        folders.add(process.stdout.strip())
    (folder,) = map(Path, folders)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MARIAN
    assert len(hub.list_ranges("model.safetensors")) == 1
    assert not list((tmp_path / ".scratch" / "base").iterdir())


def test_a_model_folder_is_returned_and_any_other_name_is_an_error(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        with pytest.raises(UserError, match=rf"^{tmp_path}: no "):
            auxiliary_models.resolve_model(str(tmp_path))
        (tmp_path / name).write_text("{}")
    assert auxiliary_models.resolve_model(str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match="does not load"):
        back_translation.back_translate(["a"], tmp_path, tmp_path, 1, 6)
    settings = ComputeParams(threads=1, attention="eager")
    with pytest.raises(UserError, match=rf"^{tmp_path}: "):
        paraphrase.paraphrase_locally(["a"], tmp_path, settings, 7, "Say it.", 1, 6)
    for name in (f"{tmp_path}/none", "team/model@main", "team/model", os.devnull):
        with pytest.raises(
            UserError, match="no such model; name a folder written by save_pretrained"
        ):
            auxiliary_models.resolve_model(name)
