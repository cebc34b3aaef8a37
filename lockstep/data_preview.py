"""Show the first records of each source as `prepare` reads them, and what cleaning changed.

Run `python -m lockstep.data_preview data/raw`, or `make preview-data`; SOURCES are paths or names
of sources in params.yaml, by default all. Nothing is written, and only the first rows are read, so
duplicates, conflicts and splits are not shown. A change is shown as [-deleted-]{+inserted+}, in
colour on a terminal, with signs or code points for characters that cannot be seen.
"""

import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

import click

from lockstep import params
from lockstep.cli import runner
from lockstep.data import grades, source_reading, source_report, text_changes
from lockstep.data.cleaning.cleaner import Cleaner, Role, Step
from lockstep.data.file_reading import Notes, PlacedRows
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.rejected_rows import RejectedRow
from lockstep.data.rows import row_selection
from lockstep.data.rows.row_conversion import RowConverter
from lockstep.data.source_report import SourceReport
from lockstep.data.sources import Source
from lockstep.errors import UserError
from lockstep.params import Section, Seed
from lockstep.records import Message, Record

MAX_ROWS = 1000
"""Maximum number of rows of a source that are read if most of them are rejected."""
MAX_CHARACTERS = 2000
"""Maximum number of characters of a text that are shown."""


class Params(Section):
    """Sections of params.yaml that the command reads."""

    seed: Seed
    prepare: PrepareParams


@dataclass(frozen=True, slots=True)
class _Change:
    """A text that cleaning changed."""

    role: Role
    before: str
    after: str
    steps: set[Step]


class _RecordingCleaner(Cleaner):
    """Cleaner that keeps each change."""

    def __init__(self, steps: dict[Role, list[Step]], boilerplate: list[str]) -> None:
        super().__init__(steps, boilerplate)
        self.changes: list[_Change] = []

    def clean(self, text: str, role: Role = "user") -> tuple[str, set[Step]]:
        """Return the cleaned text and the steps that changed it; keep the change."""
        after, steps = super().clean(text, role)
        if steps:
            self.changes.append(_Change(role, text, after, steps))
        return after, steps


@dataclass(slots=True)
class _Counts:
    """Number of rows that were looked at."""

    rows: int = 0
    records: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)


@click.command(help=__doc__)
@click.argument("raw", type=runner.IN_FOLDER)
@click.argument("sources", nargs=-1)
@click.option(
    "--number",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Maximum number of records, and of rejected rows, of each source.",
)
def main(raw: Path, sources: tuple[str, ...], number: int) -> None:
    sections = params.read(Params)
    settings = sections.prepare
    chosen = settings.model_copy(update={"sources": select_sources(settings.sources, sources)})
    source_reading.check_sources(raw, chosen)
    entries = grades.read_entries(raw, settings.quality.grades)
    counts = [
        _show_source(raw, source, settings, grades.average_entries(entries), number, sections.seed)
        for source in chosen.sources
    ]
    click.echo(_describe_counts(counts))


def select_sources(sources: Sequence[Source], names: Sequence[str]) -> list[Source]:
    """Return the sources that have one of the names or paths; all if there is no name.

    Raise UserError for a name that no source has.
    """
    unknown = [name for name in names if not any(_is_named(source, name) for source in sources)]
    if unknown:
        known = [source.name for source in sources]
        nearest = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"they are {', '.join(known)}"
        raise UserError(f"{unknown[0]}: no source in prepare.sources has this path; {hint}")
    return [source for source in sources if not names or any(_is_named(source, n) for n in names)]


def _is_named(source: Source, name: str) -> bool:
    """Whether a name is that of the source, its path, or its path in data/raw."""
    path = str(PurePosixPath(name.removeprefix("./").removeprefix("data/raw/")))
    return path in (source.name, source.location, str(PurePosixPath(source.location)))


def _show_source(
    raw: Path,
    source: Source,
    settings: PrepareParams,
    averages: grades.Grades,
    number: int,
    seed: int,
) -> _Counts:
    """Print the first records and rejected rows of a source; return how many there were."""
    cleaners: list[_RecordingCleaner] = []

    def make_cleaner(steps: dict[Role, list[Step]], boilerplate: list[str]) -> Cleaner:
        cleaners.append(_RecordingCleaner(steps, boilerplate))
        return cleaners[0]

    report, notes = SourceReport(source), Notes()
    converter = source_reading.make_converter(raw, source, settings, averages, make_cleaner)
    click.secho(f"{source.name}: format {source.format}, task {source.task}", bold=True)
    rows = row_selection.select_rows(source_reading.read_source(raw, source, notes), report, seed)
    counts = _show_rows(rows, converter, cleaners[0], report, number)
    if not counts.rows:
        left_out = ", ".join(f"{setting} {count}" for setting, count in report.left_out.items())
        click.secho(f"no row is left; left out by {left_out}", fg="red")
    for line in [*str(notes).splitlines(), *source_report.list_notes([report])]:
        click.secho(f"note: {line}", fg="yellow")
    click.echo()
    return counts


