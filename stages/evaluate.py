"""Compute metrics, intervals, comparisons and gates of all variants from their predictions."""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.human.human_params import HumanParams
from lockstep.human.rating_metrics import compute_rating_metrics
from lockstep.judging.judge_metrics import compute_judge_metrics
from lockstep.judging.judge_params import JudgeParams
from lockstep.judging.judgements import read_judgements
from lockstep.metrics.suite_metrics import build_measured_suites, list_slices
from lockstep.models.instruction_sets import PortableParams
from lockstep.params import Section, Seed
from lockstep.predictions import VARIANTS
from lockstep.statistics import (
    comparisons,
    forgetting,
    leaks,
    plot_tables,
    record_scores,
    score_curves,
    stage_results,
    summary_metrics,
)
from lockstep.statistics.details import assemble_details
from lockstep.statistics.evaluate_params import EvaluateParams


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: PortableParams
    judge: JudgeParams
    human: HumanParams
    evaluate: EvaluateParams


@click.command(help=__doc__)
@click.argument("data", type=IN_FOLDER)
@click.argument("reports", type=OUT)
def main(data: Path, reports: Path) -> None:
    settings = params.read(Params)
    summary_slices = settings.evaluate.summary_slices
    predicted = data / "predicted"
    summaries = stage_results.read_summaries(data)
    log = stage_results.read_log(data / "trained/log.csv")
    predictions = stage_results.read_predictions(predicted)
    slices = list_slices(predictions["merged"])
    if unknown := sorted({*summary_slices} - {*slices}):
        names = ", ".join(unknown)
        click.echo(f"evaluate: evaluate.summary_slices: no test record has {names}", err=True)
    if (domain := settings.evaluate.domains.slice) and domain not in slices:
        click.echo(f"evaluate: evaluate.domains: no test record has {domain}", err=True)
    suites = build_measured_suites(
        predictions["merged"], settings.evaluate.metrics, settings.evaluate.json_schemas
    )
    details = assemble_details(
        predictions,
        stage_results.read_extra_predictions(predicted, "perturbed.jsonl"),
        stage_results.read_extra_predictions(predicted, "splits.jsonl"),
        {name: stage_results.read_json(predicted / name / "lm_eval.json") for name in VARIANTS},
        suites,
        settings.evaluate.slices or slices,
        settings.evaluate.gates,
        settings.evaluate.examples,
        settings.seed,
        stage_results.get_sizes(summaries["quantized"]),
    )
    details |= comparisons.compare_groups(
        predictions, suites, settings.evaluate.domains, settings.seed
    )
    if rounds := summaries["prepared"].get("rounds"):
        tests = records.read(data / "prepared/test.jsonl")
        details["forgetting"] = forgetting.compute_forgetting(
            predictions["base"],
            predictions["merged"],
            suites,
            {record.id: record.source for record in tests},
            rounds,
            settings.seed,
        )
    details["curves"] = score_curves.compute_curves(predictions, suites)
    details["leaks"] = leaks.compute_leaks(
        predictions,
        records.read(data / "prepared/test.jsonl"),
        records.read(data / "prepared/train.jsonl"),
        settings.evaluate.leaks,
    )
    judgements = read_judgements(data / "judged/judgements.jsonl")
    details["judge"] = compute_judge_metrics(judgements, settings.judge)
    details["human"] = compute_rating_metrics(data / "human", predictions, settings.human)
    details |= stage_results.select_run_facts(summaries)
    metrics = summary_metrics.summarize_results(details, summaries, summary_slices)
    for name, value in ("details", details), ("metrics", metrics):
        with outputs.atomic_file(reports / f"{name}.json") as partial:
            outputs.write_json(partial, value)
    record_scores.write_scores(reports / "scores.jsonl", predictions, suites)
    for name, text in plot_tables.build_plot_tables(details, log).items():
        with outputs.atomic_file(reports / "plots" / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    failed = sum(not gate.get("passed", True) for gate in details["gates"])
    click.echo(f"evaluate: {len(suites)} suites, {failed} gates failed", err=True)


if __name__ == "__main__":
    run(main)
