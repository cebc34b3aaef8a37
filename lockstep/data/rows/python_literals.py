"""Lists and dicts in Python's notation, as pandas writes them to the cells of a .csv file."""

import ast
import io
import json
import re
import tokenize
from itertools import pairwise
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import field_synonyms
from lockstep.data.rows.row_fields import Row
from lockstep.data.source_formats import COMPARISON_FIELDS
from lockstep.data.sources import Source

_NOT_JSON = "_not_json"
"""End of the reasons for which a field that should be JSON is rejected."""
_NUMPY = re.compile(r"\barray\(|\}\s+\{|\]\s+\[")
"""An array of numpy, or values between which it leaves out the commas."""


def parse_literal(text: str) -> Any:
    """Return the value of a Python literal; raise ValueError if it has no equal in JSON."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
        _refuse_repeated_keys(tree)
        return strict_json.parse(json.dumps(ast.literal_eval(tree)))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, InvalidRowError):
        raise ValueError("no literal with an equal in JSON") from None


def replace_literal(row: Row, source: Source, error: InvalidRowError) -> tuple[Row, str]:
    """Return the row with a value in place of the literal that is no JSON, and its column.

    Raise the error again if it has another cause.
    """
    field = str(error).removesuffix(_NOT_JSON)
    if field == str(error):
        raise error
    for column in _list_columns(field, source):
        text = row.get(column)
        if isinstance(text, str) and text.lstrip()[:1] in ("[", "{"):
            _refuse_numpy(text, column)
            try:
                value = parse_literal(text)
            except ValueError:
                continue
            if not _is_json(text):
                return {**row, column: value}, column
    raise error


def _list_columns(field: str, source: Source) -> list[str]:
    """Return the columns that may hold a field."""
    columns = [source.get_column(field)]
    if field == "tools" and not source.sets(field):
        columns += field_synonyms.TOOLS
    if field in ("chosen", "rejected") and source.sets("winner"):
        columns += map(source.get_column, COMPARISON_FIELDS[:2])
    return columns


def _is_json(text: str) -> bool:
    try:
        strict_json.parse(text)
    except InvalidRowError:
        return False
    return True


def _refuse_numpy(text: str, column: str) -> None:
    """Raise InvalidRowError for an array as numpy prints it.

    It leaves out commas, and Python would join two texts without one.
    """
    try:
        tokens = [
            token.type
            for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline)
            if token.type != tokenize.NL
        ]
    except (tokenize.TokenError, SyntaxError):
        return
    has_gap = any(pair == (tokenize.STRING, tokenize.STRING) for pair in pairwise(tokens))
    if has_gap or (_NUMPY.search(text) and not _is_literal(text)):
        raise InvalidRowError(
            f"{column}_printed_by_numpy",
            detail=f"it holds {show_value(text)}, an array without commas; convert it by tolist() "
            "before you save the file, or save .parquet or .jsonl",
        )


def _is_literal(text: str) -> bool:
    try:
        parse_literal(text)
    except ValueError:
        return False
    return True


def _refuse_repeated_keys(tree: ast.AST) -> None:
    """Raise ValueError for an object with two equal keys, of which Python would keep the last."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [ast.dump(key) for key in node.keys if key is not None]
            if len({*keys}) != len(keys):
                raise ValueError("an object has two equal keys")
