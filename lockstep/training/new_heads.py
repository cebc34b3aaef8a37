"""What a model that ends in numbers learns to say: a label, several, a number, a reward."""

from collections.abc import Iterable, Mapping, Sequence

from lockstep.errors import UserError
from lockstep.models.model_io import Head
from lockstep.records import Record
from lockstep.training.train_params import Train


def of(
    chosen: Train, records: Iterable[Record], labels: Mapping[str, Sequence[str]]
) -> Head | None:
    """The head that the objective needs for these records; None where the model writes text.

    `labels` are those of each task, as prepare found them.
    """
    if not chosen.has_head:
        return None
    if chosen.objective != "classification":
        return Head("regression", [])
    own = [r for r in records if not chosen.tasks or r.task in chosen.tasks]
    names = sorted({label for task in {r.task for r in own} for label in labels.get(task, ())})
    if len(names) < 2:
        raise UserError(
            "params.yaml: train.objective: classification needs at least two labels; name tasks "
            "with labels in train.tasks"
        )
    single = all(record.answer in names for record in own)
    return Head("single_label_classification" if single else "multi_label_classification", names)
