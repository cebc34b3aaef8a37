"""A clone for verification has a clean environment."""

from pathlib import Path

import pytest

from lockstep.verify.clone import FIRST, Clone


def test_a_clone_inherits_keys_and_proxies_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("https_proxy", "http://proxy")
    monkeypatch.setenv("LANGUAGE", "fr")
    variables = Clone(tmp_path, FIRST).build_variables()
    assert variables["OPENAI_API_KEY"] == "key"
    assert variables["https_proxy"] == "http://proxy"
    assert "LANGUAGE" not in variables
