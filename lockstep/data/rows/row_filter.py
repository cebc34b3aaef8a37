"""The setting `where` of a source: a condition on the columns of a row.

The condition is parsed as a Python expression, of which only comparisons, `and`, `or`, `not`, `in`
and a few functions are allowed. Nothing is executed: each part becomes one of the functions below.
"""

import ast
import keyword
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

from lockstep.data.rows import column_values
from lockstep.data.rows.filter_values import (
    ConditionError,
    are_equal,
    compare_order,
    describe_values,
    is_in,
    read_number,
    read_truth,
    show_typed,
)

Evaluate = Callable[[dict[str, Any]], Any]
"""Function that returns the value of a part of the condition for a row."""

MAX_CHARACTERS = 2000
"""Maximum length of a condition; a longer one may be nested too deeply for the parser."""

_PATH = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![\w.])[^\W\d]\w*(?:\.-?\w+|\[-?\d+\])+"""
)
"""A string, or a path into a column."""
_INDEX = re.compile(r"\.(-?\d+)(?!\w)")
"""Index of a list in a path: `conversations.0.value`."""

_CONSTANTS = {"null": None, "none": None, "true": True, "false": False}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ALLOWED = (
    "only comparisons, and, or, not, in, column(), len(), lower(), matches() and number() are "
    "allowed; not allowed"
)


class Condition:
    """A condition on the columns of a row. A column that the row does not have is null."""

    def __init__(self, text: str) -> None:
        """Parse a condition; raise ConditionError with the place of the mistake."""
        self.text = _PATH.sub(_bracket_indexes, " ".join(text.split("\n")).strip())
        self.columns: list[str] = []
        """Columns that the condition names, in order."""
        self.numbers: list[str] = []
        """Columns that it reads as numbers: those of number(), or compared with a number."""
        try:
            self._evaluate = self._compile(self._parse())
        except RecursionError:
            raise ConditionError("nested too deeply") from None

    def __call__(self, row: dict[str, Any]) -> bool:
        """Whether a row meets the condition; raise ConditionError if types do not fit."""
        return read_truth(self._evaluate(row), self.text)

    def _parse(self) -> ast.expr:
        if len(self.text) > MAX_CHARACTERS:
            raise ConditionError(f"more than {MAX_CHARACTERS} characters")
        try:
            with warnings.catch_warnings(action="ignore"):  # \d in a regular expression
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            at = f" at character {error.offset}" if error.offset else ""
            hint = _suggest_repair(self.text)
            raise ConditionError(f"no condition{at}: {self.text}{hint}") from None
        except (ValueError, MemoryError) as error:
            raise ConditionError(f"no condition: {error}") from None

    def _refuse(self, node: ast.AST, problem: str) -> ConditionError:
        start = len(self.text.encode()[: getattr(node, "col_offset", 0)].decode())
        return ConditionError(f"{problem} at character {start + 1}: {self.text}")

    def _compile(self, node: ast.expr) -> Evaluate:
        """Return the function that evaluates a part of the condition."""
        match node:
            case ast.BoolOp():
                return self._compile_logic(node)
            case ast.UnaryOp(op=ast.Not()):
                return self._compile_not(node)
            case ast.Compare():
                return self._compile_comparisons(node)
            case ast.Call(func=ast.Name(name), keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, node)
            case ast.Name(name) if name in _CONSTANTS:
                return _make_constant(_CONSTANTS[name])
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._compile_column(self._read_path(node))
            case _:
                return _make_constant(self._read_constant(node))

    def _read_constant(self, node: ast.expr) -> Any:
        """Return the value of a literal: text, number, true, false, null or a list of them."""
        match node:
            case ast.Constant(str() | bool() | int() | float() | None as value):
                return value
            case ast.Name(name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
                return -value
            case ast.List(items) | ast.Tuple(items) | ast.Set(items):
                return [self._read_constant(item) for item in items]
        raise self._refuse(node, _ALLOWED)

    def _read_source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or ""

    def _read_path(self, node: ast.expr) -> str:
        """Return the name of a column, or the path into one: `meta.lang`, `turns[0].text`."""
        match node:
            case ast.Name(name):
                return name
            case ast.Attribute(parent, name):
                return f"{self._read_path(parent)}.{name}"
            case ast.Subscript(parent, ast.Constant(int() as index)) if type(index) is int:
                return f"{self._read_path(parent)}.{index}"
            case ast.Subscript(parent, ast.UnaryOp(ast.USub(), ast.Constant(int() as index))):
                return f"{self._read_path(parent)}.-{index}"
        raise self._refuse(node, _ALLOWED)

    def _compile_column(self, path: str) -> Evaluate:
        self.columns.append(path)

        def read_column(row: dict[str, Any]) -> Any:
            value = column_values.find_value(row, path)
            return None if value is column_values.MISSING else value

        return read_column

    def _compile_logic(self, node: ast.BoolOp) -> Evaluate:
        parts = [(self._compile(value), ast.unparse(value)) for value in node.values]
        combine = all if isinstance(node.op, ast.And) else any
        return lambda row: combine(read_truth(part(row), text) for part, text in parts)

    def _compile_not(self, node: ast.UnaryOp) -> Evaluate:
        part, text = self._compile(node.operand), ast.unparse(node.operand)
        return lambda row: not read_truth(part(row), text)

    def _compile_comparisons(self, node: ast.Compare) -> Evaluate:
        """Return the conjunction of `a < b`, `b <= c` … in a chain."""
        operands = [node.left, *node.comparators]
        begin = len(self.columns)
        functions = [self._compile(operand) for operand in operands]
        if any(map(_is_number, operands)):
            self.numbers += self.columns[begin:]
        texts = [ast.unparse(operand) for operand in operands]
        comparisons = [self._find_comparison(sign, node) for sign in node.ops]

        def evaluate(row: dict[str, Any]) -> bool:
            values = [function(row) for function in functions]
            try:
                return all(
                    compare(values[at], values[at + 1]) for at, compare in enumerate(comparisons)
                )
            except TypeError:
                raise ConditionError(describe_values(texts, values)) from None

        return evaluate

    def _find_comparison(self, sign: ast.cmpop, node: ast.Compare) -> Callable[[Any, Any], bool]:
        match sign:
            case ast.Eq():
                return are_equal
            case ast.NotEq():
                return lambda left, right: not are_equal(left, right)
            case ast.In():
                return is_in
            case ast.NotIn():
                return lambda left, right: not is_in(left, right)
            case ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE():
                compare = _ORDER[type(sign)]
                return lambda left, right: compare_order(left, right, compare)
        raise self._refuse(node, "write == or != instead of is")

    def compile_argument(self, node: ast.Call, number: int = 1) -> Evaluate:
        """Return the function of the first argument; check the number of arguments."""
        if len(node.args) != number:
            raise self._refuse(node, f"{ast.unparse(node.func)}() takes {number} value(s), not so")
        return self._compile(node.args[0])

    def compile_named_column(self, node: ast.Call) -> Evaluate:
        """Return the function that reads the column of `column("odd name")`."""
        match node.args:
            case [ast.Constant(str(name))] if name:
                return self._compile_column(name)
        raise self._refuse(node, 'column() takes the name of a column: column("odd name")')

    def compile_match(self, node: ast.Call) -> Evaluate:
        """Return the function of `matches(column, "regular expression")`."""
        read = self.compile_argument(node, 2)
        literal = re.fullmatch(r"""[rR]?(["'])(.*)\1""", self._read_source(node.args[1]))
        if literal is None:
            raise self._refuse(node.args[1], "no regular expression in quotes")
        try:
            pattern = re.compile(literal[2])  # as it is written: \b is no backspace character
        except re.error as error:
            raise self._refuse(node.args[1], f"no regular expression ({error})") from None

        def evaluate(row: dict[str, Any]) -> bool:
            text = column_values.write_any_text(read(row))
            return text is not None and pattern.search(text) is not None

        return evaluate


def _bracket_indexes(match: re.Match[str]) -> str:
    """Return a path with its indexes in brackets, as Python writes them; strings stay."""
    return match[0] if match["string"] else _INDEX.sub(r"[\1]", match[0])


def _compile_len(condition: Condition, node: ast.Call) -> Evaluate:
    read = condition.compile_argument(node)

    def measure(row: dict[str, Any]) -> int:
        value = read(row)
        if value is None:
            return 0
        if isinstance(value, str | list | dict):
            return len(value)
        raise ConditionError(f"{ast.unparse(node)}: {show_typed(value)} has no length")

    return measure


def _compile_lower(condition: Condition, node: ast.Call) -> Evaluate:
    read = condition.compile_argument(node)

    def lower(row: dict[str, Any]) -> str | None:
        text = column_values.write_any_text(read(row))
        return None if text is None else text.lower()

    return lower


def _compile_number(condition: Condition, node: ast.Call) -> Evaluate:
    begin = len(condition.columns)
    read = condition.compile_argument(node)
    condition.numbers += condition.columns[begin:]
    return lambda row: read_number(read(row))


_FUNCTIONS: dict[str, Callable[[Condition, ast.Call], Evaluate]] = {
    "column": Condition.compile_named_column,
    "len": _compile_len,
    "lower": _compile_lower,
    "matches": Condition.compile_match,
    "number": _compile_number,
}


def _is_number(node: ast.expr) -> bool:
    """Whether a part of the condition is a number."""
    value = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def _make_constant(value: Any) -> Evaluate:
    return lambda row: value


def _suggest_repair(text: str) -> str:
    """Return a hint for what people write who know SQL or other languages."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "; write == for equal"
    if re.search(r"\b(AND|OR|NOT|IN)\b|&&|\|\||<>", text):
        return "; write and, or, not, in, !="
    names = [name for name in re.findall(r"\w+", text) if keyword.iskeyword(name)]
    names = [name for name in names if name not in ("and", "or", "not", "in")]
    return f'; write column("{names[0]}")' if names else ""
