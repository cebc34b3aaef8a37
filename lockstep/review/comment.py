"""Write a comparison as a Markdown comment for a pull request, the verdict first."""

from collections.abc import Iterator, Sequence

from lockstep.metrics.metric_display import MetricDisplay, describe_metric
from lockstep.reporting.gate_conditions import describe_condition, describe_value
from lockstep.review.changed_data import DataChanges
from lockstep.review.changed_inputs import StageChange, ValueChange
from lockstep.review.comparison import Comparison
from lockstep.review.decision import describe_subject
from lockstep.review.flipped_answers import Flip, FlippedAnswers
from lockstep.review.markdown import format_table, quote, shorten_list
from lockstep.review.metric_comparison import MetricChange

MAX_CHARACTERS = 60_000
"""A comment is shorter than this; GitHub refuses one of more than 65,536 characters."""
MAX_LINES = 20
"""Maximum number of lines of a list or a table of changes."""
MAX_METRICS = 40
"""Maximum number of metrics in the table of those that do not decide."""


def write_comment(comparison: Comparison) -> str:
    """Return the comment; it ends with a newline and has no HTML, link or mention from data."""
    verdict = comparison.decision
    sections = [
        [f"## Model review: {verdict.word}", "", verdict.reason, "", *_describe_sides(comparison)],
        _write_gates(comparison),
        _write_metrics(comparison),
        _write_flips(comparison.flips),
        _write_changes(comparison),
        _write_costs(comparison),
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"
    return cut_lines(text)


def cut_lines(text: str) -> str:
    """Return a text of fewer than MAX_CHARACTERS, or the lines that fit and a note on the rest."""
    if len(text) < MAX_CHARACTERS:
        return text
    note = "\n\nThe rest is left out here; `make review` prints all as JSON with `JSON=1`.\n"
    return text[: text.rindex("\n", 0, MAX_CHARACTERS - len(note))] + note


def _describe_sides(comparison: Comparison) -> Iterator[str]:
    name, commit = comparison.base_name, comparison.base_commit[:7]
    label = quote(commit) if commit.startswith(name) else f"{quote(name)} ({quote(commit)})"
    yield f"Base: {label}, the commit at which this branch starts."
    if comparison.commits_behind:
        number = comparison.commits_behind
        commits = "1 newer commit" if number == 1 else f"{number:,} newer commits"
        yield f"The base branch has {commits}, not compared here."
    if comparison.uncommitted:
        files = ", ".join(quote(file) for file in comparison.uncommitted[:5])
        yield f"Results that are not committed were compared: {files}."


def _write_gates(comparison: Comparison) -> list[str]:
    if not comparison.gates:
        return []
    rows = [
        (
            "passed" if outcome.passed else "**FAILED**",
            quote(describe_condition(outcome.gate), 200),
            quote(describe_value(outcome)),
        )
        for outcome in comparison.gates
    ]
    return ["### Gates", "", *format_table(["", "condition", "measured"], rows, texts=3)]


def _write_metrics(comparison: Comparison) -> list[str]:
    if not comparison.metrics:
        return []
    deciding = [change for change in comparison.metrics if change.is_deciding]
    others = [change for change in comparison.metrics if not change.is_deciding]
    changed = [change for change in others if change.word != "same"]
    lines = ["### Metrics", ""]
    if comparison.unpaired:
        lines += [
            f"Unpaired, by the intervals of both sides: {quote(comparison.unpaired, 300)}.",
            "",
        ]
    lines += _tabulate_metrics(deciding)
    if changed:
        title = f"Other metrics that changed ({len(others) - len(changed)} are the same):"
        lines += ["", title, "", *_tabulate_metrics(changed[:MAX_METRICS])]
        if len(changed) > MAX_METRICS:
            lines.append(f"\nand {len(changed) - MAX_METRICS:,} more metrics")
    elif others:
        lines += ["", f"The {len(others):,} other metrics are the same."]
    note = (
        'Differences of the same records, with 95% intervals. "Could be chance": p ≥ 0.05, '
        "corrected for the number of metrics that changed (Holm's method); the interval of one "
        "metric alone may exclude 0 all the same."
    )
    if any(not change.is_paired and change.difference for change in [*deciding, *changed]):
        note += " ¹ not compared record by record, but by the intervals of both sides."
    return [*lines, "", note]


def _tabulate_metrics(changes: Sequence[MetricChange]) -> list[str]:
    rows = [
        (
            f"{change.variant} {describe_subject(change)}",
            *(_format(change, value) for value in (change.base, change.this)),
            *_format_difference(change),
            f"**{change.word}**" if change.word in ("better", "worse") else change.word,
        )
        for change in changes
    ]
    header = ["metric", "base", "this branch", "difference", "95% interval", "records", ""]
    return format_table(header, rows)


def _format(change: MetricChange, value: float | None) -> str:
    return "–" if value is None else describe_metric(change.metric).format(value)


def _format_difference(change: MetricChange) -> tuple[str, str, str]:
    """Return difference, interval and number of records."""
    display: MetricDisplay = describe_metric(change.metric)
    difference = change.difference
    if difference is None:
        return "–", "–", "–"
    low = display.format_difference(difference.interval.low).removesuffix(" points")
    interval = f"{low} to {display.format_difference(difference.interval.high)}"
    mark = "" if change.is_paired else " ¹"
    records = f"{difference.records:,}" if difference.records else "–"
    return f"{display.format_difference(difference.value)}{mark}", interval, records


def _write_flips(flips: FlippedAnswers) -> list[str]:
    if not flips.shown:
        return []
    lines = [
        "### Answers that flipped",
        "",
        f"{flips.worse:,} answers of the quantized model got worse, {flips.better:,} got better.",
    ]
    if flips.without_texts:
        lines[-1] += f" Questions and texts are missing: {quote(flips.without_texts, 300)}."
    for title, is_better in (("Worse", False), ("Better", True)):
        part = [_describe_flip(flip) for flip in flips.shown if flip.is_better == is_better]
        lines += ["", f"{title}:", "", *part] if part else []
    return lines


def _describe_flip(flip: Flip) -> str:
    line = f"- {quote(flip.suite, 40)} {quote(flip.id)}"
    if not flip.reference or {flip.base_score, flip.this_score} != {0, 1}:
        line += f", score {flip.base_score:.2g} → {flip.this_score:.2g}"
    if flip.question:
        line += f": {quote(flip.question, 200)}"
    if flip.reference:
        line += "; " + ", ".join(_describe_answers(flip))
    return line


def _describe_answers(flip: Flip) -> Iterator[str]:
    """Yield the texts of reference, base and this branch; equal ones once."""
    sides = {"expected": flip.reference, "base": flip.base, "this branch": flip.this}
    for text in dict.fromkeys(sides.values()):
        yield f"{' and '.join(n for n in sides if sides[n] == text)} {quote(text, 160)}"


def _write_changes(comparison: Comparison) -> list[str]:
    parts = [
        ("Params", shorten_list([*map(_describe_value, comparison.params)], MAX_LINES, "params")),
        ("Data", [*_describe_data(comparison.data)]),
        ("Code", _describe_code(comparison.code)),
        ("Environment", _describe_environment(comparison)),
        (
            "Stages that ran again",
            shorten_list([*map(_describe_stage, comparison.stages)], MAX_LINES, "stages"),
        ),
    ]
    lines = ["### Changes"]
    for title, part in parts:
        lines += ["", f"{title}:", "", *part] if part else []
    unchanged = [title.lower() for title, part in parts if not part]
    return [*lines, "", f"No change: {', '.join(unchanged)}."] if unchanged else lines


def _describe_value(change: ValueChange) -> str:
    base, this = ("absent" if v is None else quote(v) for v in (change.base, change.this))
    return f"- {quote(change.name)}: {base} → {this}"


def _describe_data(data: DataChanges) -> Iterator[str]:
    yield from shorten_list(
        [f"- {quote(file)}: {_describe_lines(*lines)}" for file, *lines in data.sources],
        MAX_LINES,
        "files",
    )
    if data.tests and any(data.tests[:2]):
        added, removed, common = data.tests
        yield f"- test records: {added:,} added, {removed:,} removed, {common:,} in common"
    if data.is_same:
        return
    if data.not_compared:
        yield f"- rows were not compared one by one: {quote(data.not_compared, 300)}"
    rows = [
        (f"{split.split}: {quote(name, 60)}", *(f"{number:,}" for number in numbers))
        for split in data.rows
        for name, numbers in (
            ("all rows", (split.added, split.removed, split.relabelled)),
            *split.by_slice.items(),
        )
    ]
    if rows:
        header = ["prepared rows", "added", "removed", "relabelled"]
        yield from ("", *format_table(header, rows[:MAX_METRICS]))
        yield from ["", f"and {len(rows) - MAX_METRICS:,} more slices"][
            : 2 * (len(rows) > MAX_METRICS)
        ]
    counts = [
        (
            f"{change.split}: {quote(f'{change.kind} {change.value}', 60)}",
            f"{change.base:,}",
            f"{change.this:,}",
        )
        for change in data.counts
    ]
    if counts and not rows:
        yield from (
            "",
            *format_table(["prepared records", "base", "this branch"], counts[:MAX_METRICS]),
        )


def _describe_lines(added: int, removed: int) -> str:
    return "binary" if added < 0 else f"+{added:,} −{removed:,} lines"


def _describe_code(code: Sequence[tuple[str, int, int]]) -> list[str]:
    lines = [f"- {quote(file, 120)}: {_describe_lines(*numbers)}" for file, *numbers in code]
    return shorten_list(lines, MAX_LINES, "files")


def _describe_environment(comparison: Comparison) -> list[str]:
    lines = shorten_list([*map(_describe_value, comparison.libraries)], MAX_LINES, "libraries")
    base, this = comparison.machines
    if base != this and base and this:
        lines.append(f"- machine that trained: {quote(base)} → {quote(this)}")
    return lines


def _describe_stage(stage: StageChange) -> str:
    shown = ", ".join(quote(reason) for reason in stage.reasons[:6])
    more = f" and {len(stage.reasons) - 6} more" if len(stage.reasons) > 6 else ""
    result = "the outputs are the same bytes" if stage.is_same_output else "other outputs"
    return f"- {quote(stage.name)}: {result}; changed: {shown or 'no input'}{more}"


def _write_costs(comparison: Comparison) -> list[str]:
    rows = [(cost.name, cost.base or "–", cost.this or "–") for cost in comparison.costs]
    machines = [quote(machine) if machine else "–" for machine in comparison.machines]
    if any(comparison.machines):
        rows.append(("device of training", machines[0], machines[1]))
    return ["### Cost", "", *format_table(["", "base", "this branch"], rows)] if rows else []
