"""Copy a model from a local folder, without its pickled weights, code and duplicates."""

import json
import os
import re
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from lockstep import outputs
from lockstep.errors import UserError

CARD = "README.md"
"""Card of a model, whose metadata names its licence."""
LICENCE_FILE = re.compile(
    r"(licen[cs]e|notice|copying|use_policy)([-_][\w-]+)*(\.txt|\.md)?", re.IGNORECASE
)
"""Names of files with the terms of a model, which must travel with copies of it."""
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZERS = (
    {"tokenizer.json"},
    {"tokenizer.model"},
    {"vocab.json", "merges.txt"},
    {"vocab.txt"},  # BERT
    {"spm.model"},  # DeBERTa v3
    {"spiece.model"},  # T5
    {"sentencepiece.bpe.model"},  # M2M100, NLLB, mBART
    {"vocab.json", "source.spm", "target.spm"},  # Marian
)
"""Sets of files, each of which is a complete tokenizer."""
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "chat_template.jinja",
    "chat_template.json",
)
"""Configuration and tokenizer files that a model may have."""
CHAT_TEMPLATES = "additional_chat_templates"
"""Folder of a model's further chat templates, NAME.jinja for each."""
_CHAT_TEMPLATE = re.compile(rf"{CHAT_TEMPLATES}/[\w.-]+\.jinja")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""Suffixes of weight files that can run code when they are read."""


def copy_model(source: Path, into: Path) -> None:
    """Copy configuration, tokenizer, safetensors weights and terms of a model into `into`.

    The copies must not be hard links to files that the user can still write: DVC makes every
    file that it caches read-only, whatever its name, and an edit in place would change the cache
    under its old hash. So a file is cloned where the file system supports it (XFS, Btrfs; no
    bytes are copied), and hard-linked only if its mode is 0444, which is how DVC leaves it.
    On ext4, `chmod 444 *.safetensors` therefore saves a copy of a large model.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder written by save_pretrained")
    names = list_files(source)
    small_files = list_small_files(names, str(source))
    for name in small_files + list_weight_files(names, source, str(source)):
        (into / name).parent.mkdir(exist_ok=True)
        _link_or_clone(source / name, into / name)


def list_files(folder: Path) -> set[str]:
    """Return the files of a model folder as the hub lists them; other subfolders are ignored."""
    paths = [*folder.iterdir(), *folder.glob(f"{CHAT_TEMPLATES}/*")]
    return {path.relative_to(folder).as_posix() for path in paths if path.is_file()}


def list_small_files(names: Collection[str], where: str) -> list[str]:
    """Return the configuration and tokenizer files among `names`, its terms and index of shards.

    Raise UserError if configuration, weights or tokenizer are missing. `names` may be the listing
    of a repository on the hub, so this is known before anything is downloaded. `where` names the
    model in messages.
    """
    if CONFIG not in names:
        raise UserError(f"{where}: no {CONFIG}; this is not a transformers model")
    if WEIGHTS not in names and INDEX not in names:
        raise UserError(f"{where}: {_explain_missing_weights(names)}")
    if not any(tokenizer <= set(names) for tokenizer in TOKENIZERS):
        raise UserError(f"{where}: no tokenizer.json or tokenizer.model; add the tokenizer's files")
    templates = [name for name in sorted(names) if _CHAT_TEMPLATE.fullmatch(name)]
    terms = [name for name in sorted(names) if name == CARD or LICENCE_FILE.fullmatch(name)]
    index = [INDEX] * (WEIGHTS not in names)
    return [name for name in SMALL_FILES if name in names] + templates + terms + index


def list_weight_files(names: Collection[str], folder: Path, where: str) -> list[str]:
    """Return the weight files among `names` that transformers would load.

    Other safetensors files are left out: Mistral's repositories, for example, hold all weights a
    second time as consolidated.safetensors. The index of shards is read from `folder`.
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


def _explain_missing_weights(names: Collection[str]) -> str:
    """Return the message for a folder without safetensors weights of a whole model."""
    if pickled := sorted(name for name in names if name.endswith(PICKLED)):
        return (
            f"only pickled weights ({pickled[0]}), which can run code when read; "
            "convert them to safetensors or use a revision that has them"
        )
    if other := sorted(name for name in names if name.endswith(".safetensors")):
        return f"{other[0]}, but no {WEIGHTS}; an adapter alone is no base, merge it first"
    return f"no {WEIGHTS} and no {INDEX}; a model needs its weights in safetensors"


def _link_or_clone(source: Path, target: Path) -> None:
    """Hard-link a file that is read-only for everybody; clone any other."""
    real = Path(os.path.realpath(source))  # the hub's own cache consists of symbolic links
    if stat.S_IMODE(real.stat().st_mode) == 0o444:
        outputs.link_or_copy(real, target)
    else:
        _clone(real, target)


def _clone(source: Path, target: Path) -> None:
    """Copy a file; with copy_file_range the file system can share the blocks of both files."""
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 2**30):
                pass
    except (AttributeError, OSError):  # unknown to this platform or to these file systems
        shutil.copyfile(source, target)
