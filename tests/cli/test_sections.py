"""Each section of params.yaml is defined once, and each stage reads some of them."""

import importlib
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.sections import Parameters
from tests.conftest import REPOSITORY

PIPELINE = params.parse(REPOSITORY / "dvc.yaml")["stages"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_reads_sections_by_their_own_schemas(stage: str) -> None:
    """A stage that reads only some keys of a section has a schema of those keys."""
    schemas: Any = Parameters.model_fields
    for name, field in importlib.import_module(f"stages.{stage}").Params.model_fields.items():
        annotation, schema = field.rebuild_annotation(), schemas[name].rebuild_annotation()
        if isinstance(annotation, type) and issubclass(annotation, params.Part):
            assert annotation.model_fields.keys() <= schema.model_fields.keys()
        else:
            assert schema == annotation


def test_sections_are_in_the_order_of_params_yaml() -> None:
    assert list(Parameters.model_fields) == list(params.parse(REPOSITORY / "params.yaml"))
