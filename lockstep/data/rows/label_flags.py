"""Labels as flags: a 0 or 1 for each label, in columns of their own, in an object or in a list.

Jigsaw's and GoEmotions' tables have a column per label, BeaverTails an object, and arrays of
scikit-learn's MultiLabelBinarizer become lists.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import column_values, row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source

_FLAGS = {"1": True, "0": False, "true": True, "false": False}


def read_columns(row: Row, source: Source) -> list[str]:
    """Return the names of the `label_columns` of the source whose flag is set in a row."""
    return _list_set({name: row.get(name) for name in source.label_columns}, source)


def read_value(value: Any, column: str, source: Source) -> list[str] | None:
    """Return the labels whose flag is set in an object or a list; None for any other value."""
    if isinstance(value, dict) and value:
        return _list_set(value, source)
    return _read_list(value, column, source) if isinstance(value, list) else None


def get_only_label(names: Sequence[str]) -> str:
    """Return the only label of a row; raise InvalidRowError if there is none, or several."""
    if len(names) == 1:
        return names[0]
    if names:
        detail = f"{', '.join(names)} are set; format: multi_label reads several labels"
        raise InvalidRowError("several_labels", detail=detail)
    detail = "no label is set; format: multi_label reads such rows, and where leaves them out"
    raise InvalidRowError("no_label", detail=detail)


def parse_flag(value: Any) -> bool | None:
    """Return whether a flag is set; None if the value is no flag."""
    text = column_values.write_text(value)
    return _FLAGS.get(text.strip().lower().removesuffix(".0")) if text else None


def _list_set(flags: Mapping[str, Any], source: Source) -> list[str]:
    """Return the names of the set flags; raise InvalidRowError if a value is no flag."""
    names = []
    for name, value in flags.items():
        is_set = parse_flag(value)
        if is_set is None:
            raise InvalidRowError(
                "label_not_0_or_1",
                detail=f"{name} is {show_value(value)}, neither 0 nor 1; leave such rows out by "
                "where",
            )
        if is_set:
            names.append(row_fields.read_label(name, source))
    return names


def _read_list(values: list[Any], column: str, source: Source) -> list[str] | None:
    """Return the labels of a list of flags, whose names are in `label_names`; None for other lists.

    Whole numbers may also be the codes of labels, which never repeat. Raise InvalidRowError if it
    is unclear which they are, or if the labels have no names.
    """
    are_truths = all(isinstance(value, bool) for value in values)
    codes = [column_values.write_text(value) for value in values]
    if len(values) < 2 or not (are_truths or {*codes} <= {"0", "1"}):
        return None
    are_unclear = len({*codes}) < len(codes) or len(source.label_names) == len(values) == 2
    if not are_truths and not are_unclear:
        return None
    names = {str(number): value for number, value in enumerate(values)}
    if names.keys() == source.label_names.keys() and (are_truths or len(values) > 2):
        return _list_set(names, source)
    columns = ", ".join(f"{column}.{number}" for number in range(min(len(values), 3)))
    raise InvalidRowError(
        "labels_are_flags",
        detail=f"{show_value(values)} may be a 0 or 1 for each of {len(values)} labels; name these "
        f"in label_names, or set label_columns: [{columns}{', …' * (len(values) > 3)}]",
    )
