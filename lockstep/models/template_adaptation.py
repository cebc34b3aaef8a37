"""Adapt a chat template so that its text depends on the conversation alone.

Values are set in the template itself, not passed to it: whoever renders it, a server included,
gets the prompts that the model was trained on.
"""

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.errors import UserError
from lockstep.models.chat_template import TEMPLATE_ERRORS

_DATE_CALL = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<format>.*?)(?P=quote)\s*\)")
"""A call by which a template writes today's date."""

_DATE_MACRO = "{%- macro strftime_now("
"""Beginning of the macro that replaces today's date."""

PASSED_VARIABLES = ("messages", "tools", "documents", "add_generation_prompt")
"""Variables that transformers passes to every template, so another value would have no effect."""

_JOIN_SYSTEM = """\
{%- if messages[0]['role'] == 'system' and messages|length > 1 and messages[1]['role'] == 'user' %}\
{%- set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + \
messages[1]['content']}] + messages[2:] %}\
{%- endif %}
"""
"""Write the system message in front of the first user message, as Gemma's documentation says."""


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Values for a chat template."""

    template: str | None = None
    """Template that replaces the tokenizer's own; None keeps it."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the template, such as {"enable_thinking": False}."""
    date: datetime.date = datetime.date(2024, 7, 26)
    """Date that a template writes instead of today's; by default the one of Llama 3's template."""


DEFAULT_TEMPLATE_OPTIONS = TemplateOptions()


def adapt_tokenizer(pretrained: Any, options: TemplateOptions) -> None:
    """Adapt all chat templates of a tokenizer of transformers in place.

    Raise UserError if a variable has no effect.
    """
    templates = pretrained.chat_template if options.template is None else options.template
    if isinstance(templates, dict):
        adapted = {name: adapt_template(text, options) for name, text in templates.items()}
        pretrained.chat_template = {
            name: _add_system_message(pretrained, text) for name, text in adapted.items()
        }
    elif templates:
        adapted_template = adapt_template(templates, options)
        pretrained.chat_template = _add_system_message(pretrained, adapted_template)
    elif options.variables:
        raise UserError(
            "params.yaml: base.template_options: the base has no chat template to read them; set "
            "base.chat_template, or leave them out"
        )


def adapt_template(template: str, options: TemplateOptions) -> str:
    """Return a template whose variables and date are set; equal if there is nothing to set.

    A caller that passes a variable still decides. Raise UserError if the template does not read a
    variable, or if it computes the format of a date.
    """
    if options.variables:
        _check_variables(options.variables, template)
    lines = []
    for name, value in options.variables.items():
        lines.append(
            f"{{%- set {name} = {name} if {name} is defined else {_format_literal(value)} %}}\n"
        )
    if "strftime_now" in template and _DATE_MACRO not in template:
        lines.append(_define_date(template, options.date))
    return "".join(lines) + template


def _check_variables(names: Iterable[str], template: str) -> None:
    """Raise UserError for a variable that has no effect on the template."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import _get_template_variables

    try:
        read = _get_template_variables(template)
    except TemplateError:
        return  # the check of the template reports what is wrong
    for name in names:
        reason = "" if name in read else "the base's chat template does not read it"
        if name in PASSED_VARIABLES:
            reason = "every template gets its value from the record"
        if reason:
            raise UserError(f"params.yaml: base.template_options: {name}: {reason}; leave it out")


def _define_date(template: str, fixed_date: datetime.date) -> str:
    """Return a macro that hides the function for today's date."""
    calls = template.count("strftime_now(")
    formats = sorted({match["format"] for match in _DATE_CALL.finditer(template)})
    if calls != len(_DATE_CALL.findall(template)):
        raise UserError(
            "params.yaml: base.chat_template: the template computes the format of today's date, so "
            "the date cannot be fixed; set it to a copy that has a date instead of strftime_now"
        )
    dates = {text: fixed_date.strftime(text) for text in formats}
    return f"{_DATE_MACRO}format) %}}{{{{ {_format_literal(dates)}[format] }}}}{{%- endmacro %}}\n"


def _add_system_message(pretrained: Any, template: str) -> str:
    """Return a template that takes a system message, by adapting one that does not."""
    from jinja2 import TemplateError

    system = "Answer in one word."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Where?"}]
    try:
        text = pretrained.apply_chat_template(messages, chat_template=template, tokenize=False)
    except (TemplateError, *TEMPLATE_ERRORS):
        text = ""
    if system in text:
        return template
    joined = _JOIN_SYSTEM + template
    try:
        text = pretrained.apply_chat_template(messages, chat_template=joined, tokenize=False)
    except (TemplateError, *TEMPLATE_ERRORS):
        return template  # the check of the template reports what is wrong
    return joined if system in text else template


def _format_literal(value: Any) -> str:
    """Return a value of YAML as a literal of Jinja."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