def _show_rows(
    rows: PlacedRows,
    converter: RowConverter,
    cleaner: _RecordingCleaner,
    report: SourceReport,
    number: int,
) -> _Counts:
    """Print rows until `number` of them have become records."""
    counts = _Counts()
    for row in islice(rows, MAX_ROWS):
        cleaner.changes.clear()
        converted = converter.convert([row])
        report.add(len(converted.records), converted)
        counts.rows += 1
        counts.records += len(converted.records)
        counts.rejected += converted.rejected
        for record in converted.records:
            click.echo("\n".join(_format_record(record)))
        if converted.records:
            click.echo("\n".join(_format_changes(cleaner.changes)), nl=bool(cleaner.changes))
        elif len(counts.rejected) <= number:
            click.echo("\n".join(_format_rejected(converted.rejected)))
        if counts.rows - len(counts.rejected) == number:
            break
    if len(counts.rejected) > number:
        reasons = Counter(rejected.reason for rejected in counts.rejected).most_common()
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons)
        click.secho(f"{len(counts.rejected)} rows rejected: {listed}", fg="red")
    return counts


def _format_record(record: Record) -> Iterator[str]:
    """Yield the lines of a record: its place and settings, tools, turns and rejected answer."""
    facts = [f"{name} {value}" for name, value in record.slices.items() if value]
    facts += [f"weight {record.weight:g}"] if record.weight != 1 else []
    facts += [f"group {record.group}"] if record.group else []
    facts += [f"margin {record.margin:g}"] if record.margin is not None else []
    if record.desirable is not None:
        facts.append("a good answer" if record.desirable else "a bad answer")
    place = click.style(record.origin, bold=True)
    yield f"{place}: {', '.join(facts)}" if facts else place
    for tool in record.tools:
        yield _format_field("tool", json.dumps(tool["function"], ensure_ascii=False))
    for message in record.messages:
        yield from _format_message(message, message["role"])
    if isinstance(record.rejected, str):
        yield _format_field("rejected answer", record.rejected)
    elif record.rejected is not None:
        yield from _format_message(record.rejected, "rejected answer")
    if record.accepted_calls is not None:
        accepted = json.dumps(record.accepted_calls, ensure_ascii=False)
        yield _format_field("accepted calls", accepted)


def _format_message(message: Message, name: str) -> Iterator[str]:
    """Yield the lines of a message: reasoning, content and calls."""
    if "reasoning_content" in message:
        yield _format_field(f"{name}, reasoning", message["reasoning_content"])
    if message.get("weight") == 0:
        name = f"{name} (weight 0, not learnt)"
    calls = message.get("tool_calls", [])
    if message["content"] or not calls:
        yield _format_field(name, message["content"])
    for call in calls:
        yield _format_field(f"{name}, call", json.dumps(call["function"], ensure_ascii=False))


def _format_field(name: str, text: str) -> str:
    """Return a name and a text, whose further lines are indented."""
    rest = len(text) - MAX_CHARACTERS
    shown = f"{text[:MAX_CHARACTERS]}… ({rest} more characters)" if rest > 0 else text
    return f"  {click.style(name, fg='cyan')}: {_indent(shown)}"


def _format_changes(changes: Sequence[_Change]) -> Iterator[str]:
    """Yield the lines of what cleaning changed."""
    for change in changes:
        steps = ", ".join(sorted(change.steps))
        coloured = sys.stdout.isatty()
        text = text_changes.show_change(change.before, change.after, coloured=coloured)
        heading = click.style(f"cleaned {change.role} ({steps})", fg="magenta")
        yield f"  {heading}: {_indent(text)}"


def _format_rejected(rejected: Sequence[RejectedRow]) -> Iterator[str]:
    """Yield the lines of rejected rows: place, reason, detail and the row."""
    for row in rejected:
        yield click.style(f"{row.origin}: rejected: {_describe_reason(row)}", fg="red")
        yield f"  row: {_indent(row.row.strip())}"


def _describe_reason(row: RejectedRow) -> str:
    return str(row).removeprefix(f"{row.origin}: ")


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")


def _describe_counts(counts: Sequence[_Counts]) -> str:
    """Return the closing line."""
    rows = sum(source.rows for source in counts)
    rejected = sum(len(source.rejected) for source in counts)
    records = sum(source.records for source in counts)
    noun = "source" if len(counts) == 1 else "sources"
    return (
        f"preview-data: looked at {rows} rows of {len(counts)} {noun}: {records} records, "
        f"{rejected} rejected"
    )


if __name__ == "__main__":
    runner.run(main)
