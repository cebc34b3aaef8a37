"""Checks of the section `compute`."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.models import instruction_sets


@pytest.mark.parametrize(
    ("architecture", "flags", "name"),
    [("arm64", "", "arm64"), ("x86_64", "sse4_2 avx fma", "x86_64 without them")],
)
def test_portable_is_refused_on_a_cpu_without_the_instructions(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    flags: str,
    name: str,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: architecture)
    monkeypatch.setattr(instruction_sets, "read_cpu_info", lambda: {"flags": flags})
    assert find_mistakes({"compute.portable": True}) == [
        f"compute.portable: it needs an x86-64 CPU with AVX2 and FMA, and this one is {name}; set "
        "it to auto or false"
    ]
    assert find_mistakes({"compute.portable": "auto"}) == []
    assert find_mistakes({"compute.portable": False}) == []


def test_flash_attention_needs_its_package(
    find_mistakes: Callable[[dict[str, Any]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_mistakes({"compute.attention": "flash_attention_2"}) == [
        "compute.attention: flash_attention_2 needs the package flash-attn; install it, or set it "
        "to sdpa"
    ]
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"flash-attn": "2.8.3"}[name])
    assert find_mistakes({"compute.attention": "flash_attention_2"}) == []
