"""The sections of params.yaml stand once; each stage reads some of them."""

import importlib
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.sections import Parameters
from tests.conftest import REPOSITORY

PIPELINE = params.parse(REPOSITORY / "dvc.yaml")["stages"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_reads_sections_by_their_own_schemas(stage: str) -> None:
    """A stage that reads only some keys of a section does so by a base class of its schema."""
    schemas: Any = Parameters.model_fields
    for name, field in importlib.import_module(f"stages.{stage}").Params.model_fields.items():
        annotation, schema = field.rebuild_annotation(), schemas[name].rebuild_annotation()
        partial = isinstance(annotation, type) and issubclass(annotation, params.Part)
        assert issubclass(schema, annotation) if partial else schema == annotation


def test_sections_are_in_the_order_of_params_yaml() -> None:
    assert list(Parameters.model_fields) == list(params.parse(REPOSITORY / "params.yaml"))
