"""List the files of an export with their sizes, and write or upload them with --go.

`folder` is the model as transformers and vLLM load it, `ollama` a GGUF file with its Modelfile,
`hub` the files of `folder` in a repository on the Hugging Face Hub. docs/deploy.md describes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.errors import UserError, exit_on_mistake
from lockstep.hub.base_params import BaseParams
from lockstep.hub.local_folder import CONFIG
from lockstep.models import heads
from lockstep.models.gguf_folder import is_gguf_folder
from lockstep.params import Section
from lockstep.publishing import (
    export_plan,
    exported_card,
    hub_upload,
    licences,
    lineage,
    ollama_form,
)
from lockstep.publishing.export_plan import CARD_FILE, ExportFile
from lockstep.reporting.evaluation_results import read_results
from lockstep.reporting.report_params import ReportParams
from lockstep.statistics.stage_results import read_json

DATA, REPORTS = Path("data"), Path("reports")
BASE, DATA_CARD = DATA / "base", DATA / "prepared/card.json"
REPORT_CARD, DETAILS = REPORTS / "model-card.md", REPORTS / "details.json"
MAX_PATHS = 5
"""Maximum number of paths in a message."""
STAGES = {BASE: "base", DATA_CARD: "prepare", DETAILS: "evaluate", REPORT_CARD: "report"}
"""Files that every export needs, and the stages that write them."""


class Params(Section):
    """Sections of params.yaml that an export reads."""

    base: BaseParams
    report: ReportParams


@dataclass(frozen=True, slots=True)
class Request:
    """The options of one export."""

    to: str
    form: Path
    """Model folder that leaves."""
    out: Path
    """Folder that is written; unused for the hub."""
    repository: str
    private: bool

    def list_missing_files(self) -> Iterator[str]:
        """Yield a problem for each file that an export needs and that is missing."""
        stage = {"merged": "merge", "quantized": "quantize"}[self.form.name]
        for path, name in {self.form: stage, **STAGES}.items():
            if not path.exists():
                yield f"{path}: not found; run `dvc repro {name}`"

    def check(self, origin: lineage.Lineage) -> Iterator[str]:
        """Yield the problems of the settings and of the clone."""
        if self.to == "hub":
            yield from hub_upload.check_settings(self.repository)
        if self.to == "ollama":
            yield from ollama_form.check_source(self.form)
        if stale := sorted(set(lineage.list_stale_paths())):
            yield (
                f"dvc.lock: does not match {_join(stale)}; run `dvc repro`, so that the model is "
                "what the commit makes"
            )
        if self.to == "hub" and origin.changes:
            yield (
                f"git: uncommitted changes in {_join(origin.changes)}; commit them, since the card "
                "names the commit"
            )


@click.command(help=__doc__)
@click.argument("to", type=click.Choice(["folder", "ollama", "hub"]))
@click.option("--source", type=click.Choice(["merged", "quantized"]), help="folder in data/")
@click.option("--out", type=click.Path(path_type=Path), help="default: build/export/TO")
@click.option("--repository", default="", help="hub: owner/name")
@click.option("--private/--public", default=True, help="hub: visibility of the repository")
@click.option("--go", is_flag=True, help="write or upload; without it, only list")
def main(
    to: str, source: str | None, out: Path | None, repository: str, private: bool, go: bool
) -> None:
    form = DATA / (source or _choose_source(to))
    request = Request(to, form, out or Path("build/export", to), repository, private)
    export_plan.fail([*request.list_missing_files()])
    settings = params.read(Params)
    origin = lineage.read_lineage(form, settings.base)
    problems = [*request.check(origin)]
    files: list[ExportFile] = []
    try:
        files = _list_files(request, settings, origin)
    except UserError as error:
        problems.append(error.message)
    export_plan.print_files(files)
    export_plan.fail([*problems, *_check_files(request, files)])
    target = repository if to == "hub" else str(request.out)
    if not go:
        click.echo(f"dry run: nothing was written; GO=1 writes these files to {target}", err=True)
    elif to == "hub":
        message = f"Upload {form.name} model of commit {origin.commit[:12]}"
        click.echo(hub_upload.upload(repository, private, files, message))
    else:
        _write_folder(request, settings, origin, files)
        click.echo(f"export: wrote {target}", err=True)


def _choose_source(to: str) -> str:
    """Return the folder that leaves by default: the quantized one if the target can read it."""
    can_read = to != "ollama" or is_gguf_folder(DATA / "quantized")
    return "quantized" if can_read else "merged"


def _list_files(request: Request, settings: Params, origin: lineage.Lineage) -> list[ExportFile]:
    """Return the files of the export, with the card."""
    if request.to == "ollama":
        licence = licences.read_base_licence(BASE, settings.base)
        files = ollama_form.list_files(request.form, ", ".join(licence.names))
    else:
        files = export_plan.list_form(request.form)
    return [_write_card(request, settings, origin, files), *files]


def _write_card(
    request: Request, settings: Params, origin: lineage.Lineage, files: Sequence[ExportFile]
) -> ExportFile:
    """Return the card of the export, which lists the other files."""
    text = exported_card.write_card(
        REPORT_CARD.read_text(encoding="utf-8"),
        settings.report.title,
        request.form.name,
        read_results(DETAILS),
        licences.read_base_licence(BASE, settings.base),
        [*licences.list_data_licences(read_json(DATA_CARD))],
        origin,
        [(file.name, file.size) for file in files],
        _describe_usage(request),
    )
    return ExportFile(CARD_FILE, text)


def _describe_usage(request: Request) -> str:
    """Return sentences on what loads the files, and on how they differ from the scored ones."""
    if is_gguf_folder(request.form):
        return "llama.cpp and Ollama load `model.gguf`."
    if request.to == "ollama":
        return (
            "Its weights were converted to Q8_0 after the evaluation: the results are those before "
            "the conversion. llama.cpp and Ollama load `model.gguf`."
        )
    config = outputs.read_json(request.form / CONFIG)
    kind = "Seq2SeqLM" if config.get("is_encoder_decoder") else "CausalLM"
    if heads.read_head(request.form):
        kind = "SequenceClassification"
    library = config.get("quantization_config", {}).get("quant_method")
    needs = f"; it needs {library}" if library else ""
    return f"Load it with `transformers.AutoModelFor{kind}.from_pretrained`{needs}."


def _check_files(request: Request, files: Sequence[ExportFile]) -> Iterator[str]:
    """Yield the problems of the files and of their target."""
    if request.to != "hub":
        yield from export_plan.check_target(request.out, sum(file.size for file in files))
    yield from export_plan.find_private_texts(files)


def _join(paths: Sequence[str]) -> str:
    """Return the first paths as part of a sentence."""
    return ", ".join(paths[:MAX_PATHS]) + (" …" if paths[MAX_PATHS:] else "")


def _write_folder(
    request: Request, settings: Params, origin: lineage.Lineage, files: Sequence[ExportFile]
) -> None:
    """Write the export into its folder; the GGUF file comes first, since the card has its size."""
    with outputs.atomic_folder(request.out) as partial:
        if any(file.estimate for file in files):
            made = ollama_form.convert(request.form, partial)
            others = [made if file.estimate else file for file in files[1:]]
            files = [_write_card(request, settings, origin, others), *others]
            export_plan.fail([*export_plan.find_private_texts(files)])
        export_plan.write_files(files, partial)


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
