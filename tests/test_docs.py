"""Links, stages, commands, parameters, metrics and files in the documentation exist."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from lockstep import params
from lockstep.cli import params_reference
from lockstep.cli.sections import Parameters
from lockstep.metrics.metric_display import sort_metrics
from lockstep.metrics.registry import DEFAULT_METRICS, METRICS
from lockstep.metrics.rules.rule_list import Rule
from lockstep.predicting import perturbations
from lockstep.training.adapters import build_adapter_config
from lockstep.training.train_params import Objective, Strategy, TrainParams
from tests.conftest import REPOSITORY

READMES = ("README.md", "README.zh.md")
PAGES = (*READMES, *sorted(f"docs/{file.name}" for file in (REPOSITORY / "docs").glob("*.md")))
REAL: dict[str, Any] = params.parse(REPOSITORY / "params.yaml")
KEYS = {key.path: key for key in params_reference.list_keys()}
SECTIONS = {path.partition(".")[0] for path in KEYS}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def read_page(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def list_blocks(page: str, *languages: str) -> list[str]:
    """Return the fenced code blocks of a page in one of the languages."""
    return [block for name, block in _FENCE.findall(read_page(page)) if name in languages]


def list_inline_code(page: str) -> list[str]:
    return _INLINE.findall(_FENCE.sub("", read_page(page)))


def list_code(page: str) -> list[str]:
    """Return all code of a page: inline code, and the lines of its shell blocks."""
    return [*list_inline_code(page), *"\n".join(list_blocks(page, "sh", "")).splitlines()]


def list_table(page: str, first_cell: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this title, without its header."""
    lines = read_page(page).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def make_anchor(heading: str) -> str:
    """Return GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def is_key(path: str) -> bool:
    """Whether a dotted path is a key of params.yaml, or lies in a mapping whose keys are free."""
    names = path.split(".")
    for number in range(1, len(names) + 1):
        key = KEYS.get(".".join(names[:number]))
        if key is None:
            return False
        if key.values == "mapping" and not key.is_section:
            return True
    return True


def is_in_file(path: str) -> bool:
    """Whether a dotted path is a key in params.yaml itself."""
    values: Any = REAL
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def merge_changes(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the values with changes to keys at any depth; lists are replaced."""
    result = dict(values)
    for name, change in changes.items():
        old = result.get(name)
        is_merged = isinstance(change, dict) and isinstance(old, dict)
        result[name] = merge_changes(old, change) if is_merged else change
    return result


def test_readme_shows_the_stages_of_dvc_yaml() -> None:
    stages = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")["stages"]
    assert list_table("README.md", "stage") == [
        [name, entry["desc"]] for name, entry in stages.items()
    ]
    assert [row[0] for row in list_table("README.zh.md", "阶段")] == list(stages)


def test_both_readmes_show_the_same_commands_and_results() -> None:
    def strip_comments(page: str) -> list[str]:
        return [re.sub(r"\s*#.*", "", block, flags=re.MULTILINE)
                for block in list_blocks(page, "", "sh", "yaml")]  # fmt: skip

    assert strip_comments("README.md") == strip_comments("README.zh.md")
    assert [row[0] for row in list_table("README.md", "path")] == [
        row[0] for row in list_table("README.zh.md", "路径")
    ]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(page: str) -> None:
    for link in _LINK.findall(read_page(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(make_anchor, headings), link


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE))
    target = re.compile(r"\bmake ([a-z]+(?:-[a-z]+)*)\b")
    named = {match[1] for code in list_code(page) for match in target.finditer(code)}
    assert named <= targets


def test_every_make_target_that_users_need_is_documented() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE):
        if target not in ("setup", "repro", "format"):  # `make` and `make lint` are documented
            pages = [page for page in PAGES if f"make {target}" in " ".join(list_code(page))]
            assert pages, target


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_exist(page: str) -> None:
    for code in list_code(page):
        for path in re.findall(
            r"(?<![\w./-])((?:lockstep|stages|tests|benchmarks)/[\w/.-]*)", code
        ):
            assert (REPOSITORY / path.rstrip(".")).exists(), path
        for module in re.findall(r"python -m ((?:lockstep|stages|benchmarks)[\w.]*)", code):
            assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", PAGES)
