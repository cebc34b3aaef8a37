"""Tokenizers with the chat templates that TRL ships, as the families publish them."""

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from lockstep.models.chat import ChatTokenizer
from lockstep.models.template_adaptation import TemplateOptions, adapt_tokenizer

FOLDER = Path(str(resources.files("trl").joinpath("chat_templates")))
IMAGE_MODELS = {"llava_next", "idefics3", "smolvlm"}
NAMES = sorted(
    path.stem
    for path in FOLDER.glob("*.jinja")
    if not path.stem.endswith("_training") and path.stem not in IMAGE_MODELS
)
"""Names of the templates for text."""
NAMES_WITH_TRAINING = [name for name in NAMES if (FOLDER / f"{name}_training.jinja").exists()]

END_TOKENS = {
    "cohere": ["<|END_OF_TURN_TOKEN|>"],
    "deepseek": ["<｜end▁of▁sentence｜>"],
    "diffusion_gemma": ["<eos>", "<turn|>"],
    "gemma": ["<eos>"],
    "gemma3": ["<eos>", "<end_of_turn>"],
    "gemma4": ["<eos>", "<turn|>", "<|tool_response>"],
    "glm": ["<|endoftext|>", "<|user|>", "<|observation|>"],
    "gptoss": ["<|return|>", "<|call|>", "<|endoftext|>"],
    "lfm2": ["<|im_end|>"],
    "llama3": ["<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"],
    "muse": ["<|eot|>"],
    "nemotron": ["<|im_end|>"],
    "phi3": ["<|endoftext|>", "<|end|>", "<|assistant|>"],
    "qwen": ["<|im_end|>", "<|endoftext|>"],
}
"""The tokenizer's eos_token and the further end tokens of generation_config.json, by family."""

BEGIN_TOKENS = {
    "cohere": "<BOS_TOKEN>",
    "deepseek": "<｜begin▁of▁sentence｜>",
    "diffusion_gemma": "<bos>",
    "gemma": "<bos>",
    "lfm2": "<|startoftext|>",
    "llama3": "<|begin_of_text|>",
    "muse": "<|begin_of_text|>",
}

_CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z_]+\|?>|<[A-Za-z_]+\|>|<｜[^｜<>{}]+｜>|<(?:start|end)_of_\w+>|\[/?[A-Z_]+\]|<sop>"
)


def build_tokenizer(name: str, **options: Any) -> ChatTokenizer:
    """Return a byte-level tokenizer with a template of TRL and the family's control tokens."""
    pretrained = build_pretrained(name)
    adapt_tokenizer(pretrained, TemplateOptions(**options))
    return ChatTokenizer(pretrained, pretrained.convert_tokens_to_ids(find_family(name)))


def build_pretrained(name: str) -> Any:
    """Return the tokenizer of transformers, with the template as it is."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    template = read_template(name)
    end, *more = find_family(name)
    begin = next((BEGIN_TOKENS[key] for key in BEGIN_TOKENS if name.startswith(key)), None)
    special = {*_CONTROL_TOKEN.findall(template), *more} - {end, begin}
    pretrained = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_train_bytes()),
        eos_token=end,
        bos_token=begin,
        additional_special_tokens=sorted(special),
    )
    pretrained.chat_template = template
    return pretrained


def read_template(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def find_family(name: str) -> list[str]:
    """Return the end tokens of the family with the longest name that begins the template's."""
    return END_TOKENS[max((key for key in END_TOKENS if name.startswith(key)), key=len)]


@cache
def _train_bytes() -> str:
    """Return a byte-level BPE in the format of tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    core.train_from_iterator(["where is my order? it is in Lyon."], trainer)
    return core.to_str()
