"""Score one variant of the model on the test records, suite by suite."""

import json
from pathlib import Path
from typing import Any

import click

from stages import compute, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.models import Head
from stages.params import Section, Seed
from stages.records import Record
from stages.scoring import answering, likelihood, metrics, suites


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: suites.Evaluate


def new_head(chosen: suites.Evaluate, labels: dict[str, list[str]]) -> Head | None:
    """What a base needs to answer the suites by numbers; None where it writes."""
    kinds = {suite.answer for suite in chosen.suites}
    if not chosen.ends_in_numbers:
        return None
    if "number" in kinds:
        return Head("regression", [])
    own = [labels[suite.task] for suite in chosen.suites]
    names = sorted({label for part in own for label in part})
    several = "labels" in kinds
    return Head("multi_label_classification" if several else "single_label_classification", names)


def figures(
    rows: list[Record], got: list[str], suite: suites.Suite, slices: list[str]
) -> dict[str, Any]:
    """All figures of a suite: over all records, and by slice value."""
    score = suites.FIGURES[suite.answer]
    expected = [row.answer for row in rows]
    result: dict[str, Any] = {"records": len(rows), "overall": score(expected, got), "slices": {}}
    for name in slices:
        values = sorted({row.slices[name] for row in rows if name in row.slices})
        for value in values:
            part = [i for i, row in enumerate(rows) if row.slices.get(name) == value]
            own = score([expected[i] for i in part], [got[i] for i in part])
            result["slices"].setdefault(name, {})[value] = {"records": len(part), **own}
    if suite.answer in ("choice", "label"):
        result["confusion"] = metrics.confusion(expected, got)
    return result


def write_predictions(
    path: Path,
    rows: list[Record],
    got: dict[str, tuple[str, float]],
    losses: list[likelihood.Loss],
) -> None:
    """One JSON line for each test record; `got` and `score` are null where no suite has its task.

    `got` maps an id to the answer and its score.
    """
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row, (loss, tokens) in zip(rows, losses, strict=True):
            answer, score = got.get(row.id, (None, None))
            line = {
                "id": row.id,
                "task": row.task,
                "slices": row.slices,
                "question": row.question,
                "expected": row.answer,
                "got": answer,
                "score": score,
                "loss": round(loss, 4),
                "tokens": tokens,
            }
            stream.write(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")


@click.command(help=__doc__)
@click.argument("folder", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("out", type=OUT)
def main(folder: Path, test: Path, labels: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.evaluate
    rows = list(records.read(test))
    label_sets = json.loads(labels.read_text(encoding="utf-8"))
    parts = suites.by_suite(rows, settings.suites, label_sets)
    compute.set_up(chosen.compute, chosen.seed)
    head = new_head(settings, label_sets)
    model = answering.Answering(folder, chosen.compute.attention, settings, head)
    got: dict[str, tuple[str, float]] = {}
    result: dict[str, Any] = {}
    for suite in settings.suites:
        part, own_labels = parts[suite.task], label_sets.get(suite.task, [])
        answers = model.answers(suite, part, own_labels)
        score = suites.SCORES[suite.answer]
        for row, answer in zip(part, answers, strict=True):
            got[row.id] = answer, score(row.answer, answer)
        result[suite.task] = figures(part, answers, suite, settings.slices)
        if suite.answer == "choice" and settings.harness_records:
            sample = records.spread(part, settings.harness_records)
            result[suite.task]["lm_eval"] = model.second_opinion(sample, own_labels)
    losses = [(0.0, 0)] * len(rows) if model.head else model.losses(rows)
    if not model.head:
        result["perplexity"] = likelihood.perplexity(losses)
        result["unscored"] = sum(not tokens for _, tokens in losses)
    with outputs.folder(out) as partial:
        write_predictions(partial / "predictions.jsonl", rows, got, losses)
        outputs.write_json(partial / "metrics.json", result)
    said = f"perplexity {result['perplexity']:.2f}" if "perplexity" in result else "done"
    click.echo(f"evaluate: {out.name}: {said}", err=True)


if __name__ == "__main__":
    run(main)
