"""Load models with plain transformers and compute their answers, without code of lockstep."""

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

_AUTO_CLASSES = {
    "chat": "AutoModelForCausalLM",
    "text": "AutoModelForCausalLM",
    "translation": "AutoModelForSeq2SeqLM",
    "classification": "AutoModelForSequenceClassification",
}

FIXED_DATE = date(2024, 7, 26)
"""Date that lockstep writes where a template asks for today's."""


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer as AutoTokenizer does; its template writes the fixed date."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.chat_template:
        tokenizer.chat_template = fix_date(tokenizer.chat_template)
    return tokenizer


def fix_date(template: str) -> str:
    """Replace the calls for today's date in a chat template by the fixed date."""
    return re.sub(
        r"strftime_now\((['\"])(.+?)\1\)",
        lambda call: json.dumps(FIXED_DATE.strftime(call[2])),
        template,
    )


def load_published(folder: Path, objective: str, labels: Sequence[str] = ()) -> Any:
    """Load a published folder in fp32: the class that it names, or an encoder without head.

    With `labels` the encoder gets a new classification head.
    """
    import transformers

    options: dict[str, Any] = {}
    name = "AutoModel" if objective == "classification" else _AUTO_CLASSES[objective]
    if labels:
        name = _AUTO_CLASSES[objective]
        options["id2label"] = dict(enumerate(labels))
        options["label2id"] = {label: number for number, label in enumerate(labels)}
    return _load(getattr(transformers, name), folder, "float32", **options)


def load_saved(folder: Path, objective: str, dtype: str) -> Any:
    """Load a folder that lockstep wrote; every tensor must be there."""
    import transformers

    return _load(getattr(transformers, _AUTO_CLASSES[objective]), folder, dtype)


def _load(loader: Any, folder: Path, dtype: str, **options: Any) -> Any:
    model = loader.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", local_files_only=True,
        use_safetensors=True, **options,
    )  # fmt: skip
    return model.eval()


def compute_output(model: Any, ids: list[int]) -> Any:
    """Return the logits of a model, or the last hidden states of one without head."""
    import torch

    inputs = {"input_ids": torch.tensor([ids])}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.tensor([ids[:4]])
    with torch.inference_mode():
        output = model(**inputs)
    return (output.logits if hasattr(output, "logits") else output.last_hidden_state).float()


def compute_loss(model: Any, tokenizer: Any, source: str, text: str) -> float:
    """Return the negative log-likelihood of a text and its end token in nats.

    An encoder-decoder reads the source; a causal model reads the token that begins a text.
    """
    import torch

    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            ids = torch.tensor([tokenizer(source)["input_ids"]])
            labels = torch.tensor([tokenizer(text_target=text)["input_ids"]])
            return float(model(input_ids=ids, labels=labels).loss) * labels.numel()
        begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
        target = [*tokenizer(text, add_special_tokens=False)["input_ids"], end]
        row = torch.tensor([[end if begin is None else begin, *target]])
        log_probabilities = model(input_ids=row).logits[0].float().log_softmax(-1)
    return -sum(float(log_probabilities[place, token]) for place, token in enumerate(target))


def classify(model: Any, tokenizer: Any, text: str) -> str:
    """Return the likeliest label of a text."""
    logits = compute_output(model, tokenizer(text)["input_ids"])
    label: str = model.config.id2label[int(logits.argmax())]
    return label


def generate(model: Any, tokenizer: Any, ids: list[int], max_new_tokens: int, mark: str) -> str:
    """Return the greedy answer to a prompt: the text up to the first end token, after `mark`."""
    import torch

    with torch.inference_mode():
        sequence = model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            early_stopping=False,
            max_length=None,
            max_new_tokens=max_new_tokens,
        )[0].tolist()
    new_ids = sequence[1:] if model.config.is_encoder_decoder else sequence[len(ids) :]
    if mark:
        text = tokenizer.decode(new_ids, clean_up_tokenization_spaces=False).rpartition(mark)[2]
        new_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    answer: str = tokenizer.decode(
        new_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return answer


def count_layer_numbers(folder: Path) -> int:
    """Return the number of floating-point numbers in the matrices of a text model's layers."""
    from safetensors.torch import load_file

    is_layer = re.compile(r"\.(layers?|h|block)\.\d")
    is_media = re.compile(r"vision|visual|audio")
    return sum(
        tensor.numel()
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
        if tensor.ndim > 1 and tensor.is_floating_point()
        if is_layer.search(f".{name}") and not is_media.search(name)
    )


def read_end_ids(folder: Path) -> set[int]:
    """Return the end tokens that a folder declares for generation."""
    path = folder / "generation_config.json"
    values = json.loads((path if path.exists() else folder / "config.json").read_bytes())
    ids = values.get("eos_token_id")
    return set() if ids is None else set(ids) if isinstance(ids, list) else {ids}
