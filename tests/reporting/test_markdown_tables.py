"""Tables of report.md line up in a terminal, also with wide characters."""

from lockstep.reporting.markdown_tables import format_table, measure_width
from lockstep.reporting.rendering import quote_as_code


def test_columns_line_up() -> None:
    table = format_table(("suite", "base"), [("意图", "8.0%"), ("a longer one", "100.0%")])
    assert table.splitlines() == [
        "| suite        |   base |",
        "| ------------ | -----: |",
        "| 意图         |   8.0% |",
        "| a longer one | 100.0% |",
    ]
    assert {measure_width(line) for line in table.splitlines()} == {25}


def test_code_shows_any_text_literally() -> None:
    assert quote_as_code("a <b> & *c*") == "`a <b> & *c*`"
    assert quote_as_code("run `ls` or ``") == "``` run `ls` or `` ```"
    assert quote_as_code("two\nlines\x1b[0m") == "`two lines [0m`"
