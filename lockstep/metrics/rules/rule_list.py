"""Read the list of rules that a reference holds: our own ones and those of IFEval."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from lockstep.errors import UserError
from lockstep.metrics.rules.contents import (
    Contains,
    ContainsAny,
    Edge,
    Lacks,
    Matches,
    OneOf,
    Postscript,
)
from lockstep.metrics.rules.counts import Count, Letter, Sections, Times
from lockstep.metrics.rules.forms import (
    Case,
    Json,
    Language,
    ParagraphStart,
    Quoted,
    TwoResponses,
)
from lockstep.metrics.rules.ifeval_contents import ContentRule
from lockstep.metrics.rules.ifeval_forms import FormRule

ContentsRule = Contains | ContainsAny | Lacks | Matches | Edge | Postscript | OneOf
CountRule = Count | Times | Letter | Sections
FormsRule = Json | Language | Case | Quoted | ParagraphStart | TwoResponses
Rule = Annotated[
    ContentsRule | CountRule | FormsRule | ContentRule | FormRule, Field(discriminator="rule")
]
_RULES: TypeAdapter[list[Rule]] = TypeAdapter(Annotated[list[Rule], Field(min_length=1)])


@cache
def parse_rules(reference: str) -> Sequence[Rule]:
    """Return the rules of a reference; raise UserError if it is not a list of rules."""
    try:
        return _RULES.validate_json(reference)
    except ValidationError as error:
        raise UserError(
            f"the reference is not a list of rules: {_describe(error)}; correct it "
            "(docs/evaluation.md lists the rules)"
        ) from None


def _describe(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "union_tag_invalid":
        message = f"there is no rule {first['ctx']['tag']}"
    return f"{place and place + ': '}{message[:1].lower()}{message[1:]}"
