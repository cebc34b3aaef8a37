"""Score one variant of the model on the test records, suite by suite."""

from pathlib import Path

import click

from stages import compute, models, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run, timed
from stages.models import Head
from stages.params import Section, Seed
from stages.scoring import answering, efficiency, figures, harness, kept, retrieval, suites
from stages.scoring.evaluation import Evaluation
from stages.scoring.predictions import write
from stages.scoring.settings import RETRIEVAL, Asked
from stages.scoring.suites import WRITTEN

BATCHES = 16
"""Of records, after which what was scored is kept."""


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: Asked


def new_head(chosen: Asked, labels: dict[str, list[str]]) -> Head | None:
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


@click.command(help=__doc__)
@click.argument("folder", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("out", type=OUT)
def main(folder: Path, test: Path, labels: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.evaluate
    rows, label_sets = list(records.read(test)), outputs.read_json(labels)
    parts = suites.by_suite(rows, settings.suites, label_sets)
    compute.set_up(chosen.compute, chosen.seed)
    head = new_head(settings, label_sets)
    model = answering.Answering(folder, chosen.compute.attention, settings, head)
    made = []
    if RETRIEVAL in settings.measured:
        made = retrieval.made(model.tokenizer, settings.retrieval, chosen.seed)
        parts[retrieval.TASK] = made
    harness.check(settings.harness)
    asked = Evaluation(model, label_sets, settings, chosen.seed, parts)
    asked.check()
    size = BATCHES * settings.batch_size
    inputs = [outputs.digest(path) for path in (folder, test, labels)]
    determining = inputs, chosen.model_dump(), kept.code()
    with kept.opened(kept.SCRATCH, size, compute.device(), *determining) as scored:
        predictions = asked.predictions([*rows, *made], scored)
        varied = asked.varied(predictions, scored)
        result = figures.of(predictions, settings.measured, settings.slices, varied)
        for suite in settings.suites:
            if suite.answer == "choice" and settings.harness.records:
                sample = records.spread(parts[suite.task], settings.harness.records)
                result[suite.task]["lm_eval"] = model.second_opinion(sample, label_sets[suite.task])
        result |= {"harness": found} if (found := model.harness()) else {}
        written = [
            row for one in settings.suites if one.answer in WRITTEN for row in parts[one.task]
        ]
        sample = records.spread(written, efficiency.PROMPTS)
        timed(weight_bytes=models.weight_bytes(folder), **model.timings(sample))
        with outputs.folder(out) as partial:
            write(partial / "predictions.jsonl", predictions)
            write(partial / "varied.jsonl", varied)
            outputs.write_json(partial / "metrics.json", result)
    said = f"perplexity {result['perplexity']:.2f}" if "perplexity" in result else "done"
    click.echo(f"evaluate: {out.name}: {said}", err=True)


if __name__ == "__main__":
    run(main)
