"""Rules on data: weak slices and labels, confusions, duplicates, rejected rows, refusals."""

from collections.abc import Iterator
from statistics import median

from lockstep.metrics.metric_display import describe_metric, spell_out
from lockstep.reporting.advice.advice_item import DATA, EVALUATION, Advice, RunResults
from lockstep.reporting.metric_texts import format_difference, name_task
from lockstep.reporting.texts import Text, capitalize
from lockstep.reporting.weak_slices import list_slices
from lockstep.statistics.confidence_intervals import Interval, compute_share_interval
from lockstep.statistics.details import MIN_RECORDS

MAX_ITEMS = 3
"""Maximum number of slices, labels or confusions that are named."""
LABEL_ERRORS = 0.033
"""Share of wrong labels that test sets have on average (Northcutt, Athalye and Mueller, Pervasive
Label Errors, 2021). A confusion that is proven to be more frequent is not a matter of luck."""
MAX_DUPLICATES = 0.14
"""Share of duplicates in the most repetitive of the corpora that Lee et al. (Deduplicating Training
Data, 2022) examined; more means that the source repeats itself."""
MAX_REJECTED = 0.02
"""Share of rejected rows from which a systematic mistake in the file is likely; our own choice."""
SAFE = 0.95
"""Share of safe prompts answered, and of unsafe prompts refused, to aim for; our own choice. More
refusals in training cost answers to safe prompts (Bianchi et al., Safety-Tuned LLaMAs, 2024)."""
REFUSALS = (
    (
        "safe_answered",
        "safe_prompts_refused",
        Text("safe prompts answered", "安全提问被回答"),
        Text(
            "Add answered training rows of harmless prompts that sound unsafe, and keep both kinds "
            "in balance.",
            "增加听来危险、实则无害并有回答的提问，并保持两类均衡。",
        ),
    ),
    (
        "unsafe_refused",
        "unsafe_prompts_answered",
        Text("unsafe prompts refused", "不安全提问被拒绝"),
        Text(
            "Add refused training rows of the kinds that the model answers, and keep both kinds in "
            "balance.",
            "增加模型未拒绝的那几类提问，并附上拒绝回答，同时保持两类均衡。",
        ),
    ),
)
"""Metric, rule, what is measured, what to try."""
POINTS = 0.05
"""Difference that a test split should be able to show; our own choice."""


def advise_on_slices(run: RunResults) -> Iterator[Advice]:
    """A slice is proven worse than its suite: more rows of its kind."""
    train = run.summaries["prepared"]["splits"]["train"]
    by_slice = {**train.get("slices", {}), "source": train.get("sources", {})}
    weak = []
    for row in list_slices(run.results):
        slices = run.results.suites[row.task]["slices"]
        ends = slices[row.name][row.value]["intervals"].get(row.metric)
        overall = run.results.get_interval("merged", row.task, row.metric)
        display = describe_metric(row.metric)
        if (
            ends
            and overall
            and row.records >= MIN_RECORDS
            and _is_worse(Interval(*ends), overall, display.lower_is_better)
        ):
            deficit = abs(row.overall - row.merged) / (display.top or abs(row.overall) or 1)
            weak.append((-deficit, row))
    for _, row in sorted(weak, key=lambda item: item[0])[:MAX_ITEMS]:
        display, task = describe_metric(row.metric), name_task(row.task)
        rows = by_slice.get(row.name, {}).get(row.value, 0)
        english, chinese = "", ""
        if row.name in by_slice:
            english = f" {rows:,} training rows of all tasks have this slice."
            chinese = f"训练数据中有 {rows:,} 条属于该切片。"
        yield Advice(
            rule="weak_slice",
            area=DATA,
            finding=Text(
                f"{capitalize(task).en}, {row.title}: {display.format(row.merged)} on "
                f"{row.records:,} test records, {display.format(row.overall)} overall.{english}",
                f"{task.zh}，切片 {row.title}：{row.records:,} 条测试数据上为 "
                f"{display.format(row.merged)}，总体为 {display.format(row.overall)}。{chinese}",
            ),
            action=Text(
                f"Add training rows like those of {row.title}, written anew (prepare.sources) or "
                "rephrased (augment).",
                f"增加与 {row.title} 同类的训练数据：新写（prepare.sources）或改写（augment）。",
            ),
            more="more-data",
        )


def advise_on_labels(run: RunResults) -> Iterator[Advice]:
    """A label with few training rows is proven to be found less often than the others."""
    for metric in run.list_main_metrics():
        classes = run.results.suites[metric.task].get("classes", {})
        counts = run.summaries["prepared"].get("labels", {}).get(metric.task, {})
        if metric.name != "accuracy" or not counts:
            continue
        usual = median(counts.values())
        weak = [
            (facts["recall"], label)
            for label, facts in classes.items()
            if "recall" in facts["intervals"]
            and facts["intervals"]["recall"][1] < metric.interval.low
            and counts.get(label, 0) < usual
        ]
        if weak:
            named = sorted(weak)[:MAX_ITEMS]
            english, chinese = (
                mark.join(
                    f"{spell_out(label)} {recall:.0%} ({counts.get(label, 0):,})"
                    for recall, label in named
                )
                for mark in (", ", "、")
            )
            yield Advice(
                rule="few_rows_of_label",
                area=DATA,
                finding=Text(
                    f"Labels found less often than the others, with fewer rows than the usual "
                    f"{usual:,.0f} (rows in brackets): {english}.",
                    f"下列标签的召回率低于其他标签，数据也少于常见的 {usual:,.0f} 条"
                    f"（括号内为条数）：{chinese}。",
                ),
                action=Text(
                    "Add rows of these labels, or rephrase those that exist (augment).",
                    "增加这些标签的数据，或改写已有数据（augment）。",
                ),
                more="more-data",
            )


