"""Write the choice suites as tasks of lm-eval, for its own command line.

`python -m lockstep.predicting.lm_eval_export data/merged data/prepared OUT`, then
`lm_eval run --model hf --model_args pretrained=data/merged --tasks intent --include_path OUT`
measures the same accuracy as evaluate. The model's own chat template renders the prompts.
"""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.errors import UserError
from lockstep.models import loading
from lockstep.params import Section
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import PredictParams
from lockstep.suites import ObjectiveParams, read_tasks, resolve_suites


class Params(Section):
    train: ObjectiveParams
    predict: PredictParams


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path, prepared: Path, out: Path) -> None:
    settings = params.read(Params)
    tasks = read_tasks(prepared / "tasks.json")
    suites = resolve_suites(settings.predict.suites, tasks, settings.train.objective)
    choice_suites = [suite for suite in suites if suite.answer == "choice"]
    if not choice_suites:
        raise UserError("params.yaml: predict.suites: no suite has the answer form choice")
    tokenizer = loading.load_tokenizer(folder)
    test_records = list(records.read(prepared / "test.jsonl"))
    labels = outputs.read_json(prepared / "labels.json")
    with outputs.atomic_folder(out) as partial:
        for suite in choice_suites:
            lm_eval_tasks.write_task(
                partial,
                out,
                suite.task,
                tokenizer,
                [record for record in test_records if record.task == suite.task],
                labels[suite.task],
            )
    click.echo(f"{out}: {', '.join(suite.task for suite in choice_suites)}", err=True)


if __name__ == "__main__":
    main()
