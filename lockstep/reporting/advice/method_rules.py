"""Rules on the method: prompting, few-shot, retrieval, another base, another quantization."""

from collections.abc import Iterator

from lockstep import multiple_testing
from lockstep.metrics.metric_display import describe_metric
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.reporting.advice.advice_item import (
    DATA,
    METHOD,
    MODEL,
    QUANTIZATION,
    Advice,
    MainMetric,
    RunResults,
)
from lockstep.reporting.forgetting_table import list_forgotten
from lockstep.reporting.metric_texts import format_difference, name_subject, name_task
from lockstep.reporting.texts import Text, capitalize
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.domain_gap import IN_DOMAIN, OUT_OF_DOMAIN
from lockstep.suites import RETRIEVAL

NEAR = 0.02
"""Difference of a share within which two models count as equivalent, if its whole interval lies
there (the equivalence test of Schuirmann, 1987). Two points is our own choice."""
SAME_ANSWERS = 0.9
"""Agreement of answers to a question and to its perturbed versions that invariance asks for
(Ribeiro et al., CheckList, 2020, ask for all); one in ten is our own choice."""
FACTS_FOUND = 0.8
"""Share of facts found in a long prompt below which retrieval augmentation would lose too much;
our own choice. Models use the middle of a long prompt worst (Liu et al., Lost in the Middle, 2024).
"""
SMALLER_FORMS = ("nf4", "fp4", "gguf_q4_0", "gguf_q5_1", "pruned")
"""Methods of quantize that have a form with more bits."""
LARGER_FORMS = ("int8", "gguf_q8_0", "gguf_f16")
"""Methods of quantize that have a smaller form."""


def advise_on_prompting(run: RunResults) -> Iterator[Advice]:
    """The base does about as well without tuning, or with a few examples in the prompt.

    In continual learning the base is the last model, and its suites should stay as they are.
    """
    metrics = [] if run.results.details.get("forgetting") else run.list_main_metrics()
    for metric in metrics:
        if metric.tuning and metric.display.percent and _is_near(metric.tuning.interval):
            change = format_difference(metric.display, metric.tuning.value)
            yield Advice(
                rule="base_is_near",
                area=METHOD,
                finding=Text(
                    f"{capitalize(metric.subject).en}: tuning changes the base by {change.en}, "
                    f"within two points either way.",
                    f"{metric.subject.zh}：微调只让基座模型变化 {change.zh}，上下不到两个百分点。",
                ),
                action=Text(
                    "A better prompt or examples in it (predict.few_shot) may do what tuning does "
                    "not; check also that the training rows fit this task.",
                    "更好的提示词或其中的示例（predict.few_shot）也许更有效；"
                    "并检查训练数据是否对应这个任务。",
                ),
                more="prompting-and-few-shot",
            )
    for suite, values in run.results.details["few_shot"].items():
        display = describe_metric(values["metric"])
        if display.percent and values["interval"][1] < NEAR:
            task, change = name_task(suite), format_difference(display, values["difference"])
            yield Advice(
                rule="few_shot_is_enough",
                area=METHOD,
                finding=Text(
                    f"{capitalize(task).en}: the tuned model is {change.en} from the base with "
                    "examples in its prompt, at most two points better.",
                    f"{task.zh}：微调模型与带示例的基座模型相差 {change.zh}，至多好两个百分点。",
                ),
                action=Text(
                    "Ship the base with these examples, if the longer prompt is affordable.",
                    "如果能承受更长的提示词，可直接使用带示例的基座模型。",
                ),
                more="prompting-and-few-shot",
            )


def advise_on_forgetting(run: RunResults) -> Iterator[Advice]:
    """A suite is proven worse on the test records of earlier rounds: more replay, less change."""
    for task, values in list_forgotten(run.results):
        display = describe_metric(values["metric"])
        before, after = (display.format(values[name]) for name in ("before", "after"))
        share = run.summaries["augmented"].get("replay", {}).get("share")
        now = (f"now {share:g}", f"现为 {share:g}") if share else ("not set", "未设置")
        subject = name_subject(task, values["metric"])
        yield Advice(
            rule="forgets_earlier_rounds",
            area=METHOD,
            finding=Text(
                f"{capitalize(subject).en} on test records of earlier rounds was {before} with the "
                f"base and is {after} now.",
                f"{subject.zh}在前几轮的测试数据上由 {before} 变为 {after}。",
            ),
            action=Text(
                f"Raise augment.replay ({now[0]}), or change less of the base: a lower "
                "train.learning_rate, fewer train.epochs, a smaller train.adapter.r.",
                f"增大 augment.replay（{now[1]}），或少改基座：降低 train.learning_rate、"
                "train.epochs 或 train.adapter.r。",
            ),
            more="continual-learning",
        )


def advise_on_losses(run: RunResults) -> Iterator[Advice]:
    """Tuning makes a suite worse than the base: what it learnt displaces what it knew."""
    forgotten = {task for task, _ in list_forgotten(run.results)}  # another rule names them
    for metric in run.list_main_metrics():
        test = metric.tuning if metric.task not in forgotten else None
        if test and not test.could_be_chance and metric.gain(test).high < 0:
            change = format_difference(metric.display, test.value)
            yield Advice(
                rule="tuning_forgets",
                area=METHOD,
                finding=Text(
                    f"{capitalize(metric.subject).en} changes by {change.en} through tuning.",
                    f"{metric.subject.zh}因微调变化 {change.zh}。",
                ),
                action=Text(
                    "Mix rows of this task or general rows into training (prepare.sources, "
                    "augment), or change less of the base: LoRA instead of full, a lower "
                    "train.learning_rate.",
                    "在训练中混入该任务或通用的数据（prepare.sources、augment），"
                    "或少改基座：用 LoRA 代替 full，降低 train.learning_rate。",
                ),
                more="full-tuning-or-an-adapter",
            )


