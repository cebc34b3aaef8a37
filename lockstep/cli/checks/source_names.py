"""Names that `prepare.sources` defines: tasks, tasks with labels, slices."""

from collections.abc import Collection
from dataclasses import dataclass

from lockstep.data.rows.field_synonyms import REJECT_REASON
from lockstep.data.source_formats import LABELLED_FORMATS
from lockstep.data.sources import Source
from lockstep.suites import Suite


@dataclass(frozen=True, slots=True)
class SourceNames:
    """Names that other sections may refer to."""

    sources: Collection[Source]

    @property
    def tasks(self) -> set[str]:
        """Tasks that the sources name."""
        return {source.task for source in self.sources}

    @property
    def labelled_tasks(self) -> set[str]:
        """Tasks whose answers are labels."""
        return {source.task for source in self.sources if source.format in LABELLED_FORMATS}

    @property
    def slices(self) -> set[str]:
        """Slices of any source; preferences may have the reason against an answer."""
        names = {name for source in self.sources for name in source.slices}
        if any(source.format == "preference" for source in self.sources):
            names.add(REJECT_REASON)
        return names

    @property
    def allows_any_task(self) -> bool:
        """Whether any task may occur, because a column names the task of each row."""
        return any(source.sets("task") for source in self.sources)

    @property
    def allows_any_labelled_task(self) -> bool:
        """Whether any task may have labels, because a column names the task of labelled rows."""
        return any(
            source.sets("task") and source.format in LABELLED_FORMATS for source in self.sources
        )

    def find_unknown_tasks(self, tasks: Collection[str]) -> list[str]:
        """Return the tasks that no source can have."""
        return [] if self.allows_any_task else [task for task in tasks if task not in self.tasks]

    def list_suite_tasks(self, suites: Collection[Suite]) -> set[str]:
        """Return the tasks of the suites; without suites all tasks, since each may become one."""
        return {suite.task for suite in suites} or self.tasks

    def find_unknown_suites(self, suites: Collection[Suite], tasks: Collection[str]) -> list[str]:
        """Return the tasks that no suite can have."""
        if not suites:
            return self.find_unknown_tasks(tasks)
        return [task for task in tasks if task not in self.list_suite_tasks(suites)]


def list_known(names: Collection[str]) -> str:
    """Return "known: a, b" for the end of a message."""
    return f"known: {', '.join(sorted(names)) or 'none'}"
