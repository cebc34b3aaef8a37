"""The section `report` of params.yaml: what the report is called."""

from lockstep.params import Section


class ReportParams(Section):
    """What the report is called."""

    title: str
    """Heading of the page and of the model card."""
