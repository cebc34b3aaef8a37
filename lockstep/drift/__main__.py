"""Compare the requests of a log with the training records: `make drift LOG=folder`.

Prints a table, and writes drift.json into the folder of the log, where the gateway's /metrics find
it, and a page with examples.
"""

import sys
import time
from pathlib import Path

import click
import numpy as np

from lockstep import outputs, params
from lockstep.drift import compared_texts, drift_page, drift_results, drift_text, text_features
from lockstep.drift.compared_texts import ComparedText
from lockstep.drift.drift_results import DriftResults
from lockstep.errors import exit_on_mistake
from lockstep.params import Section, Seed
from lockstep.serving.drift_gauges import DRIFT_FILE
from lockstep.serving.drift_params import DriftParams
from lockstep.serving.serving_params import ServingParams

PAGE = "drift.html"
SECONDS_PER_DAY = 86_400


class Params(Section):
    """Sections of params.yaml that the comparison reads."""

    seed: Seed
    serving: ServingParams = ServingParams()


@click.command(help=__doc__)
@click.option("--log", type=click.Path(path_type=Path), required=True, help="Folder of the log.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Page; default: {PAGE} beside it.")
@click.option("--days", type=float, help="Compare the requests of the last days only.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), help="Folder data.")
@click.option("--fail", is_flag=True, help="Exit with code 1 on an alarm.")
def main(log: Path, out: Path | None, days: float | None, data: Path, fail: bool) -> None:
    values = params.read(Params)
    now = time.time()
    since = 0.0 if days is None else now - days * SECONDS_PER_DAY
    generator = np.random.default_rng(values.seed)
    logged = compared_texts.read_requests(log, since, generator)
    training = compared_texts.read_training_texts(data, values.serving.drift.tasks, generator)
    results = compare_texts(training, logged.texts, data, values.serving.drift, values.seed)
    with outputs.atomic_file(log / DRIFT_FILE) as partial:
        outputs.write_json(partial, drift_text.collect_json(results, logged, len(training), now))
    drift_page.write_page(
        out or log / PAGE, results, logged, len(training), now, values.serving.drift.minimum_texts
    )
    click.echo(drift_text.format_results(results, logged, len(training), values.serving.drift))
    click.echo(f"\npage: {out or log / PAGE}")
    sys.exit(1 if fail and results.is_alarm else 0)


def compare_texts(
    training: list[ComparedText],
    requests: list[ComparedText],
    data: Path,
    settings: DriftParams,
    seed: int,
) -> DriftResults:
    """Compute the features of all texts and compare them, if there are enough requests."""
    if len(requests) < settings.minimum_texts:
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
