"""Compare the requests of a log with the training records: `make drift LOG=folder`.

Prints a table, and writes drift.json into the folder of the log, where the gateway's /metrics find
it, and a page with examples.
"""

import sys
import time
from pathlib import Path

import click
import numpy as np

from lockstep import outputs
from lockstep.drift import compared_texts, drift_page, drift_results, drift_text, text_features
from lockstep.drift.compared_texts import ComparedText
from lockstep.drift.drift_results import DriftResults
from lockstep.errors import exit_on_mistake
from lockstep.params import Section, Seed
from lockstep.serving.drift_gauges import DRIFT_FILE
from lockstep.serving.drift_params import DriftParams
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.serving_params import ServingParams, find_log, read_sections

OUT_FILE = click.Path(dir_okay=False, path_type=Path)
PAGE = "drift.html"
SECONDS_PER_DAY = 86_400


class Params(Section):
    """Sections of params.yaml that the comparison reads."""

    seed: Seed
    serving: ServingParams = ServingParams()


@click.command(help=__doc__)
@click.option("--log", type=click.Path(path_type=Path), help="Default: serving.log_folder.")
@click.option("--out", type=OUT_FILE, help=f"Page; default: {PAGE} in the log.")
@click.option(
    "--days",
    type=click.FloatRange(0, min_open=True),
    help="Compare the requests of the last days only.",
)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), help="Folder data.")
@click.option("--fail", is_flag=True, help="Exit with code 1 on an alarm.")
def main(log: Path | None, out: Path | None, days: float | None, data: Path, fail: bool) -> None:
    values = read_sections(Params)
    settings, now = values.serving.drift, time.time()
    folder = log or find_log(values.serving.log_folder)
    since = 0.0 if days is None else now - days * SECONDS_PER_DAY
    generator, masker = np.random.default_rng(values.seed), TextMasker(values.serving.log_patterns)
    logged = compared_texts.read_requests(folder, since, masker, generator)
    training = compared_texts.read_training_texts(data, settings.tasks, masker, generator)
    results = compare_texts(training, logged.texts, data, settings, values.seed)
    page = out or folder / PAGE
    with outputs.atomic_file(folder / DRIFT_FILE) as partial:
        partial.touch(mode=0o600)
        outputs.write_json(partial, drift_text.collect_json(results, logged, len(training), now))
    drift_page.write_page(page, results, logged, len(training), now, settings.minimum_texts)
    click.echo(drift_text.format_results(results, logged, len(training), settings))
    click.echo(f"\npage: {page}")
    sys.exit(1 if fail and results.is_alarm else 0)


def compare_texts(
    training: list[ComparedText],
    requests: list[ComparedText],
    data: Path,
    settings: DriftParams,
    seed: int,
) -> DriftResults:
    """Compute the features of all texts and compare them, if there are enough requests."""
    if min(len(training), len(requests)) < settings.minimum_texts:
        return DriftResults(verdict="too few texts", tests=[])
    sample = compared_texts.read_label_sample(data, settings.tasks)
    labels = drift_results.collect_labels(sample, requests, compared_texts.read_labels(data))
    return drift_results.measure_drift(
        text_features.compute_features(training),
        text_features.compute_features(requests),
        labels,
        settings,
        seed,
    )


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
