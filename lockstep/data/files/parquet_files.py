"""Parquet files, without what Arrow adds to the data."""

import io
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from lockstep.data.files.placed_rows import DataFile, PlacedRows
from lockstep.data.files.table_cells import check_columns
from lockstep.errors import UserError

Converter = Callable[[Any], Any]


def read_parquet(file: DataFile) -> PlacedRows:
    """Yield the rows of a Parquet file; raise UserError if it is none."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    stream = file.stream
    try:
        table = ParquetFile(stream if stream.seekable() else io.BytesIO(stream.read()))
        check_columns(table.schema_arrow.names, file.path, file.columns)
        converters = {field.name: make_converter(field.type) for field in table.schema_arrow}
        needed = {name: convert for name, convert in converters.items() if convert}
        has_maps = "map<" in str(table.schema_arrow)  # without them, pyarrow has a faster way
        options: dict[str, Any] = {"maps_as_pydicts": "strict"} if has_maps else {}
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for row in batch.to_pylist(**options):
                number += 1
                for name, convert in needed.items():
                    row[name] = convert(row[name])
                yield f"row {number}", row
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file.path}: not parquet: {reason}; download it again") from None
    except (KeyError, ValueError) as error:  # a map has the same key twice
        raise UserError(f"{file.path}: {' '.join(str(error).split())}; write it again") from None


def make_converter(kind: Any) -> Converter | None:
    """Return the conversion of an Arrow type to values of JSON; None if they are already.

    A struct has all members that occur in its column, so a null member stands for an absent one.
    Dates and times become ISO 8601 text, and decimals numbers, or text if a float would round them.
    """
    from pyarrow import types

    if types.is_dictionary(kind):
        return make_converter(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _skip_null(_make_list_converter(make_converter(kind.value_type)))
    if types.is_struct(kind):
        return _skip_null(_make_struct_converter({f.name: make_converter(f.type) for f in kind}))
    if types.is_map(kind):
        return _skip_null(_make_map_converter(make_converter(kind.item_type)))
    if types.is_decimal(kind):
        return _skip_null(_convert_decimal)
    return _skip_null(_format_time if types.is_temporal(kind) else None)


def _skip_null(convert: Converter | None) -> Converter | None:
    return convert and (lambda value: None if value is None else convert(value))


def _make_list_converter(convert: Converter | None) -> Converter | None:
    return convert and (lambda items: [convert(item) for item in items])


def _make_map_converter(convert: Converter | None) -> Converter | None:
    return convert and (lambda items: {name: convert(item) for name, item in items.items()})


def _make_struct_converter(converters: dict[str, Converter | None]) -> Converter:
    needed = {name: convert for name, convert in converters.items() if convert}

    def convert_struct(members: dict[str, Any]) -> dict[str, Any]:
        return {
            name: needed[name](member) if name in needed else member
            for name, member in members.items()
            if member is not None
        }

    return convert_struct


def _format_time(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date | time) else str(value)


def _convert_decimal(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
