"""The starter model, as llama.cpp and as transformers load it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from tests.conftest import STARTER


@pytest.fixture(scope="module")
def runtime(starter_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(starter_gguf / GGUF_FILE) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def model() -> Any:
    return loading.load_model(STARTER, "float32", "eager", "cpu")


@pytest.fixture(scope="module")
def chat_tokenizer() -> ChatTokenizer:
    return loading.load_tokenizer(STARTER)
