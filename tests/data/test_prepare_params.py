"""A source needs only its path and format, and the strata follow from the sources."""

from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.data.prepare_params import PrepareParams

REQUIRED: dict[str, Any] = {
    "max_rejected_fraction": 0.02,
    "clean": ["unicode"],
    "duplicates": {"threshold": 0.8, "near": "group", "conflicts": "keep"},
    "split": {"method": "stratified", "validation": 0.1, "test": 0.1},
}
"""Values of the keys without a default, except the sources."""


def make_params(*sources: dict[str, Any], **values: Any) -> PrepareParams:
    return PrepareParams.model_validate({**REQUIRED, "sources": [*sources], **values})


def test_a_source_needs_only_its_path_and_format() -> None:
    params = make_params({"path": "shop/chats.de.jsonl.gz", "format": "messages"})
    assert params.sources[0].model_dump() == {
        "path": "shop/chats.de.jsonl.gz",
        "hub": "",
        "hub_config": "",
        "hub_split": "train",
        "format": "messages",
        "task": "chats.de",
        "split": "auto",
        "round": 0,
        "weight": 1.0,
        "encoding": "utf-8",
        "delimiter": "",
        "quote": "",
        "extra_cells": "reject",
        "header": True,
        "rows": "",
        "sheet": "",
        "members": "",
        "columns": {},
        "templates": {},
        "constants": {},
        "where": "",
        "sample": 0.0,
        "limit": 0,
        "max_rejected_fraction": None,
        "slices": [],
        "system": "",
        "answer": "",
        "answers": "",
        "functions": {},
        "labels": "",
        "label_names": {},
        "label_columns": [],
        "control": "",
        "annotation": "",
        "ends": "",
        "roles": {},
        "turn_separator": "",
        "ignored_fields": [],
        "same_role": "reject",
        "unanswered": "reject",
        "clean": None,
        "licence": "",
    }
    assert params.model_dump(exclude={*REQUIRED, "sources"}) == {
        "source_defaults": {},
        "unknown_columns": "note",
        "mismatched_arguments": "note",
        "boilerplate": [],
        "max_characters": 100_000,
        "quality": {
            "max_repetition": 0.7,
            "length_ratio": [0.01, 100.0],
            "min_score": 0.0,
            "grades": [],
            "min_grade": 1.0,
        },
        "decontaminate": {"words": 20, "benchmarks": []},
    }
    assert params.split.model_dump(exclude={"method", "validation", "test"}) == {
        "by": [], "folds": 0, "fold": 0, "train_fraction": 1.0,
    }  # fmt: skip


def test_a_source_overrides_the_source_defaults() -> None:
    params = make_params(
        {"path": "a.csv", "format": "messages"},
        {"path": "b.csv", "format": "messages", "task": "other", "weight": 3.0},
        source_defaults={"task": "reply", "weight": 2.0},
    )
    assert [(source.task, source.weight) for source in params.sources] == [
        ("reply", 2.0), ("other", 3.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("slices", "by", "strata"),
    [
        ([["a", "b"], ["b", "a", "c"]], [], ["task", "a", "b"]),
        ([["a"], []], [], ["task"]),
        ([["a"], []], ["answer"], ["answer"]),
    ],
)
def test_strata_default_to_the_task_and_the_common_slices(
    slices: list[list[str]], by: list[str], strata: list[str]
) -> None:
    sources = [
        {"path": f"{number}.csv", "format": "messages", "slices": names}
        for number, names in enumerate(slices)
    ]
    test_source = {"path": "test.csv", "format": "messages", "split": "test"}
    params = make_params(*sources, test_source, split={**REQUIRED["split"], "by": by})
    assert params.strata == strata


def test_strata_default_to_the_task_if_no_source_is_divided() -> None:
    params = make_params({"path": "a.csv", "format": "text", "split": "train", "slices": ["a"]})
    assert params.strata == ["task"]


@pytest.mark.parametrize("defaults", [7, {"task": 7}, None])
def test_invalid_source_defaults_are_refused(defaults: Any) -> None:
    with pytest.raises(ValidationError):
        make_params({"path": "a.csv", "format": "text"}, source_defaults=defaults)


@pytest.mark.parametrize(
    "clean", [["unicode", "tidy"], {"bot": ["space"]}, {"user": "space"}, {"user": ["x"]}, "space"]
)
def test_unknown_steps_and_roles_are_refused(clean: Any) -> None:
    source = {"path": "a.csv", "format": "classification"}
    with pytest.raises(ValidationError, match="clean"):
        make_params({**source, "clean": clean})
    with pytest.raises(ValidationError, match="clean"):
        make_params(source, clean=clean)


@pytest.mark.parametrize(
    ("first", "second", "is_valid"),
    [
        ({}, {}, False),
        ({"rows": "train"}, {}, False),
        ({"rows": "train"}, {"rows": "train"}, False),
        ({"rows": "train"}, {"members": "a*"}, False),
        ({"rows": "train"}, {"rows": "test"}, True),
        ({"members": "train*"}, {"members": "test*"}, True),
        ({"sheet": "A"}, {"sheet": "B"}, True),
        ({"where": "n == 1"}, {"where": "n == 2"}, True),
        ({"where": "n == 1"}, {}, False),
    ],
)
def test_a_file_may_be_listed_twice_only_for_other_parts_of_it(
    first: dict[str, str], second: dict[str, str], is_valid: bool
) -> None:
    sources = [
        {"path": "a.json", "format": "text", **first},
        {"path": "./a.json", "format": "text", **second},
    ]
    if not is_valid:
        with pytest.raises(ValidationError, match=r"a\.json is listed twice; list each file once"):
            make_params(*sources)
        return
    names = [source.name for source in make_params(*sources).sources]
    assert names == [f"a.json#{next(iter(part.values()))}" for part in (first, second)]


def test_a_licence_does_not_pass_to_other_sources() -> None:
    source = {"path": "a.csv", "format": "text"}
    with pytest.raises(ValidationError, match="licence belongs to each source"):
        make_params(source, source_defaults={"licence": "CC0"})
    params = make_params({**source, "licence": "CC0"}, {"path": "b.csv", "format": "text"})
    assert [source.licence for source in params.sources] == ["CC0", ""]


def test_only_calls_have_files_of_functions() -> None:
    functions = {"Lamp": "lamp.json"}
    make_params({"path": "a.jsonl", "format": "bfcl", "functions": functions})
    with pytest.raises(ValidationError, match="functions: only bfcl has functions of classes"):
        make_params({"path": "a.jsonl", "format": "messages", "functions": functions})


def test_a_file_of_another_suffix_is_to_be_renamed() -> None:
    for path in ("ner.train", "ner.iob"):
        with pytest.raises(ValidationError, match=r"rename a file .* \.conll for a token"):
            make_params({"path": path, "format": "spans"})
    with pytest.raises(ValidationError, match=r"\.tsv or \.csv for a table"):
        make_params({"path": "intents.txt", "format": "classification"})
