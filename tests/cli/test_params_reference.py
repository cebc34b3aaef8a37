"""Every parameter is documented; `make params` prints all, docs/params.md is current."""

import subprocess
import sys

from lockstep import params
from lockstep.cli import params_reference
from lockstep.cli.sections import Parameters
from tests.conftest import REPOSITORY, change_params

PARAMS_FILE = REPOSITORY / "params.yaml"


def print_reference(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "lockstep.cli.params_reference", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_every_key_is_documented() -> None:
    assert [key.path for key in params_reference.list_keys() if not key.documentation] == []


def test_docs_params_md_is_current() -> None:
    current = (REPOSITORY / "docs/params.md").read_text(encoding="utf-8")
    remedy = "run python -m lockstep.cli.params_reference --markdown > docs/params.md"
    assert current == print_reference("--markdown"), remedy


def test_every_resolved_value_is_printed() -> None:
    lines = print_reference().splitlines()
    values = Parameters.model_validate(params.parse(PARAMS_FILE)).model_dump(mode="json")
    paths = [key.path for key in params_reference.list_keys() if "*" not in key.path]
    for path in paths:
        assert [line for line in lines if line.startswith((f"{path} =", f"{path}:"))], path
    assert f"train.epochs = {values['train']['epochs']}" in lines


def test_a_default_is_marked() -> None:
    values = params.parse(PARAMS_FILE)
    values["prepare"].pop("max_characters", None)
    assert "prepare.max_characters = 100000  (default)" in params_reference.render_values(values)
    change_params(values, {"prepare.max_characters": 7})
    assert "prepare.max_characters = 7" in params_reference.render_values(values)


def test_values_are_described_by_their_limits() -> None:
    keys = {key.path: key for key in params_reference.list_keys()}
    assert keys["seed"].values == "integer ≥ 0 < 4,294,967,296"
    assert keys["runtime.device"].values == "auto | cpu | cuda"
    assert keys["prepare.sources.*.encoding"].default == '"utf-8"'
    assert keys["prepare.sources"].default is None


def test_the_documentation_of_a_key_names_the_methods_that_use_it() -> None:
    keys = {key.path: key for key in params_reference.list_keys()}
    assert keys["augment.methods.*.temperature"].documentation.endswith("(paraphrase)")
    assert not keys["augment.methods.*.tasks"].documentation.endswith(")")
