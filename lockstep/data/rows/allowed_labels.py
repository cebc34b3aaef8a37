"""The labels that a source allows, and their spelling."""

import difflib

from lockstep.data.cleaning.cleaner import Cleaner
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.sources import Source
from lockstep.records import Message, dump_json, parse_labels


class AllowedLabels:
    """The labels of the file that `labels` of a source names; without one, all are allowed."""

    def __init__(self, names: frozenset[str] | None, source: Source, cleaner: Cleaner) -> None:
        self.names = names and {name.strip() for name in names}
        self.source, self.cleaner = source, cleaner
        self.spellings = {self._clean(name): name for name in self.names or ()}

    def spell(self, answer: Message) -> Message:
        """Return the labels, in the spelling of the allowed ones that equal them after cleaning."""
        row_fields.check_all_texts(answer["content"])
        labels = parse_labels(answer["content"])
        if self.names is None or self.names >= {*labels}:
            return answer
        spelled = [self.spellings.get(self._clean(label), label) for label in labels]
        is_list = self.source.format == "multi_label"
        content = dump_json(sorted({*spelled})).decode() if is_list else spelled[0]
        return {**answer, "content": content}

    def check(self, answer: str) -> None:
        """Raise InvalidRowError for a label that is not allowed, with the most similar one."""
        if self.names is None or self.names >= set(parse_labels(answer)):
            return
        label = next(label for label in parse_labels(answer) if label not in self.names)
        nearest = difflib.get_close_matches(label, sorted(self.names), n=1)
        question = f"; did you mean {nearest[0]}?" if nearest else ""
        raise InvalidRowError(
            "unknown_label",
            detail=f"{show_value(label)} is not in {self.source.labels}{question}",
        )

    def _clean(self, label: str) -> str:
        return self.cleaner.clean(label, "assistant")[0]
