"""A base model from a folder of the user's: which files are one, and how they are shared."""

import json
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from lockstep import outputs
from lockstep.errors import UserError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZERS = (
    {"tokenizer.json"},
    {"tokenizer.model"},
    {"vocab.json", "merges.txt"},
    {"spiece.model"},  # T5
    {"sentencepiece.bpe.model"},  # M2M100, NLLB, mBART
    {"vocab.json", "source.spm", "target.spm"},  # Marian
)
"""Any one of these sets is a whole tokenizer."""
SMALL = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "chat_template.jinja",
    "chat_template.json",
)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


def copy_model(source: Path, into: Path) -> None:
    """Put the model in `source` into the folder `into`: config, tokenizer, safetensors.

    The files must not be hard links to what the user may still write: DVC makes every file
    that it caches read-only, through whatever name, and an edit in place would change the
    cache under its hash. So a file is cloned where the file system can (XFS, Btrfs: no bytes
    are copied), and hard-linked only if it is 0444 already, as DVC itself would leave it;
    on ext4 `chmod 444 *.safetensors` thus saves a copy of a large model.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; give the one that save_pretrained wrote")
    names = {path.name for path in source.iterdir() if path.is_file()}
    for name in list_small_files(names, str(source)) + list_weight_files(
        names, source, str(source)
    ):
        _share(source / name, into / name)


def list_small_files(names: Collection[str], where: str) -> list[str]:
    """The config and tokenizer files among `names`; refuses if they or all weights are missing.

    Raises before anything is downloaded: `names` may be the listing of a repository.
    """
    if CONFIG not in names:
        raise UserError(f"{where}: no {CONFIG}; this is not a transformers model")
    if WEIGHTS not in names and INDEX not in names:
        raise UserError(f"{where}: {_no_weights(names)}")
    if not any(tokenizer <= set(names) for tokenizer in TOKENIZERS):
        raise UserError(f"{where}: no tokenizer.json or tokenizer.model; add the tokenizer's files")
    return [name for name in SMALL if name in names] + [INDEX] * (WEIGHTS not in names)


def list_weight_files(names: Collection[str], folder: Path, where: str) -> list[str]:
    """The weights that transformers would load, and no duplicates of them beside.

    (Mistral's repositories, for one, hold all weights a second time as consolidated.safetensors.)
    The index is read from `folder`; its shards are looked for among `names`.
    """
    if WEIGHTS in names:
        return [WEIGHTS]
    try:
        index = json.loads((folder / INDEX).read_bytes())
        shards = sorted(set(index["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{where}: {INDEX}: not an index of weights; fetch it again") from None
    for shard in shards:
        if shard not in names or not shard.endswith(".safetensors"):
            raise UserError(f"{where}: {INDEX} names {shard!r}, which is missing; fetch it again")
    return shards


def _no_weights(names: Collection[str]) -> str:
    if pickled := sorted(name for name in names if name.endswith(PICKLED)):
        return (
            f"only pickled weights ({pickled[0]}), which can run code when read; "
            "convert them to safetensors or take a revision that has them"
        )
    if other := sorted(name for name in names if name.endswith(".safetensors")):
        return f"{other[0]}, but no {WEIGHTS}; an adapter alone is no base, merge it first"
    return f"no {WEIGHTS} and no {INDEX}; a model needs its weights in safetensors"


def _share(source: Path, target: Path) -> None:
    real = Path(os.path.realpath(source))  # a snapshot in the hub's own cache is symbolic links
    if stat.S_IMODE(real.stat().st_mode) == 0o444:
        outputs.link_or_copy(real, target)
    else:
        _clone(real, target)


def _clone(source: Path, target: Path) -> None:
    """A file of its own; copy_file_range lets the file system share the blocks underneath."""
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 2**30):
                pass
    except (AttributeError, OSError):  # no such call here, or none between these file systems
        shutil.copyfile(source, target)
