"""The folder of a harvest: the source, what was left out, what needs review, and the counts."""

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lockstep import outputs
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.sources import Source
from lockstep.harvest import review_project
from lockstep.harvest.harvesting import Harvest
from lockstep.harvest.request_records import PLACEHOLDER, Form, HarvestedRequest, make_source
from lockstep.harvest.request_tasks import KnownTasks
from lockstep.records import dump_json

FILES: dict[Form, str] = {"messages": "corrections.jsonl", "preference": "preferences.jsonl"}
"""Name of the file with the rows, by their format."""

_SUITABLE_DEFAULTS = ("clean", "weight", "max_rejected_fraction")
"""Settings of prepare.source_defaults that suit every source."""


def write_harvest(
    out: Path, harvest: Harvest, form: Form, tasks: KnownTasks, entry: Mapping[str, Any]
) -> None:
    """Write the folder of a harvest; `entry` is its entry in prepare.sources."""
    with outputs.atomic_folder(out) as folder:
        if harvest.learnt:
            with (folder / FILES[form]).open("wb") as stream:
                for item in harvest.learnt:
                    stream.write(dump_json(item.row, sort_keys=True) + b"\n")
            (folder / "source.yaml").write_text(format_entry(entry), encoding="utf-8")
        with (folder / "left_out.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
            for left_out in harvest.left_out:
                values = {key: value for key, value in asdict(left_out).items() if value}
                lines.write(json.dumps(values, sort_keys=True, ensure_ascii=False) + "\n")
        if harvest.review:
            review_project.write_projects(folder / "review", harvest.review, tasks)
        outputs.write_json(folder / "card.json", count_requests(harvest))


def make_entry(path: str, form: Form, params: PrepareParams) -> dict[str, Any]:
    """Return the entry in prepare.sources; it overrides the defaults that do not suit."""
    source = make_source(path, form)
    entry: dict[str, Any] = {
        "path": source.path,
        "format": source.format,
        "columns": source.columns,
        "split": source.split,
        "round": 1 + max(params.rounds.values()),
    }
    return entry | {
        name: Source.model_fields[name].get_default(call_default_factory=True)
        for name in params.source_defaults
        if name not in (*entry, *_SUITABLE_DEFAULTS)
    }


def format_entry(entry: Mapping[str, Any]) -> str:
    """Return an entry of prepare.sources as a line of YAML."""
    yaml, stream = YAML(), io.StringIO()
    yaml.default_flow_style, yaml.width = True, 4096
    yaml.dump(dict(entry), stream)
    return f"- {stream.getvalue()}"


def count_requests(harvest: Harvest) -> dict[str, Any]:
    """Return the number of requests by what became of them."""
    return {
        "requests": len(harvest.learnt) + len(harvest.review) + len(harvest.left_out),
        "learnt": _count(item.candidate.origin for item in harvest.learnt),
        "tasks": _count(item.record.task for item in harvest.learnt),
        "review": _count(item.candidate.why for item in harvest.review),
        "left_out": _count(left_out.reason for left_out in harvest.left_out),
        "with_placeholders": sum(map(_has_placeholder, harvest.learnt)),
    }


def describe_harvest(out: Path, harvest: Harvest, form: Form, entry: Mapping[str, Any]) -> str:
    """Return the account that the command prints, with what to do next."""
    counts = count_requests(harvest)
    lines = [
        f"harvest: {counts['requests']} requests with feedback: "
        f"{_describe(len(harvest.learnt), counts['learnt'])} to learn from, "
        f"{_describe(len(harvest.review), counts['review'])} to review, "
        f"{_describe(len(harvest.left_out), counts['left_out'])} left out"
    ]
    if harvest.review:
        lines.append(
            f"Review {out}/review in Label Studio, export each project as JSON into one folder, "
            "then run this again with another OUT and REVIEWED=folder"
        )
    if counts["with_placeholders"]:
        lines.append(
            f"{counts['with_placeholders']} of those to learn from have placeholders for personal "
            "data, such as [EMAIL]"
        )
    if harvest.learnt:
        lines += [
            f"To learn from them: cp {out}/{FILES[form]} data/raw/{entry['path']}, add this to "
            "prepare.sources in params.yaml, and run `dvc repro`:",
            f"    {format_entry(entry)}".rstrip(),
        ]
    return "\n".join(lines)


def _has_placeholder(item: HarvestedRequest) -> bool:
    return any(PLACEHOLDER.search(message["content"]) for message in item.record.messages)


def _describe(number: int, counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{number} ({parts})" if parts else str(number)


def _count(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