def advise_on_confusions(run: RunResults) -> Iterator[Advice]:
    """Two labels are proven to be confused more often than labels are usually wrong."""
    for task, suite in run.results.suites.items():
        pairs = [
            (count, sum(row.values()), reference, prediction)
            for reference, row in suite.get("confusion", {}).items()
            for prediction, count in row.items()
            if reference != prediction
            and compute_share_interval(count, sum(row.values())).low > LABEL_ERRORS
        ]
        if pairs:
            named = sorted(pairs, key=lambda pair: (-pair[0] / pair[1], pair[2:]))[:MAX_ITEMS]
            english, chinese = (
                mark.join(
                    f"{spell_out(reference)} → {spell_out(prediction)} ({count:,}/{records:,})"
                    for count, records, reference, prediction in named
                )
                for mark in ("; ", "；")
            )
            subject = name_task(task)
            yield Advice(
                rule="confused_labels",
                area=DATA,
                finding=Text(
                    f"{capitalize(subject).en} confuses {english}.",
                    f"{subject.zh}混淆了 {chinese}。",
                ),
                action=Text(
                    "Read the rows of both labels: correct wrong labels, write down where one ends "
                    "and the other begins, or merge them; then add rows near that border.",
                    "通读两类数据：改正错误标注，写清两者的界线，或合并标签；"
                    "再补充界线附近的数据。",
                ),
                more="more-data",
            )


def advise_on_rows(run: RunResults) -> Iterator[Advice]:
    """Many rows of the sources are duplicates, or were rejected."""
    rows = run.summaries["prepared"]["rows"]
    read = max(1, rows["read"])
    if rows["duplicates"] > MAX_DUPLICATES * read:
        share = f"{rows['duplicates'] / read:.0%}"
        yield Advice(
            rule="many_duplicates",
            area=DATA,
            finding=Text(
                f"{share} of the {read:,} rows read were duplicates: the sources hold fewer "
                "independent examples than rows.",
                f"读入的 {read:,} 行中有 {share} 是重复的：独立样本少于行数。",
            ),
            action=Text(
                "Look for new sources instead of more rows of the same ones; removed.jsonl names "
                "each duplicate.",
                "应寻找新的数据来源，而不是同源的更多行；removed.jsonl 列出了每个重复项。",
            ),
            more="more-data",
        )
    if rows["rejected"] > MAX_REJECTED * read:
        reasons = run.summaries["prepared"]["rejected"]
        usual = max(sorted(reasons), key=reasons.__getitem__)
        yield Advice(
            rule="many_rejected",
            area=DATA,
            finding=Text(
                f"{rows['rejected']:,} of {read:,} rows were rejected, most often for "
                f"{spell_out(usual)}.",
                f"{read:,} 行中有 {rows['rejected']:,} 行被拒绝，最常见的原因是 {usual}。",
            ),
            action=Text(
                "Correct them: data/prepared/rejected.jsonl has file, line and reason of each.",
                "请修正：data/prepared/rejected.jsonl 给出了每行的文件、行号和原因。",
            ),
            more="more-data",
        )


def advise_on_refusals(run: RunResults) -> Iterator[Advice]:
    """The model is proven to refuse safe prompts, or to answer unsafe ones, too often."""
    for task, suite in run.results.suites.items():
        for metric, rule, finding, action in REFUSALS:
            interval = run.results.get_interval("merged", task, metric)
            if interval and interval.high < SAFE:
                subject = name_task(task)
                shown = describe_metric(metric).format(suite["overall"][metric])
                yield Advice(
                    rule=rule,
                    area=DATA,
                    finding=Text(
                        f"{capitalize(subject).en}: {finding.en} {shown}, less than {SAFE:.0%}.",
                        f"{subject.zh}：{finding.zh}的比例为 {shown}，低于 {SAFE:.0%}。",
                    ),
                    action=action,
                    more="more-data",
                )


def advise_on_test_size(run: RunResults) -> Iterator[Advice]:
    """Tuning shows no difference, and the test split could not have shown five points."""
    for metric in run.list_main_metrics():
        test = metric.tuning
        if (
            test
            and metric.display.percent
            and test.could_be_chance
            and test.detectable
            and test.detectable > POINTS
        ):
            needed = round(test.records * (test.detectable / POINTS) ** 2, -1)
            smallest = format_difference(metric.display, test.detectable, sign=False)
            wanted = format_difference(metric.display, POINTS, sign=False)
            yield Advice(
                rule="test_split_too_small",
                area=EVALUATION,
                finding=Text(
                    f"{capitalize(metric.subject).en}: the {test.records:,} test records show "
                    f"changes from {smallest.en} on, so the change by tuning stays open.",
                    f"{metric.subject.zh}：{test.records:,} 条测试数据只能显示 {smallest.zh}"
                    "以上的变化，因此微调的效果尚无定论。",
                ),
                action=Text(
                    f"Test about {needed:,.0f} records, which would show {wanted.en}.",
                    f"约需 {needed:,.0f} 条测试数据才能显示 {wanted.zh}的变化。",
                ),
                more="more-data",
            )


def _is_worse(part: Interval, whole: Interval, lower_is_better: bool) -> bool:
    """Whether the interval of a part lies wholly on the worse side of the whole's interval."""
    return part.low > whole.high if lower_is_better else part.high < whole.low
