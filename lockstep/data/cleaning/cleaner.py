"""Text cleaning in named steps that change prose and leave everything else unchanged.

Code, JSON, URLs, formulas and markup that is content stay byte for byte (see protected_text for the
rules), with three exceptions that are wanted: `invisible` ends every line of a text with a single
newline, `boilerplate` deletes what its patterns match wherever it stands, and `personal_data` masks
personal data wherever it stands (in JSON, a number becomes a string, so that it stays valid JSON).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator

from lockstep.data import personal_data
from lockstep.data.cleaning import markup, punctuation, whitespace, wrong_encoding
from lockstep.data.cleaning.protected_text import PLACEHOLDER, ProtectedText, protect_text


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression."""

Step = Literal[
    "encoding",
    "unicode",
    "invisible",
    "html",
    "width",
    "punctuation",
    "boilerplate",
    "personal_data",
    "space",
]
"""Name of a cleaning step."""

Role = Literal["system", "user", "assistant", "reasoning", "text", "tool", "arguments"]
"""Kind of text that has its own cleaning steps: the content of a message by its role, reasoning, a
row of the format `text`, and the arguments of tool calls."""

PROSE_ROLES: tuple[Role, ...] = ("system", "user", "assistant", "reasoning", "text")
"""Roles to which a plain list of steps applies; results of tools and arguments are data."""
_ROLES_WITHOUT_CONTENT_TAGS = ("user", "text")
"""Roles whose formatting tags are removed."""


def _check_steps(steps: Any) -> Any:
    """Return the steps; raise ValueError, in one line, if they are not known ones."""
    lists = steps if isinstance(steps, dict) else {"user": steps}
    if not all(isinstance(names, list) for names in lists.values()):
        raise ValueError("must be a list of steps, or a list of steps for each role")
    for kind, known, names in (
        ("role", get_args(Role), list(lists)),
        ("step", get_args(Step), list(chain.from_iterable(lists.values()))),
    ):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no {kind}; known: {', '.join(known)}")
    return steps


Steps = Annotated[list[Step] | dict[Role, list[Step]], BeforeValidator(_check_steps)]
"""Cleaning steps for all text that people and models write, or for each role that is named."""


def list_steps(steps: Steps, defaults: Steps | None = None) -> dict[Role, list[Step]]:
    """Return the steps of each role; a role that `steps` does not name has those of `defaults`."""
    if isinstance(steps, list):
        return dict.fromkeys(PROSE_ROLES, steps)
    return {**(list_steps(defaults) if defaults is not None else {}), **steps}


_CLEAN = re.compile(
    r"[A-Za-z,.!?;:'\"()-]++(?: [A-Za-z,.!?;:'\"()-]++)*+"
    r"|[\u4e00-\u9fff][\u4e00-\u9fff，。！？；：]*+"
)
"""Text that no step except `boilerplate` can change; most texts match and skip all steps."""

_IS_NEEDED: dict[Step, Callable[[str], bool]] = {
    "encoding": wrong_encoding.may_be_wrong,
    "unicode": lambda text: not unicodedata.is_normalized("NFC", text),
    "invisible": whitespace.has_invisible,
    "html": markup.has_markup,
    "width": punctuation.has_wide_alphanumerics,
    "punctuation": punctuation.has_doubtful_punctuation,
    "space": whitespace.is_untidy,
}
"""Quick checks for the steps that change prose only: False means that a step changes nothing."""


def _repair_encoding(protected: ProtectedText) -> str:
    """Repair each part of the prose by itself, since a placeholder would hide all damage."""
    parts = re.split(f"({PLACEHOLDER.pattern})", protected.prose)
    return "".join(map(wrong_encoding.repair_encoding, parts))


def _compose_characters(protected: ProtectedText) -> str:
    """Compose characters (Unicode normalization form NFC)."""
    return unicodedata.normalize("NFC", protected.prose)


def _remove_html(protected: ProtectedText) -> str:
    """Remove formatting tags, and replace entities unless a tag stays."""
    prose = markup.remove_tags(protected.prose)
    return prose if protected.keeps_markup else markup.replace_entities(prose)


_PROSE_STEPS: dict[Step, Callable[[ProtectedText], str]] = {
    "encoding": _repair_encoding,
    "unicode": _compose_characters,
    "invisible": lambda protected: whitespace.remove_invisible(protected.prose),
    "html": _remove_html,
    "width": lambda protected: punctuation.narrow_alphanumerics(protected.prose),
    "punctuation": lambda protected: punctuation.unify_punctuation(protected.prose, protected.text),
    "space": lambda protected: whitespace.collapse_space(protected.prose),
}
"""Steps that change prose only; each returns the prose with its placeholders."""


class Cleaner:
    """Applies the cleaning steps of each role in a given order."""

    def __init__(
        self, steps: list[Step] | Mapping[Role, list[Step]], boilerplate: list[str]
    ) -> None:
        """Create a cleaner; a plain list of steps applies to all text but tools' results and
        arguments."""
        self.steps = list_steps(steps) if isinstance(steps, list) else dict(steps)
        self._patterns = [re.compile(pattern, re.MULTILINE) for pattern in boilerplate]
        self._patterns_of_role = {
            role: self._patterns for role, steps in self.steps.items() if "boilerplate" in steps
        }

    def clean(self, text: str, role: Role = "user") -> tuple[str, set[Step]]:
        """Return the cleaned text and the steps that changed it.

        The steps are repeated until none changes the text, since a step may produce something
        that an earlier one removes. Cleaning twice equals cleaning once.
        """
        changed: set[Step] = set()
        steps = self.steps.get(role, [])
        while steps and not self.is_clean(text, role):
            before = text
            text = self._apply_steps(steps, text, role, changed)
            if text == before:
                break
        return text, changed

    def _apply_steps(self, steps: list[Step], text: str, role: Role, changed: set[Step]) -> str:
        """Return the text after each step; add the steps that changed it to `changed`."""
        if "\r" in text and "invisible" in steps:
            text = whitespace.unify_line_ends(text)
            changed.add("invisible")
        strip_tags = "html" in steps and role in _ROLES_WITHOUT_CONTENT_TAGS
        protected: ProtectedText | None = None
        for step in steps:
            if step == "boilerplate":
                after = self._delete_boilerplate(text)
            elif step == "personal_data":
                after = personal_data.mask_personal_data(text)
            elif _IS_NEEDED[step](text):
                if protected is None or protected.text != text:
                    protected = protect_text(text, strip_tags=strip_tags)
                after = protected.restore(_PROSE_STEPS[step](protected))
            else:
                continue
            if after != text:
                changed.add(step)
                text = after
        return text

    def _delete_boilerplate(self, text: str) -> str:
        """Delete every match of the patterns."""
        for pattern in self._patterns:
            text = pattern.sub("", text)
        return text

    def is_clean(self, text: str, role: Role = "user") -> bool:
        """Whether a quick check shows that no step changes the text.

        False means that the check cannot tell, also for an empty text.
        """
        if not _CLEAN.fullmatch(text):
            return False
        for pattern in self._patterns_of_role.get(role, ()):  # noqa: SIM110  # a generator is slow
            if pattern.search(text):
                return False
        return True

    def guess_wrong_encoding(self, text: str, role: Role) -> str | None:
        """Return the likely encoding of text that was decoded wrongly and cannot be repaired."""
        if "encoding" not in self.steps.get(role, []) or not wrong_encoding.may_be_wrong(text):
            return None
        return wrong_encoding.guess_encoding(text)
