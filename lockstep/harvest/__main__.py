"""Turn logged requests and the corrections of their answers into a source for `prepare`.

Run `make harvest LOG=folder OUT=build/harvest-1`. RAW and PREPARED are the folders of the raw and
the prepared data, which the requests are compared with. Requests that need review become projects
for Label Studio, whose exports `--reviewed` reads (docs/annotation.md).
"""

from pathlib import Path

import click

from lockstep import outputs
from lockstep.cli.runner import IN_FOLDER, OUT
from lockstep.data.prepare_params import PrepareParams
from lockstep.errors import UserError, exit_on_mistake
from lockstep.harvest import harvest_writing, known_records
from lockstep.harvest.candidates import HarvestSettings, choose_candidates
from lockstep.harvest.harvesting import harvest_candidates
from lockstep.harvest.known_records import KnownRecords
from lockstep.harvest.logged_feedback import read_rated_requests
from lockstep.harvest.request_records import FORMS, RecordMaker
from lockstep.harvest.request_tasks import KnownTasks, read_kinds
from lockstep.harvest.reviewed_answers import read_reviews
from lockstep.params import Part, Section, Seed
from lockstep.patterns import Pattern
from lockstep.serving.logs.log_files import FEEDBACK
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.serving_params import find_log, read_sections


class TrainObjective(Part):
    """Key of the section `train` that the command reads."""

    objective: str


class LogParams(Part):
    """Keys of the section `serving` that the command reads."""

    log_folder: str | None = None
    log_patterns: list[Pattern] = []


class Params(Section):
    """Sections of params.yaml that the command reads."""

    seed: Seed
    prepare: PrepareParams
    train: TrainObjective
    serving: LogParams = LogParams()


@click.command(help=__doc__)
@click.argument("raw", type=IN_FOLDER)
@click.argument("prepared", type=IN_FOLDER)
@click.option("--log", type=IN_FOLDER, help="Folder of the log; default: serving.log_folder.")
@click.option("--out", type=OUT, help="Folder to write, which must not exist.")
@click.option(
    "--reviewed",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Export of a review project as JSON, or a folder of exports.",
)
@click.option("--accept", is_flag=True, help="Learn answers with a thumb up too.")
@click.option(
    "--low-score",
    type=float,
    default=2.0,
    show_default=True,
    help="Highest score of an answer that needs review.",
)
@click.option("--task", default="", help="Task of all requests; by default, it is found.")
def main(
    raw: Path,
    prepared: Path,
    log: Path | None,
    out: Path | None,
    reviewed: tuple[Path, ...],
    accept: bool,
    low_score: float,
    task: str,
) -> None:
    if out is None:
        raise UserError("harvest: no folder to write; name a new one: OUT=build/harvest-1")
    if out.exists():
        raise UserError(f"{out}: exists; move it away or name another folder")
    sections = read_sections(Params)
    settings, form = sections.prepare, FORMS.get(sections.train.objective, "messages")
    masker = TextMasker(sections.serving.log_patterns)
    folder = log or find_log(sections.serving.log_folder)
    rated, left_out = read_rated_requests(folder, masker)
    reviews, unanswered = read_reviews(reviewed)
    if not (rated or left_out or reviews):
        raise UserError(f"{folder}: no feedback in {FEEDBACK}; clients send it to /v1/feedback")
    seen = reviews.keys() | {entry.request_id for entry in unanswered}
    left_out = [entry for entry in left_out if entry.request_id not in seen] + unanswered
    names = {entry.request_id for entry in unanswered}
    rated = [request for request in rated if request.id not in names]

    tasks = KnownTasks(
        kinds=read_kinds(outputs.read_json(_find_file(prepared, "tasks.json"))),
        labels=outputs.read_json(_find_file(prepared, "labels.json")),
        masker=masker,
        forced=task,
    )
    benchmarks = known_records.protect_benchmarks(raw, settings)
    known = KnownRecords(settings, sections.seed, benchmarks, masker)
    known.read(prepared, tasks)
    judging = HarvestSettings(accepts_thumbs_up=accept, low_score=low_score)
    candidates, not_rated_low = choose_candidates(rated, reviews, judging)
    harvest = harvest_candidates(candidates, RecordMaker(settings, tasks), known, form)
    harvest.left_out = [*left_out, *not_rated_low, *harvest.left_out]
    entry = harvest_writing.make_entry(f"{out.name}.jsonl", form, settings)
    harvest_writing.write_harvest(out, harvest, form, tasks, entry)
    click.echo(harvest_writing.describe_harvest(out, harvest, form, entry))


def _find_file(prepared: Path, name: str) -> Path:
    file = prepared / name
    if not file.is_file():
        raise UserError(f"{file}: not found; run `dvc repro prepare` first")
    return file


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
