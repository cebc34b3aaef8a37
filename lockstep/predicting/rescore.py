"""Compute a variant's figures from its predictions again, without the model.

`python -m lockstep.predicting.rescore data/evaluated/merged [OUT]`: with the suites of params.yaml,
also with other figures than it was evaluated with. Tells what differs from its metrics.json, or
writes the figures to OUT.
"""

from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, predictions
from lockstep.metrics import suite_metrics
from lockstep.metrics.suites import check_answers
from lockstep.params import Section
from lockstep.predicting.predict_params import Suites


class Params(Section):
    evaluate: Suites


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """The dotted paths at which two trees of figures differ."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [f"{path}: {before} was {after}"]
    return [
        line
        for name in sorted({*before, *after})
        for line in differences(before.get(name), after.get(name), f"{path}.{name}".strip("."))
    ]


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), required=False)
def main(folder: Path, out: Path | None) -> None:
    chosen = params.read(Params).evaluate
    rows, varied = (predictions.read(folder / f"{n}.jsonl") for n in ("predictions", "varied"))
    check_answers({folder.name: rows}, chosen.measured, folder.parent)
    found = suite_metrics.of(rows, chosen.measured, chosen.slices, varied)
    if out is not None:
        with outputs.atomic_file(out) as partial:
            outputs.write_json(partial, found)
        return
    before = outputs.read_json(folder / "metrics.json")
    before.pop("harness", None)
    for suite in before.values():
        if isinstance(suite, dict):
            suite.pop("lm_eval", None)  # it asks the model
    lines = differences(found, before)
    click.echo("\n".join(lines) or f"{folder}: all figures follow from the predictions", err=True)


if __name__ == "__main__":
    main()
