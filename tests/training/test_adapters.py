"""Frozen layers: the last blocks, what follows them, and nothing else is trained."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.models import loading
from lockstep.models.heads import Head
from lockstep.training.adapters import count_trained_parameters, freeze_layers
from tests.conftest import write_random_model

HEAD = Head("single_label_classification", ["a", "b", "c"])


def list_trained_modules(model: Any) -> set[str]:
    """Return the names of trained parameters, each up to its block or module."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return {name.partition(".layer.")[2].split(".")[0] or name for name in names}


@pytest.fixture
def encoder(tmp_path: Path, tiny_model: Path) -> Any:
    """A BERT with two blocks and a new head over three labels."""
    write_random_model("bert", tmp_path / "bert", tiny_model)
    return loading.load_model(tmp_path / "bert", "float32", "eager", "cpu", head=HEAD)


@pytest.mark.parametrize(("layers", "blocks"), [(0, set()), (1, {"1"}), (2, {"0", "1"})])
def test_the_last_layers_of_an_encoder_are_trained(encoder: Any, layers: int, blocks: set[str]):
    after = {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip
    freeze_layers(encoder, layers)
    assert list_trained_modules(encoder) == blocks | after
    block = sum(p.numel() for p in encoder.bert.encoder.layer[1].parameters())
    trained_layers = sum(
        p.numel() for p in [*encoder.bert.pooler.parameters(), *encoder.classifier.parameters()]
    )
    assert count_trained_parameters(encoder) == layers * block + trained_layers
