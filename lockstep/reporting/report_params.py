"""The section `report` of params.yaml: the title of the report."""

from lockstep.params import Section


class ReportParams(Section):
    """Title of the report."""

    title: str
    """Heading of the page and of the model card."""
