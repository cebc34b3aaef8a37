"""Write the README of the sample corpus, with all counts taken from the generated files."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from phrasing import FOLDER, parse_templates

HAND_WRITTEN = ("raw/behaviour.jsonl",)
"""Files of data/ that no template produces."""


def render(
    contents: Mapping[str, str],
    counts: Mapping[str, int],
    intents: Mapping[str, Any],
    dirt: Mapping[str, Any],
) -> str:
    """Return the text of README.md.

    `contents` maps the path of each generated file to its text, `counts` each intent to its number
    of rows, `intents` each language to its templates; `dirt` is the content of dirt.yaml.
    """
    hand_written = {path: (FOLDER.parent / path).read_text("utf-8") for path in HAND_WRITTEN}
    rows = {path: count_rows(path, text) for path, text in {**contents, **hand_written}.items()}
    frames = {
        phrasing: min(
            len(parse_templates(templates[phrasing]))
            for by_intent in intents.values()
            for templates in by_intent.values()
        )
        for phrasing in ("seen", "unseen")
    }
    environment = Environment(  # noqa: S701 - the result is Markdown, which needs no escaping
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("README.md.j2").render(
        rows={path: f"{number:,}" for path, number in rows.items()},
        counts=counts,
        seen_frames=frames["seen"],
        unseen_frames=frames["unseen"],
        dirt=dirt,
    )


def count_rows(path: str, text: str) -> int:
    """Return the number of rows in the text of a .csv, .json or .jsonl file."""
    match Path(path).suffix:
        case ".csv":
            return len(list(csv.reader(text.splitlines()))) - 1
        case ".json":
            return len(json.loads(text))
        case _:
            return len(text.splitlines())