def advise_on_domain(run: RunResults) -> Iterator[Advice]:
    """The model is proven worse out of its domain: retrieval or refusal, not more epochs."""
    for task, gap in run.results.details["domains"].get("merged", {}).items():
        display = describe_metric(gap["metric"])
        low, high = gap["interval"]
        is_worse = high < 0 if display.lower_is_better else low > 0
        if gap["p_adjusted"] < multiple_testing.LEVEL and is_worse:
            inside, outside = (
                display.format(gap[domain]["value"]) for domain in (IN_DOMAIN, OUT_OF_DOMAIN)
            )
            subject = name_task(task)
            yield Advice(
                rule="worse_out_of_domain",
                area=METHOD,
                finding=Text(
                    f"{capitalize(subject).en}: {inside} in the domain, {outside} out of it.",
                    f"{subject.zh}：领域内 {inside}，领域外 {outside}。",
                ),
                action=Text(
                    "If the missing answers are facts, give them in the prompt (retrieval); if "
                    "they are out of scope, train an answer that says so.",
                    "若缺的是事实，请放进提示词（检索增强）；若超出范围，请训练模型说明这一点。",
                ),
                more="retrieval",
            )


def advise_on_retrieval(run: RunResults) -> Iterator[Advice]:
    """Facts in a long prompt are proven to be lost: retrieval needs another base."""
    for metric in run.list_main_metrics():
        if metric.task == RETRIEVAL and metric.interval.high < FACTS_FOUND:
            yield Advice(
                rule="facts_lost_in_prompt",
                area=MODEL,
                finding=Text(
                    f"The model uses the fact in a long prompt in {metric.shown} of "
                    f"{metric.records:,} cases.",
                    f"长提示词里的事实，模型在 {metric.records:,} 例中只用上了 {metric.shown}。",
                ),
                action=Text(
                    "Do not build retrieval on this model: choose a base with a longer context, or "
                    "train on rows whose prompts hold the facts.",
                    "不要用这个模型做检索增强：换上下文更长的基座，"
                    "或用提示词中带有事实的数据训练。",
                ),
                more="retrieval",
            )


def advise_on_robustness(run: RunResults) -> Iterator[Advice]:
    """Perturbed questions are proven to change too many answers: perturbed training rows."""
    for task, suite in run.results.suites.items():
        overall = suite.get("robustness", {}).get("overall")
        if overall and overall["interval"] and overall["interval"][1] < SAME_ANSWERS:
            kinds = {
                name: values["agreement"]
                for name, values in suite["robustness"].items()
                if name != "overall"
            }
            worst = min(sorted(kinds), key=kinds.__getitem__)
            subject = name_task(task)
            yield Advice(
                rule="answers_not_robust",
                area=DATA,
                finding=Text(
                    f"{capitalize(subject).en}: {overall['agreement']:.0%} of the answers stay "
                    f"when the question is perturbed, {kinds[worst]:.0%} for {worst}.",
                    f"{subject.zh}：提问受扰动后 {overall['agreement']:.0%} 的回答不变，"
                    f"其中 {worst} 为 {kinds[worst]:.0%}。",
                ),
                action=Text(
                    "Add training rows that are perturbed in the same way, or clean the questions "
                    "before the model reads them.",
                    "增加同样扰动过的训练数据，或在模型读取之前清洗提问。",
                ),
                more="more-data",
            )


def advise_on_quantization(run: RunResults) -> Iterator[Advice]:
    """Quantization is proven to cost quality: more bits. More bits than needed: fewer."""
    method = run.summaries["quantized"]["method"]
    metrics = run.list_main_metrics()
    losses = [
        metric
        for metric in metrics
        if metric.quantization
        and not metric.quantization.could_be_chance
        and metric.gain(metric.quantization).high < 0
    ]
    if losses and method in SMALLER_FORMS:
        metric = losses[0]
        yield _advise_on_loss(metric, method)
    elif method in LARGER_FORMS and metrics and not losses and all(map(_costs_little, metrics)):
        yield Advice(
            rule="smaller_form_possible",
            area=QUANTIZATION,
            finding=Text(
                f"{method} costs less than two points in every suite.",
                f"{method} 在每个测试集上的损失都不到两个百分点。",
            ),
            action=Text(
                "Try a form of 4 bits (quantize.method: nf4 or gguf_q4_0), which takes half the "
                "room or less.",
                "可试 4 比特（quantize.method: nf4 或 gguf_q4_0），只占一半或更少的空间。",
            ),
        )


def _advise_on_loss(metric: MainMetric, method: str) -> Advice:
    difference = metric.quantization
    change = format_difference(metric.display, difference.value if difference else 0.0)
    return Advice(
        rule="quantization_costs",
        area=QUANTIZATION,
        finding=Text(
            f"{capitalize(metric.subject).en} changes by {change.en} through {method}.",
            f"{metric.subject.zh}因 {method} 变化 {change.zh}。",
        ),
        action=Text(
            "Try 8 bits (quantize.method: int8 or gguf_q8_0), which usually costs nothing.",
            "可试 8 比特（quantize.method: int8 或 gguf_q8_0），通常没有损失。",
        ),
    )


def _costs_little(metric: MainMetric) -> bool:
    test = metric.quantization
    return bool(
        metric.task != PERPLEXITY
        and test
        and metric.display.percent
        and metric.gain(test).low > -NEAR
    )


def _is_near(interval: Interval) -> bool:
    return interval.low > -NEAR and interval.high < NEAR
