"""Write the choice suites as tasks of lm-eval, for its own command line.

`python -m lockstep.predicting.lm_eval_export data/merged data/prepared/test.jsonl \
data/prepared/labels.json OUT`, then
`lm_eval run --model hf --model_args pretrained=data/merged --tasks intent \
--include_path OUT` gives the accuracy that evaluate gives.
Prompts are rendered by the model's own template.
"""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.errors import UserError
from lockstep.models import model_io
from lockstep.params import Section
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import Suites


class Params(Section):
    evaluate: Suites


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("test", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path, test: Path, labels: Path, out: Path) -> None:
    suites = [one for one in params.read(Params).evaluate.suites if one.answer == "choice"]
    if not suites:
        raise UserError("params.yaml: evaluate.suites: none chooses among labels")
    tokenizer, rows = model_io.load_tokenizer(folder), list(records.read(test))
    label_sets = outputs.read_json(labels)
    with outputs.atomic_folder(out) as partial:
        for suite in suites:
            own = [row for row in rows if row.task == suite.task]
            lm_eval_tasks.write_task(
                partial, out, suite.task, tokenizer, own, label_sets[suite.task]
            )
    click.echo(f"{out}: {', '.join(suite.task for suite in suites)}", err=True)


if __name__ == "__main__":
    main()
