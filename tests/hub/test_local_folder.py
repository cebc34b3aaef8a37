"""A local model is copied without duplicates, code or pickled weights."""

import json
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.hub.local_folder import copy_model

MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def list_names(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def test_only_the_model_s_own_files_are_copied(model: Path, output_folder: Path):
    for other in ("pytorch_model.bin", "modeling_x.py", "notes.md", "consolidated.safetensors"):
        (model / other).write_bytes(b"x")
    copy_model(model, output_folder)
    assert list_names(output_folder) == MODEL_FILES
    assert all(
        (output_folder / name).read_bytes() == (model / name).read_bytes() for name in MODEL_FILES
    )


def test_the_card_and_the_terms_are_copied(model: Path, output_folder: Path):
    terms = ["LICENSE", "LICENSE-MODEL.md", "NOTICE.txt", "README.md", "USE_POLICY.md"]
    for name in [*terms, "license_check.py", "LICENSE.pdf", "licensed.txt"]:
        (model / name).write_bytes(b"x")
    copy_model(model, output_folder)
    assert list_names(output_folder) == sorted([*terms, *MODEL_FILES])


def test_the_shards_that_the_index_names_are_copied(sharded_model: Path, output_folder: Path):
    (sharded_model / "consolidated.safetensors").write_bytes(b"the same weights once more")
    copy_model(sharded_model, output_folder)
    shards = [path.name for path in sharded_model.glob("model*")]
    assert set(shards) < set(list_names(output_folder))
    assert "consolidated.safetensors" not in list_names(output_folder)


def test_a_writable_file_shares_no_bytes_with_its_copy(model: Path, output_folder: Path):
    copy_model(model, output_folder)
    (output_folder / "model.safetensors").chmod(0o444)  # as DVC does when it caches the file
    with (model / "model.safetensors").open("r+b") as stream:
        stream.write(b"edited in place")
    assert not (output_folder / "model.safetensors").read_bytes().startswith(b"edited")


def test_a_read_only_file_is_linked(model: Path, output_folder: Path):
    (model / "model.safetensors").chmod(0o444)
    copy_model(model, output_folder)
    assert (output_folder / "model.safetensors").samefile(model / "model.safetensors")


def test_symbolic_links_of_a_hub_cache_are_resolved(
    model: Path, tmp_path: Path, output_folder: Path
):
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in model.iterdir():
        (snapshot / path.name).symlink_to(path)
    copy_model(snapshot, output_folder)
    assert list_names(output_folder) == MODEL_FILES
    assert not any(path.is_symlink() for path in output_folder.iterdir())


def remove_files(*names: str):
    """Return a function that removes files from a folder."""
    return lambda folder: [(folder / name).unlink() for name in names]


def rename_file(name: str, other: str):
    """Return a function that renames a file in a folder."""
    return lambda folder: (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_files("config.json"), "no config.json"),
        (
            remove_files("model.safetensors"),
            "no model.safetensors and no model.safetensors.index.json",
        ),
        (
            rename_file("model.safetensors", "adapter_model.safetensors"),
            "an adapter alone is no base",
        ),
        (remove_files("tokenizer.json"), "no tokenizer.json or tokenizer.model"),
        *(
            (rename_file("model.safetensors", name), rf"only pickled weights \({name}\)")
            for name in (
                "pytorch_model.bin",
                "model.pt",
                "model.pth",
                "model.ckpt",
                "model.pkl",
                "flax_model.msgpack",
                "tf_model.h5",
            )
        ),
    ],
)
def test_the_error_for_an_incomplete_model_names_the_file(
    model: Path, output_folder: Path, damage, message: str
):
    damage(model)
    with pytest.raises(UserError, match=message):
        copy_model(model, output_folder)
    assert list_names(output_folder) == []


def test_a_missing_folder_is_an_error(tmp_path: Path, output_folder: Path):
    with pytest.raises(UserError, match="absent: no such folder"):
        copy_model(tmp_path / "absent", output_folder)


@pytest.mark.parametrize("shard", ["model-9.safetensors", "../config.json", "config.json"])
def test_an_index_that_names_a_missing_shard_is_an_error(
    sharded_model: Path, output_folder: Path, shard: str
):
    index = json.dumps({"weight_map": {"lm_head.weight": shard}})
    (sharded_model / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UserError, match="which is missing"):
        copy_model(sharded_model, output_folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": []}}'])
def test_an_index_of_another_form_is_an_error(sharded_model: Path, output_folder: Path, text: str):
    (sharded_model / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match="not an index of weights"):
        copy_model(sharded_model, output_folder)
