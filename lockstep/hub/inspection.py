"""Inspect a base model before it is loaded: a known class, complete weights, no quantization."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import config_keys, weight_files
from lockstep.hub.local_folder import CONFIG
from lockstep.models import loading, seq2seq

QUANTIZATION_KEYS = ("quantization_config", "compression_config")
"""Keys that a quantized model has."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Findings of the inspection of a base."""

    embedding_rows: int
    """Number of tokens that have a row in the input embeddings."""
    notes: list[str]
    """Things that the user should know, a line for each."""


def inspect_base(folder: Path) -> Inspection:
    """Inspect the configuration and the weights of a base model.

    Raise UserError if transformers lacks its class, if it is quantized or if a tensor is missing:
    transformers would fill it with random values and continue. Only the headers of the weight
    files are read, and the model is built on the meta device, which takes no memory.
    """
    path = folder / CONFIG
    config = config_keys.read_object(path)
    config_keys.read_object(folder / "generation_config.json")  # merge would be the first to read
    for key, value in config_keys.walk_items(config):
        if key in QUANTIZATION_KEYS and value:
            raise UserError(
                f"{path}: {key}: this base is already quantized, and merging needs "
                "the original weights; use the model that it was made from"
            )
    config_class = _find_config_class(config, folder)
    _check_positions(config, config_class, path)
    notes = []
    if unknown := config_keys.find_unknown_keys(config, config_class):
        notes.append(f"{CONFIG}: {config_class.__name__} does not list {', '.join(unknown)}; kept")
    tensors = weight_files.read_tensors(folder)
    model = _build_empty_model(config, folder)
    if is_seq2seq_lm(config):
        _check_decoder_start(model, path)
    notes += weight_files.check_tensors(model, tensors, folder)
    if parts := loading.find_media_parts(model):
        notes.append(f"text does not pass through {', '.join(parts)}; kept and not trained")
    return Inspection(model.get_input_embeddings().weight.shape[0], notes)


def update_config(folder: Path, configuration: dict[str, Any]) -> None:
    """Replace values in config.json; `inspect_base` checks whether they are valid.

    Raise UserError for a key that loads code, and for one that neither the file nor its
    configuration class has: it would have no effect.
    """
    path = folder / CONFIG
    config = config_keys.read_object(path)
    if code := config_keys.find_code_keys(configuration):
        raise UserError(f"{path}: {code[0]}: can load code, never allowed; leave it out")
    added = {key: value for key, value in configuration.items() if key not in config}
    known_class = _find_config_class(config, folder)
    if unknown := config_keys.find_unknown_keys(added, known_class):
        raise UserError(f"{path}: {unknown[0]}: {known_class.__name__} has no such key; correct it")
    path.unlink()  # it may be a hard link to the user's own file
    outputs.write_json(path, config | configuration)


def is_causal_lm(config: dict[str, Any]) -> bool:
    """Whether the weights are those of a causal language model.

    The model type alone does not decide this: BERT has a causal class too, which is rarely used.
    A model that also reads images names another class, such as Qwen3_5ForConditionalGeneration.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    architectures = config.get("architectures") or [""]
    config_class = CONFIG_MAPPING[config["model_type"]]
    if config_class not in MODEL_FOR_CAUSAL_LM_MAPPING or is_seq2seq_lm(config):
        return False
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    return (
        model_class.__name__ in architectures
        or str(architectures[0]).endswith(("ForCausalLM", "LMHeadModel"))
        or architectures == [""]
        or isinstance(config.get("text_config"), dict)
    )


def is_seq2seq_lm(config: dict[str, Any]) -> bool:
    """Whether the weights are those of a sequence-to-sequence language model, such as T5."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

    config_class: Any = CONFIG_MAPPING[config["model_type"]]
    if config_class not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        return False
    return bool(config.get("is_encoder_decoder", config_class.is_encoder_decoder))


def _find_config_class(config: dict[str, Any], folder: Path) -> Any:
    """Return the configuration class of the base's model_type."""
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type!r} is unknown to this transformers; "
            "use another base"
        )
    config_class = CONFIG_MAPPING[model_type]
    if (
        config_class not in MODEL_FOR_CAUSAL_LM_MAPPING
        and config_class not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        and not is_seq2seq_lm(config)
    ):
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type} neither generates nor classifies text; "
            "use another base"
        )
    return config_class


def _check_positions(config: dict[str, Any], config_class: Any, path: Path) -> None:
    """Raise UserError for a BERT with relative positions, which transformers 5 has removed."""
    key = "position_embedding_type"
    value = config.get(key, "absolute")
    is_unknown = bool(config_keys.find_unknown_keys({key: value}, config_class, harmless=()))
    if value != "absolute" and is_unknown:
        raise UserError(
            f"{path}: {key}: this transformers has absolute positions only for "
            f"{config['model_type']}, not {value}; use another base"
        )


def _check_decoder_start(model: Any, path: Path) -> None:
    """Raise UserError if the decoder has no token to start with or none for padding."""
    import torch

    try:
        seq2seq.shift_right(model, torch.zeros(1, 2, dtype=torch.long))
    except (ValueError, TypeError):
        raise UserError(
            f"{path}: decoder_start_token_id and pad_token_id: the decoder needs both; add them"
        ) from None


def _build_empty_model(config: dict[str, Any], folder: Path) -> Any:
    """Return the model of config.json on the meta device: a classifier if it is an encoder."""
    import torch
    from transformers import (
        CONFIG_MAPPING,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    loader: Any = AutoModelForSequenceClassification
    if is_causal_lm(config):
        loader = AutoModelForCausalLM
    elif is_seq2seq_lm(config):
        loader = AutoModelForSeq2SeqLM
    try:
        with torch.device("meta"):
            return loader.from_config(CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)))
    except Exception as error:  # the library's own checks of values raise nearly every kind
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{folder / CONFIG}: {reason}; use another base") from None
