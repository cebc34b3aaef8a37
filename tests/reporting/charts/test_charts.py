"""Charts: their SVG stands alone in the page, and their tables hold the data."""

import re
from collections.abc import Iterator

import pytest

from lockstep.reporting.charts.confusion_chart import draw_confusion_chart
from lockstep.reporting.charts.data_charts import draw_length_chart, list_funnel_steps
from lockstep.reporting.charts.drawing import Chart, Drawing, use_style
from lockstep.reporting.charts.interval_chart import IntervalRow, Measurement, draw_interval_chart
from lockstep.reporting.charts.probability_charts import draw_roc_chart
from lockstep.reporting.charts.training_chart import draw_training_chart
from lockstep.reporting.rendering import make_anchor
from lockstep.reporting.texts import Text, say

LOG = [
    {"step": 1.0, "epoch": 0.5, "loss": 9.0, "validation_loss": None, "grad_norm": float("inf")},
    {"step": 2.0, "epoch": 1.0, "loss": 0.1, "validation_loss": 0.2, "grad_norm": 2.0},
]


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with use_style():
        yield


def draw_confusion(label: str) -> Chart:
    return draw_confusion_chart("intent", {label: {label: 3, "other": 1}})


@pytest.mark.filterwarnings("error")
def test_a_long_label_is_shortened_in_the_chart_and_whole_in_its_table() -> None:
    label = "refund_" * 60
    chart = draw_confusion(label)
    assert "refund refund refund refund refund…" in chart.svg, "36 letters at most"
    assert "refund refund refund refund refund r" not in chart.svg
    assert chart.rows[0][0] == label


def test_a_chart_says_how_many_of_its_rows_it_draws() -> None:
    item = Measurement(share=0.5, interval=None, shown="50.0%", shown_interval="")
    group = Text("intent", "intent")
    rows = [
        IntervalRow(group=group, title=Text(f"value {n}", ""), measurements={"merged": item})
        for n in range(200)
    ]
    charts = [
        draw_interval_chart("slices", group, Text("Shares.", "比例。"), rows[:count])
        for count in (60, 200)
    ]
    assert [str(chart and chart.note) for chart in charts] == [
        "Shares.", "Shares. Only the first 60 of 200 rows are drawn."
    ]  # fmt: skip


def test_a_drawing_has_the_page_s_colours_and_nothing_from_elsewhere() -> None:
    svg = draw_confusion("a").svg
    assert svg.startswith("<svg viewBox=") and svg.endswith("</svg>")
    assert "var(--accent)" in svg
    assert not re.search(r"#0000\d\d|http|<style|<metadata|font-family|xlink", svg)
    ids = re.findall(r' id="([^"]*)"', svg)
    assert ids and all(name.startswith("confusion-intent-") for name in ids)
    assert {*re.findall(r'(?:href="|url\()#([^")]*)', svg)} <= {*ids}


def test_text_of_data_is_shown_literally_and_escaped() -> None:
    """Neither HTML nor matplotlib's mathematical markup counts in a label."""
    svg = draw_confusion("$a_b$ <script> 退款").svg
    assert "$a b$ &lt;script&gt; 退款" in svg
    assert "<script" not in svg


@pytest.mark.parametrize("task", ['"><script>alert(1)</script>', "t9_qa", "t1_x"])
def test_the_name_of_a_task_is_no_markup_and_no_placeholder(task: str) -> None:
    svg = draw_confusion_chart(task, {"a": {"a": 1}}).svg
    anchor = make_anchor(f"confusion-{task}")
    assert "<script" not in svg
    assert f'aria-labelledby="{anchor}-title"' in svg, "the title has this id in the page"


def test_words_are_in_both_languages() -> None:
    assert (
        '<tspan lang="en">prediction</tspan><tspan lang="zh">预测</tspan>'
        in draw_confusion("a").svg
    )


def test_a_placeholder_is_as_wide_as_the_longer_text() -> None:
    drawing = Drawing("name", 1.0)
    assert len(drawing.label("four and more")) == 13
    assert len(drawing.label(Text("base", "基础模型的名称"))) == 14


def test_two_drawings_have_the_same_bytes() -> None:
    assert draw_confusion("a").svg == draw_confusion("a").svg


def test_the_confusion_s_table_has_counts_and_shares() -> None:
    assert draw_confusion("a").rows == [["a", "a", "3", "75.0%"], ["a", "other", "1", "25.0%"]]


def test_every_column_of_the_log_is_drawn_and_a_value_that_is_not_finite_is_a_gap() -> None:
    chart = draw_training_chart(LOG)
    assert chart is not None
    for name in ("training loss", "validation loss", "grad norm"):
        assert f'<tspan lang="en">{name}</tspan>' in chart.svg
    assert chart.rows[0] == ["1", "0.5", "9", "", "inf"]
    assert [column.zh for column in chart.columns] == [
        "步骤",
        "轮",
        "训练损失",
        "验证损失",
        "梯度范数",
    ]
    assert draw_training_chart([]) is None


def test_a_row_has_a_measurement_for_each_variant_that_has_the_metric() -> None:
    merged = Measurement(share=0.9, interval=(0.8, 0.95), shown="90.0%", shown_interval="80% – 95%")
    row = IntervalRow(group=Text("t", "t"), title=say("accuracy"), measurements={"merged": merged})
    chart = draw_interval_chart("name", say("Text"), say("Step"), [row])
    assert chart is not None
    assert chart.rows == [["t: accuracy", "", "", "90.0%", "80% – 95%", "", ""]]
    assert draw_interval_chart("name", say("Text"), say("Step"), []) is None


def test_the_funnel_names_each_reason_for_which_rows_were_dropped() -> None:
    prepared = {
        "rows": {
            "read": 30,
            "kept": 24,
            "rejected": 1,
            "duplicates": 3,
            "removed": 0,
            "left_out": 2,
        },
        "splits": {name: {"records": 8} for name in ("train", "validation", "test")},
    }
    steps = [
        (str(title), count, start) for title, count, start, _ in list_funnel_steps(prepared, 5)
    ]
    assert steps == [
        ("rows read", 30, 0), ("rejected", 1, 29), ("left out", 2, 27), ("duplicates", 3, 24),
        ("kept", 24, 0), ("train", 8, 0), ("validation", 8, 8), ("test", 8, 16),
        ("added by augmentation", 5, 0),
    ]  # fmt: skip


def test_charts_without_data_are_left_out() -> None:
    splits: dict[str, dict[str, str]] = {name: {} for name in ("train", "validation", "test")}
    assert draw_length_chart(splits) is None
    curves = {variant: {"roc": []} for variant in ("base", "merged", "quantized")}
    assert draw_roc_chart("intent", curves) is None
