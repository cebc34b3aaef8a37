"""Give the base the chat template that params.yaml asks for."""

import json
from pathlib import Path

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub.base_params import PROJECT_TEMPLATES, BaseParams
from lockstep.hub.local_folder import CHAT_TEMPLATES
from lockstep.models import loading
from lockstep.models.template_adaptation import TemplateOptions

TEMPLATE_FILE = "chat_template.jinja"
"""File of the default template, as transformers names it."""


def read_template_options(base: BaseParams) -> TemplateOptions:
    """Return the template, its variables and the date that params.yaml sets.

    Raise UserError if the file of the template cannot be read.
    """
    return TemplateOptions(
        template=_read_template(base.chat_template) if base.chat_template else None,
        variables=base.template_options,
        date=base.template_date,
    )


def write_template(folder: Path, base: BaseParams) -> None:
    """Write the adapted chat template into a model folder, if it differs from the folder's own."""
    original = loading.load_pretrained_tokenizer(folder).chat_template
    adapted = loading.load_tokenizer(folder, read_template_options(base)).pretrained.chat_template
    if adapted == original:
        return
    templates = adapted if isinstance(adapted, dict) else {"default": adapted}
    outputs.remove(folder / CHAT_TEMPLATES)  # transformers would add them to the new template
    for name, text in templates.items():
        path = folder / TEMPLATE_FILE
        if name != "default":
            path = folder / CHAT_TEMPLATES / f"{name}.jinja"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a hard link to the user's own file
        path.write_text(text, encoding="utf-8")
    _remove_old_template(folder / "tokenizer_config.json")


def _remove_old_template(path: Path) -> None:
    """Remove the template from tokenizer_config.json, where older folders have it."""
    config = json.loads(path.read_bytes()) if path.exists() else {}
    if config.pop("chat_template", None) is not None:
        path.unlink()
        outputs.write_json(path, config)


def _read_template(name: str) -> str:
    """Return the text of one of the project's templates or of a file."""
    if name in PROJECT_TEMPLATES:
        return (Path(__file__).parent / f"templates/{name}.jinja").read_text(encoding="utf-8")
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        reason = str(error.strerror).lower()
    except ValueError as error:  # not UTF-8, or no path
        reason = str(error)
    else:
        reason = "" if text.strip() else "the file is empty"
    if reason:
        raise UserError(
            f"params.yaml: base.chat_template: {name}: {reason}; name a template file, or one of "
            f"{', '.join(PROJECT_TEMPLATES)}"
        )
    return text