def test_names_that_a_page_places_in_a_file_are_there(page: str) -> None:
    """An example is "`METRICS` in `lockstep/metrics/registry.py`"."""
    pattern = r"`(\w+)` (?:in|of) `((?:lockstep|stages|tests)/[\w/]+\.py)`"
    for name, path in re.findall(pattern, " ".join(read_page(page).split())):
        assert re.search(rf"\b{name}\b", read_page(path)), f"{name} in {path}"


@pytest.mark.parametrize("page", PAGES)
def test_keys_of_params_yaml_exist(page: str) -> None:
    pattern = rf"(?<![\w./])((?:{'|'.join(sorted(SECTIONS))})(?:\.[a-z_]+)+)"
    for code in list_inline_code(page):
        for path in re.findall(pattern, code):
            is_file = path.endswith((".jsonl", ".json", ".md", ".yaml", ".csv", ".py"))
            assert is_file or is_key(path), path


@pytest.mark.parametrize("page", PAGES)
def test_experiments_set_keys_that_dvc_accepts(page: str) -> None:
    """DVC sets a key that params.yaml contains; any other key needs a + before it."""
    for code in list_code(page):
        for plus, path in re.findall(r"-S [\"']?(\+?)([a-z_.]+)=", code):
            assert is_key(path), path
            assert is_in_file(path) == (not plus), path


def iterate_yaml_blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(list_blocks(page, "yaml")):
            if re.match(r"\w+", block)[0] in SECTIONS:  # type: ignore[index]
                yield pytest.param(block, id=f"{page}-{number}")


@pytest.mark.parametrize("block", [*iterate_yaml_blocks()])
def test_yaml_blocks_are_valid_changes_of_params_yaml(block: str) -> None:
    changes = YAML(typ="safe", pure=True).load(block)
    Parameters.model_validate(merge_changes(REAL, changes))


def test_each_block_of_adapter_options_is_accepted_by_its_strategies() -> None:
    lines = "".join(list_blocks("docs/training.md", "yaml")).splitlines()
    documented = set()
    for line in (line for line in lines if line.startswith("adapter: ")):
        options, _, strategies = line.removeprefix("adapter: ").partition("#")
        for strategy in strategies.strip().split(", "):
            values = {
                **REAL["train"],
                "sft": {},
                "strategy": strategy,
                "adapter": YAML(typ="safe", pure=True).load(options),
            }
            assert build_adapter_config(TrainParams.model_validate(values), Path("base"))
            documented.add(strategy)
    assert documented == {*get_args(Strategy)} - {"full", "freeze", "ia3"}  # they need no options


def test_tables_name_every_objective_and_strategy() -> None:
    for title, names in (("objective", Objective), ("strategy", Strategy)):
        cells = " ".join(row[0] for row in list_table("docs/training.md", title))
        assert sorted(_INLINE.findall(cells)) == sorted(get_args(names))


def test_the_table_of_answer_forms_has_their_metrics() -> None:
    rows = {row[0].strip("`"): row for row in list_table("docs/evaluation.md", "`answer`")}
    assert rows.keys() == METRICS.keys()
    for form, (_, _, default, further) in rows.items():
        if default == "as `choice`":
            assert further == default and METRICS[form] == METRICS["choice"]
            continue
        names = DEFAULT_METRICS[form]  # type: ignore[index]
        assert [*_INLINE.findall(default)] == [*names]
        main = re.findall(r"\*\*`(\w+)`\*\*", default)
        assert main == sort_metrics(names)[:1]
        assert set(_INLINE.findall(further)) - {"schema_valid"} == METRICS[form].keys() - {*names}


def test_the_table_of_rules_is_complete() -> None:
    tables = (list_table("docs/evaluation.md", title) for title in ("`rule`", "IFEval's `rule`"))
    cells = " ".join(row[0] for table in tables for row in table)
    kinds = [cls.model_fields["rule"] for cls in get_args(get_args(Rule)[0])]
    assert sorted(_INLINE.findall(cells)) == sorted(
        name for field in kinds for name in get_args(field.annotation)
    )


def test_the_table_of_perturbations_is_complete() -> None:
    cells = [
        row[0].strip("`") for row in list_table("docs/evaluation.md", "perturbation in `kinds`")
    ]
    assert sorted(cells) == sorted(get_args(perturbations.Kind))


def test_each_change_is_one_line() -> None:
    changes = read_page("CHANGELOG.md").partition("### Changes\n")[2]
    for line in changes.splitlines():
        assert line == "" or line.startswith(("- ", "## ")), line
