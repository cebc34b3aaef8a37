"""docs/abtests.md: its commands print what the page shows, on a simulated log."""

import json
import os
import random
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep.abtests.__main__ import main
from lockstep.serving.abtest_routing import assign_variant
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/abtests.md").read_text(encoding="utf-8")
START, DAY = 1_793_577_600.0, 86_400.0  # 2026-11-02, 00:00 UTC
USERS, USERS_PER_DAY = 6000, 400


def simulate_log() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file and the line of a request and the reports of each user."""
    rng = random.Random(1)
    for number in range(USERS):
        user = f"user{number}"
        is_b = assign_variant(user, "example", 0.5) == "b"
        time = START + DAY * number / USERS_PER_DAY
        yield "requests.jsonl", {
            "time": time, "request_id": user, "user": user, "abtest": "example",
            "variant": "b" if is_b else "a", "seconds": rng.expovariate(1.0) + 0.1 * is_b,
            "refused": rng.random() < 0.04, "failed": False,
        }  # fmt: skip
        report = {"time": time + DAY, "user": user}
        if rng.random() < 0.7:
            resolved = rng.random() < 0.6 + 0.1 * is_b
            yield "outcomes.jsonl", report | {"outcome": "resolved", "value": float(resolved)}
        if rng.random() < 0.06:
            amount = 20 + rng.expovariate(0.03)
            yield "outcomes.jsonl", report | {"outcome": "revenue", "value": amount}


def test_make_passes_plan_and_log() -> None:
    command = re.findall(r"`(make abtest .* END=.*)`", PAGE)[0]
    line = subprocess.check_output(
        [*shlex.split(command), "--dry-run"], cwd=REPOSITORY, text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
    ).splitlines()[-1]  # fmt: skip
    assert shlex.split(line) == [
        ".venv/bin/python", "-m", "lockstep.abtests", "--log", "$LOG", "--end", "$END", "$PLAN"
    ]  # fmt: skip


@pytest.mark.parametrize("has_log", [False, True])
def test_the_page_shows_what_the_command_prints(tmp_path: Path, has_log: bool) -> None:
    arguments = [str(REPOSITORY / "docs/abtest.yaml")]
    if has_log:
        lines: dict[str, list[str]] = {}
        for name, line in simulate_log():
            lines.setdefault(name, []).append(json.dumps(line) + "\n")
        for name, texts in lines.items():
            (tmp_path / name).write_text("".join(texts))
        arguments += ["--log", str(tmp_path)]
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    result = CliRunner().invoke(main, arguments)
    assert result.stdout == blocks[has_log]
