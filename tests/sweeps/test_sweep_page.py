"""The page of a sweep has a chart for each parameter, with its series in ascending order."""

import re
from pathlib import Path

from lockstep.sweeps import run_summary, settings_table, sweep_page
from tests.sweeps.test_settings_table import make_run


def test_the_page_has_charts_and_tells_how_to_take_the_best(tmp_path: Path) -> None:
    runs = [
        make_run(0.5 + rate + rank / 1000, r=rank, rate=rate, size=10**6 * (1 + (rank == 64)))
        for rank in (8, 16, 64)
        for rate in (0.1, 0.2)
    ]
    summary = run_summary.summarize_runs(runs, {"<r=9>": "failed"}, None, "intent")
    sweep_page.write_page("Sweep of r & rate", "abc1234", summary, tmp_path / "pages/a.html")
    page = (tmp_path / "pages/a.html").read_text()
    assert page.count("<svg") == 3, "rank, rate and size; no run was timed"
    assert re.findall(r"<text[^>]*>(r=\d+)</text>", page) == ["r=8", "r=16", "r=64"]
    assert "<code>dvc exp apply 0.764-7</code>" in page
    assert "Sweep of r &amp; rate" in page and "&lt;r=9&gt;: failed" in page
    assert "color-scheme" in page, "the style of the report"


def test_settings_of_one_size_have_no_chart_of_it() -> None:
    runs = [make_run(0.5, size=6_342_037, r=8), make_run(0.6, size=6_342_041, r=16)]
    comparison = settings_table.compare_settings(runs, None, "intent")
    assert comparison is not None
    assert len(sweep_page.draw_charts(comparison)) == 1
