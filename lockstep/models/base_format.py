"""Give a tuned model the form of its base: precision, configuration, tokenizer and templates."""

from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.models import heads, loading
from lockstep.models.heads import Head

KEPT_KEYS = ("architectures", "dtype")
"""Keys of config.json that describe the weights of the merged model itself."""

HEAD_KEYS = ("id2label", "label2id", "num_labels", "pad_token_id", "problem_type")
"""Keys of config.json that a head needs."""

NO_OTHER_FILES = (
    "config.json", "model.safetensors.index.json", "README.md", "merge.json", heads.HEAD_FILE
)  # fmt: skip
"""Files that are written anew beside the merged weights."""

DTYPES: dict[str, loading.Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Precisions by their names in weight files."""


def copy_other_files(source: Path, folder: Path) -> None:
    """Copy what a model folder holds beside weights and configuration, such as the tokenizer.

    A library that loads and saves a tokenizer adds a pad token, and folders of named chat
    templates; a trainer changes the generation configuration.
    """
    outputs.remove(folder / "generation_config.json")  # unless the base has one
    for path in sorted(source.iterdir()):
        if path.suffix == ".safetensors" or path.name in NO_OTHER_FILES:
            continue
        target = folder / path.name
        outputs.remove(target)
        if path.is_dir():
            target.mkdir()
            for file in sorted(path.iterdir()):
                outputs.link_or_copy(file, target / file.name)
        else:
            outputs.link_or_copy(path, target)


def read_dtype(base: Path, config: Any) -> loading.Dtype:
    """Return the precision in which transformers loads a base: that of its configuration.

    If it has none, it is that of the first weights.
    """
    from safetensors import safe_open

    named = str(config.dtype).removeprefix("torch.")
    for dtype in DTYPES.values():
        if dtype == named:
            return dtype
    with safe_open(min(base.glob("*.safetensors")), framework="pt") as file:
        names = file.keys()
        dtypes = (file.get_slice(name).get_dtype() for name in names)
        return next(DTYPES[dtype] for dtype in dtypes if dtype in DTYPES)


def restore_config(config: Any, base_config: Any, head: Head | None) -> None:
    """Give all keys the base's values, except those that the architecture or a head needs."""
    if type(config) is not type(base_config):  # the text model of a multimodal base
        base_config = base_config.get_text_config()
    own_keys = KEPT_KEYS + (HEAD_KEYS if head else ())
    base_values = vars(base_config)
    for key in [*vars(config), *base_values]:
        if key.startswith("_") or key in own_keys:
            continue
        if key in base_values:
            setattr(config, key, base_values[key])
        else:
            delattr(config, key)
