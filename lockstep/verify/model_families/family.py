"""Facts about a model family: what its published folder holds and how it is fine-tuned."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Objective = Literal["chat", "text", "classification", "translation"]
"""Answers that a family is fine-tuned for: in a chat, plain text, labels or translations."""

TokenizerKind = Literal["byte_bpe", "llama_bpe", "gemma_bpe", "unigram", "wordpiece"]
"""Algorithm of a tokenizer, with the way that the family writes spaces and bytes."""

TEMPLATES = Path(__file__).parent / "templates"
"""Chat templates that TRL does not ship, in their families' formats."""


@dataclass(frozen=True, kw_only=True)
class TokenizerFacts:
    """The tokenizer of a family."""

    kind: TokenizerKind
    first_tokens: tuple[str, ...] = ()
    """Special tokens with the lowest ids."""
    last_tokens: tuple[str, ...] = ()
    """Special tokens after the vocabulary."""
    text_tokens: tuple[str, ...] = ()
    """Added tokens after those that are not special: a decoder keeps them."""
    prefix: tuple[str, ...] = ()
    """Tokens that the tokenizer writes before a text."""
    suffix: tuple[str, ...] = ()
    """Tokens that the tokenizer writes after a text."""
    lowercase: bool = False
    """Whether WordPiece ignores case and accents."""
    roles: dict[str, str] = field(default_factory=dict)
    """Content of special_tokens_map.json: eos_token, pad_token …; empty: no such file."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Content of tokenizer_config.json without chat_template."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A published model folder, with its sizes shrunk."""

    name: str
    config: dict[str, Any]
    """Content of config.json. Keys that end in token_id or token_index hold tokens, not ids."""
    tokenizer: TokenizerFacts
    files: tuple[str, ...]
    """Further files of the folder, whose content does not matter."""
    generation: dict[str, Any] | None = None
    """Content of generation_config.json, with tokens instead of ids; None: no such file."""
    template: str = ""
    """Chat template: a file of TRL's, or a file of this package; empty: none."""
    has_template_file: bool = False
    """Whether the template is in chat_template.jinja rather than in tokenizer_config.json."""
    model_class: str = ""
    """Class that has all published tensors, if it is not the one in `architectures`."""
    shards: int = 1
    """Number of weight files."""
    objective: Objective = "chat"
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values that the family needs, by section of params.yaml."""
    answer_mark: str = ""
    """Text after which the answer begins, if the assistant's turn begins with something else."""
    template_options: dict[str, Any] = field(default_factory=dict)
    """Arguments that both lockstep and plain transformers pass to the chat template."""
    weight_scale: float = 5.0
    """Factor of the random matrices, so that the logits of so small a model differ."""

    @property
    def architecture(self) -> str:
        """Return the class that config.json names, or the model type if it names none."""
        return (self.config.get("architectures") or [self.config["model_type"]])[0]

    def read_template(self) -> str:
        """Return the text of the chat template; empty if the family has none."""
        if not self.template:
            return ""
        path = TEMPLATES / f"{self.template}.jinja"
        if not path.exists():
            path = _find_trl_templates() / f"{self.template}.jinja"
        return path.read_text(encoding="utf-8")

    def read_training_template(self) -> str:
        """Return TRL's template that marks the assistant's tokens; empty if it ships none."""
        path = _find_trl_templates() / f"{self.template}_training.jinja"
        return path.read_text(encoding="utf-8") if path.exists() else ""


def _find_trl_templates() -> Path:
    """Return the folder of TRL's chat templates without importing TRL."""
    from importlib.util import find_spec

    spec = find_spec("trl")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("TRL is not installed; run `make setup`")
    return Path(spec.origin).parent / "chat_templates"
