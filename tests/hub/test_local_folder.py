import json
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.hub.local_folder import copy_model

WHOLE = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_brings_the_model_and_nothing_beside_it(model: Path, into: Path):
    for other in ("pytorch_model.bin", "modeling_x.py", "README.md", "consolidated.safetensors"):
        (model / other).write_bytes(b"x")
    copy_model(model, into)
    assert listing(into) == WHOLE
    assert all((into / name).read_bytes() == (model / name).read_bytes() for name in WHOLE)


def test_brings_the_shards_that_the_index_names(sharded: Path, into: Path):
    (sharded / "consolidated.safetensors").write_bytes(b"the same weights once more")
    copy_model(sharded, into)
    shards = [path.name for path in sharded.glob("model*")]
    assert set(shards) < set(listing(into))
    assert "consolidated.safetensors" not in listing(into)


def test_a_file_that_the_user_may_write_is_not_shared_with_the_cache(model: Path, into: Path):
    copy_model(model, into)
    (into / "model.safetensors").chmod(0o444)  # as DVC does with what it caches
    with (model / "model.safetensors").open("r+b") as stream:
        stream.write(b"edited in place")
    assert not (into / "model.safetensors").read_bytes().startswith(b"edited")


def test_a_read_only_file_is_not_copied(model: Path, into: Path):
    (model / "model.safetensors").chmod(0o444)
    copy_model(model, into)
    assert (into / "model.safetensors").samefile(model / "model.safetensors")


def test_symbolic_links_of_a_hub_cache_are_resolved(model: Path, tmp_path: Path, into: Path):
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in model.iterdir():
        (snapshot / path.name).symlink_to(path)
    copy_model(snapshot, into)
    assert listing(into) == WHOLE
    assert not any(path.is_symlink() for path in into.iterdir())


def remove(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


def rename(name: str, other: str):
    return lambda folder: (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("config.json"), "no config.json"),
        (remove("model.safetensors"), "no model.safetensors and no model.safetensors.index.json"),
        (rename("model.safetensors", "adapter_model.safetensors"), "an adapter alone is no base"),
        (remove("tokenizer.json"), "no tokenizer.json or tokenizer.model"),
        *(
            (rename("model.safetensors", name), rf"only pickled weights \({name}\)")
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
def test_refuses_by_name(model: Path, into: Path, spoil, message: str):
    spoil(model)
    with pytest.raises(UserError, match=message):
        copy_model(model, into)
    assert listing(into) == []


def test_refuses_a_missing_folder(tmp_path: Path, into: Path):
    with pytest.raises(UserError, match="absent: no such folder"):
        copy_model(tmp_path / "absent", into)


@pytest.mark.parametrize("shard", ["model-9.safetensors", "../config.json", "config.json"])
def test_refuses_an_index_that_names_no_shard_here(sharded: Path, into: Path, shard: str):
    index = json.dumps({"weight_map": {"lm_head.weight": shard}})
    (sharded / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UserError, match="which is missing"):
        copy_model(sharded, into)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": []}}'])
def test_refuses_an_index_that_is_none(sharded: Path, into: Path, text: str):
    (sharded / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match="not an index of weights"):
        copy_model(sharded, into)
