"""The section `serving` of params.yaml is found, or its mistake is named."""

from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.params import Section
from lockstep.serving.serving_params import ServingParams, read_sections


class Params(Section):
    serving: ServingParams = ServingParams()


def test_a_misspelt_section_does_not_pass_for_an_absent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("servnig: {keys_file: keys}\n")
    with pytest.raises(UserError, match=r"servnig: unknown section; did you mean serving\?"):
        read_sections(Params)
    Path("params.yaml").write_text("seed: 1\n")
    assert read_sections(Params).serving == ServingParams()
    Path("params.yaml").write_text("serving: {keys_file: keys}\n")
    assert read_sections(Params).serving.keys_file == "keys"
