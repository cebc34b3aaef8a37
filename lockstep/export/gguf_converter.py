"""Correct llama.cpp's converter so that it reads models as we do. Imports torch."""

import re
from typing import Any

import gguf
from conversion import TextModel

from lockstep.errors import UserError
from lockstep.export import gguf_tokenizer
from lockstep.models.chat import ChatTokenizer

_BLOCK_MATRIX = re.compile(
    r"blk\.\d+\.((attn|ffn)_(?!gate_inp)\w+|ssm_in|ssm_out)\.weight|token_embd\.weight"
)
"""Names of the matrices of the blocks, except the router of experts, and of the embedding."""


class CorrectedConverter(TextModel):
    """Mixed into the converter's class of an architecture, before that class."""

    model_arch = gguf.MODEL_ARCH.LLAMA  # of the classes that this one is mixed into, their own
    tokenizer: ChatTokenizer
    """The tokenizer as this project reads it."""
    metadata: Any
    """Name, size and default sampling parameters in the file."""
    file_type: Any
    """Type that the file states; `ftype` is the one in which the converter writes matrices."""
    block_type: Any
    """Type of the matrices of the blocks; None for the converter's own choice."""

    def tensor_force_quant(self, name: str, new_name: str, bid: Any, n_dims: int) -> Any:
        """Return the type of a tensor, or False for the converter's own choice.

        As in llama.cpp's own Q5_1 and Q4_0 files, the embedding has the blocks' type, unless it is
        the output layer as well.
        """
        forced = super().tensor_force_quant(name, new_name, bid, n_dims)
        if forced or self.block_type is None or n_dims < 2:
            return forced
        is_output = new_name == "token_embd.weight" and not self._has_output_layer()
        return self.block_type if _BLOCK_MATRIX.fullmatch(new_name) and not is_output else forced

    def set_type(self) -> None:
        """Replace the metadata that the converter guesses from the name of the folder."""
        guessed = vars(self.metadata)
        sampling = {key: guessed[key] for key in guessed if key.startswith("sampling_")}
        counts = self.gguf_writer.get_total_parameter_count()
        self.metadata = gguf.Metadata(
            name=f"{self.hparams['model_type']} tuned by Lockstep",
            size_label=gguf.size_label(*counts),
            **sampling,
        )
        super().set_type()

    def set_gguf_parameters(self) -> None:
        """Write the hyperparameters of the model and the type of the file."""
        self.ftype = self.file_type
        super().set_gguf_parameters()

    def get_vocab_base_pre(self, tokenizer: Any) -> str:
        """Return llama.cpp's name of the pre-tokenizer of our tokenizer.

        transformers may have replaced the one of tokenizer.json in the given tokenizer.
        """
        try:
            return str(super().get_vocab_base_pre(self.tokenizer.pretrained))
        except NotImplementedError:
            name = gguf_tokenizer.find_pre_tokenizer(self.dir_model)
        if name is None:
            kind = gguf_tokenizer.describe_pre_tokenizer(self.dir_model)
            raise UserError(
                f"{self.dir_model}/tokenizer.json: llama.cpp knows no pre-tokenizer like {kind}; "
                f"set quantize.method to nf4 or int8"
            )
        return name

    def set_vocab(self) -> None:
        """Write the tokenizer, with our chat template and end tokens."""
        super().set_vocab()
        values = self.gguf_writer.kv_data[0]
        for key in [key for key in values if key.startswith(gguf.Keys.Tokenizer.CHAT_TEMPLATE)]:
            del values[key]
        templates = self.tokenizer.pretrained.chat_template or {}
        if isinstance(templates, str):
            templates = {"default": templates}
        others = sorted(templates.keys() - {"default"})
        if others:
            self.gguf_writer.add_array(gguf.Keys.Tokenizer.CHAT_TEMPLATES, others)
        for name in others:
            key = gguf.Keys.Tokenizer.CHAT_TEMPLATE_N.format(name=name)
            self.gguf_writer.add_string(key, templates[name])
        if "default" in templates:
            self.gguf_writer.add_string(gguf.Keys.Tokenizer.CHAT_TEMPLATE, templates["default"])
        keys = (
            gguf.Keys.Tokenizer.EOS_ID, gguf.Keys.Tokenizer.EOT_ID, gguf.Keys.Tokenizer.EOM_ID
        )  # fmt: skip
        for key, number in zip(keys, self.tokenizer.end_ids, strict=False):
            values.pop(key, None)
            self.gguf_writer.add_uint32(key, number)

    def _has_output_layer(self) -> bool:
        """Whether the output layer has a matrix of its own rather than the embedding's."""
        return any(
            self.tensor_map.get_name(name, try_suffixes=(".weight",)) == "output.weight"
            for name in self.model_tensors
        )
