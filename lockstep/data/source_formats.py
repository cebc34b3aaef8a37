"""Row formats, and the fields that a row of each has."""

from typing import Literal

Format = Literal[
    "alpaca",
    "messages",
    "sharegpt",
    "turns",
    "prompt_completion",
    "preference",
    "unpaired_preference",
    "classification",
    "multi_label",
    "regression",
    "text",
    "spans",
    "label_studio",
    "ifeval",
    "bfcl",
]
"""Row format of a file."""

REQUIRED_FIELDS: dict[str, tuple[str, ...]] = {
    "alpaca": ("output",),
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "turns": (),
    "prompt_completion": ("prompt", "completion"),
    "preference": ("chosen", "rejected"),
    "unpaired_preference": ("label",),
    "classification": ("text", "label"),
    "multi_label": ("text", "labels"),
    "regression": ("text", "value"),
    "text": ("text",),
    "spans": (),
    "label_studio": ("text",),
    "ifeval": ("prompt", "instruction_id_list", "kwargs"),
    "bfcl": ("question", "function", "ground_truth"),
}
"""Fields that every row of a format has. `columns` maps them to the columns of a file."""

COMPARISON_FIELDS = ("answer_a", "answer_b", "winner")
"""Fields of a preference that has a column for the better one of two answers."""

OPTIONAL_FIELDS: dict[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "input", "history"),
    "turns": ("conversation", "parent", "order", "rank", "role", "content"),
    "spans": ("text", "tokens", "spans"),
    "label_studio": ("left", "right"),
    "preference": ("prompt", *COMPARISON_FIELDS),
    "unpaired_preference": ("messages", "prompt", "completion"),
    "bfcl": ("missed_function", "excluded_function", "involved_classes"),
}
"""Fields that a row may lack, unless `columns` names them."""

BENCHMARK_FORMATS = {"ifeval": "rules", "bfcl": "calls"}
"""Formats of public benchmarks and the kinds of their answers. Their text stays as published."""

LABEL_FORMATS = ("classification", "multi_label")
"""Formats whose rows have labels."""

LABEL_FIELDS = ("label", "labels")
"""Fields of these formats, in place of which a source may name a column for each label."""

LABELLED_FORMATS = (*LABEL_FORMATS, "label_studio")
"""Formats whose answers are labels."""

CODED_FORMATS = ("classification", "multi_label", "label_studio", "spans", "preference")
"""Formats whose labels, or whose names of the better answer, may be codes."""

COMMON_FIELDS = ("task", "system", "tools", "group", "weight", "id")
"""Fields that rows of any format may have. They are read if `columns` names them."""

CONLL_SUFFIXES = (".txt", ".conll")
"""Suffixes of files with one token per line."""

UNNAMED_COMMON_FIELDS = ("tools",)
"""Common fields that are read even if `columns` does not name them."""

TEXT_FIELDS = (
    *("prompt", "completion", "instruction", "input", "output", "chosen", "rejected", "text"),
    *("label", "task", "system", "group"),
)
"""Fields that `templates` can build."""
