"""A tiny random model with its tokenizer, as written by save_pretrained."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def original_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, which no test may change."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(["hello world, hello hub"], trainer)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=280,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("pristine") / "model"
    Qwen2ForCausalLM(config).save_pretrained(folder)
    end = {"eos_token": "<|im_end|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokens, **end).save_pretrained(folder)
    return folder


@pytest.fixture
def model(original_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: a model with tied embeddings in one weight file."""
    return shutil.copytree(original_model, tmp_path / "model")


@pytest.fixture
def sharded_model(model: Path) -> Path:
    """A copy of the model in several shards with an index."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model)
    (model / "model.safetensors").unlink()
    loaded.save_pretrained(model, max_shard_size="40KB")
    assert len(list(model.glob("model-*.safetensors"))) > 1
    return model


@pytest.fixture
def output_folder(tmp_path: Path) -> Path:
    """An empty folder that receives a model."""
    path = tmp_path / "into"
    path.mkdir()
    return path
