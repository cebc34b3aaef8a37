"""Score one variant of the model on the test records, suite by suite."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import Field

from stages import chat, compute, models, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.errors import Refusal
from stages.params import NaturalInt, PositiveInt, Section, Seed
from stages.records import Record
from stages.scoring import generation, harness, likelihood, metrics

FIGURES = {"choice": metrics.choice, "json": metrics.json_object, "text": metrics.text}
SCORES = {"choice": metrics.same, "json": metrics.same_json, "text": metrics.rouge_l}
"""How right a single answer is, 0 to 1."""


class Suite(Section):
    """The records of one task, and how their answers are obtained and compared."""

    task: str
    answer: Literal["choice", "json", "text"]
    """choice: the likeliest label; json and text: generated, compared as such."""


class Evaluate(Section):
    """What is measured, on how much at a time."""

    suites: Annotated[list[Suite], Field(min_length=1)]
    slices: list[str]
    """Slices by which each figure is broken down as well."""
    max_length: PositiveInt
    """Tokens of prompt and answer under perplexity; longer ones are cut on the right."""
    max_new_tokens: PositiveInt
    """Longest generated answer."""
    batch_size: PositiveInt
    harness_records: NaturalInt
    """So many records of each choice suite, evenly spread, lm-eval scores at most; 0: none."""


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: Evaluate


class Model:
    """A loaded variant and the answers that it gives."""

    def __init__(self, folder: Path, attention: str, chosen: Evaluate) -> None:
        self.tokenizer = models.load_tokenizer(folder)
        self.model = models.load(folder, "auto", attention, compute.device())
        self.chosen = chosen

    def choose(self, rows: Sequence[Record], labels: Sequence[str]) -> list[str]:
        """The likeliest label for each record."""
        choices = [chat.answer_ids(self.tokenizer, label) for label in labels]
        scores = likelihood.choice_scores(
            self.model, self._prompts(rows), choices, self.chosen.batch_size
        )
        return [labels[max(range(len(labels)), key=row.__getitem__)] for row in scores]

    def write(self, rows: Sequence[Record]) -> list[str]:
        """The generated answer to each record."""
        return generation.answers(
            self.model,
            self.tokenizer,
            self._prompts(rows),
            self.chosen.batch_size,
            self.chosen.max_new_tokens,
        )

    def losses(self, rows: Sequence[Record]) -> list[likelihood.Loss]:
        """How unlikely each expected answer is."""
        examples = [chat.example(self.tokenizer, row, self.chosen.max_length) for row in rows]
        return likelihood.answer_losses(self.model, examples, self.chosen.batch_size)

    def second_opinion(self, rows: Sequence[Record], labels: Sequence[str]) -> float:
        """Accuracy on the same records by lm-eval."""
        return harness.accuracy(self.model, self.tokenizer, rows, labels, self.chosen.batch_size)

    def _prompts(self, rows: Sequence[Record]) -> list[list[int]]:
        return [chat.prompt_ids(self.tokenizer, row.prompt, row.tools) for row in rows]


def by_suite(
    rows: Sequence[Record], suites: Sequence[Suite], labels: dict[str, list[str]]
) -> dict[str, list[Record]]:
    """The records of each suite; Refusal where one has none, or no labels to choose from."""
    tasks = [suite.task for suite in suites]
    if len(set(tasks)) < len(tasks) or "perplexity" in tasks:
        raise Refusal("params.yaml: evaluate.suites: name each task once, and none perplexity")
    parts = {suite.task: [row for row in rows if row.task == suite.task] for suite in suites}
    for suite in suites:
        if not parts[suite.task]:
            raise Refusal(
                f"params.yaml: evaluate.suites: no test record has task {suite.task}; the tasks "
                f"are {', '.join(sorted({row.task for row in rows}))}"
            )
        if suite.answer == "choice" and suite.task not in labels:
            raise Refusal(
                f"params.yaml: evaluate.suites: task {suite.task} has no labels to choose from; "
                "set its answer to json or text"
            )
    return parts


def predict(model: Model, rows: list[Record], suite: Suite, labels: list[str]) -> list[str]:
    """What the model answers to each record of a suite."""
    return model.choose(rows, labels) if suite.answer == "choice" else model.write(rows)


def figures(rows: list[Record], got: list[str], suite: Suite, slices: list[str]) -> dict[str, Any]:
    """All figures of a suite: over all records, and by slice value."""
    score = FIGURES[suite.answer]
    expected = [row.answer for row in rows]
    result: dict[str, Any] = {"records": len(rows), "overall": score(expected, got), "slices": {}}
    for name in slices:
        values = sorted({row.slices[name] for row in rows if name in row.slices})
        for value in values:
            part = [i for i, row in enumerate(rows) if row.slices.get(name) == value]
            own = score([expected[i] for i in part], [got[i] for i in part])
            result["slices"].setdefault(name, {})[value] = {"records": len(part), **own}
    if suite.answer == "choice":
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
    parts = by_suite(rows, settings.suites, label_sets)
    compute.set_up(chosen.compute, chosen.seed)
    model = Model(folder, chosen.compute.attention, settings)
    got: dict[str, tuple[str, float]] = {}
    result: dict[str, Any] = {}
    for suite in settings.suites:
        part, own_labels = parts[suite.task], label_sets.get(suite.task, [])
        answers = predict(model, part, suite, own_labels)
        score = SCORES[suite.answer]
        for row, answer in zip(part, answers, strict=True):
            got[row.id] = answer, score(row.answer, answer)
        result[suite.task] = figures(part, answers, suite, settings.slices)
        if suite.answer == "choice" and settings.harness_records:
            sample = records.spread(part, settings.harness_records)
            result[suite.task]["lm_eval"] = model.second_opinion(sample, own_labels)
    losses = model.losses(rows)
    result["perplexity"] = likelihood.perplexity(losses)
    result["unscored"] = sum(not tokens for _, tokens in losses)
    with outputs.folder(out) as partial:
        write_predictions(partial / "predictions.jsonl", rows, got, losses)
        outputs.write_json(partial / "metrics.json", result)
    click.echo(f"evaluate: {out.name}: perplexity {result['perplexity']:.2f}", err=True)


if __name__ == "__main__":
    run(main)
