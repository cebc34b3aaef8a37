"""Undeclared reads, writes and sockets of a stage are found."""

import pytest

from lockstep.verify import accesses
from lockstep.verify.accesses import Access, Declaration

DECLARATION = Declaration(
    frozenset({"data/raw", "params.yaml"}),
    frozenset({"data/out"}),
    frozenset({"stages/prepare.py"}),
    may_connect=False,
)


@pytest.mark.parametrize(
    ("event", "subject", "callers", "expected"),
    [
        ("read", "data/raw/a.csv", (), ""),
        ("read", "data/rawer.csv", (), "reads data/rawer.csv, which is no dep"),
        ("write", "data/raw/a.csv", (), "writes data/raw/a.csv, which is no out"),
        ("write", "data/.out.partial/a.csv", (), ""),
        ("read", "data/out/a.csv", (), ""),
        ("write", "data", (), ""),
        ("write", ".scratch/train/step-1", (), ""),
        ("read", "stages/train.py", ("lockstep/cli/runner.py", "stages/prepare.py"), ""),
        ("read", "stages/rows.py", ("stages/train.py", "lockstep/cli/runner.py"), ""),
        ("read", "stages/train.py", ("stages/prepare.py", "lockstep/cli/runner.py"),
            "reads stages/train.py, which is no dep"),
        ("read", "reports/timings/train.json", (), "reads reports/timings/train.json, which is no"
            " dep"),
        ("socket", "socket.bind ('::1', 0)", (), ""),
        ("socket", "socket.bind ('::', 0)", (), "opens a socket: socket.bind ('::', 0)"),
    ],
)  # fmt: skip
def test_each_rule_allows_or_names_an_access(
    event: str, subject: str, callers: tuple[str, ...], expected: str
) -> None:
    log = [Access(event, subject, callers, 0.0), Access("end", "", (), 1.0)]
    assert accesses.find_undeclared(log, DECLARATION) == ([expected] if expected else [])


def test_a_stage_that_was_not_observed_is_reported() -> None:
    (line,) = accesses.find_undeclared([], DECLARATION)
    assert line.startswith("was not observed")
