"""The report page in a headless Chromium; without a browser these tests are skipped."""

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stages.stage_outputs import run_evaluate, run_report, write_inputs

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")

CURVES = {"roc": [[0, 0], [0.1, 0.8], [1, 1]], "reliability": [[0.4, 0.5, 3], [0.9, 0.8, 7]]}
VIEWS = ((360, "light"), (800, "dark"), (1440, "light"))
"""Widths and colour schemes; each colour is the same at every width."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a page with every kind of chart and a long label."""
    root = tmp_path_factory.mktemp("browsed")
    write_inputs(root)
    card = root / "data/prepared/card.json"
    prepared = json.loads(card.read_text("utf-8"))
    prepared["labels"]["intent"]["a_long_label" * 30] = 3
    card.write_text(json.dumps(prepared), encoding="utf-8")
    assert run_evaluate(root).returncode == 0
    path = root / "reports/details.json"
    details = json.loads(path.read_text("utf-8"))
    details["curves"] = {"intent": dict.fromkeys(("base", "merged", "quantized"), CURVES)}
    path.write_text(json.dumps(details), encoding="utf-8")
    result = run_report(root)
    assert result.returncode == 0, result.stderr
    return (root / "reports/index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def events() -> list[str]:
    """Every console message, script error and request of the page."""
    return []


@pytest.fixture(scope="module")
def opened(browser: Any, events: list[str]) -> Any:
    """One page for all tests."""
    page = browser.new_page()
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("request", lambda request: events.append(request.url))
    return page


@pytest.fixture
def page(opened: Any, address: str, events: list[str]) -> Iterator[Any]:
    """The page as first opened, at the width of a laptop; it logs and requests nothing."""
    opened.set_viewport_size({"width": 1440, "height": 900})
    opened.emulate_media(color_scheme="light")
    opened.goto(address)
    opened.evaluate("localStorage.clear()")
    opened.reload()
    yield opened
    assert {*events} == {address}, "the page itself is the only request"


def test_the_switch_changes_every_text_to_chinese_and_back(page: Any) -> None:
    heading = page.locator("#results-heading")
    assert heading.inner_text() == "Results"
    page.get_by_role("button", name="中文").click()
    assert heading.inner_text() == "结果"
    assert page.locator("html").get_attribute("lang") == "zh"
    legend = page.locator("#metrics-chart svg tspan", has_text="基础模型")
    assert legend.evaluate("e => getComputedStyle(e).display") == "inline"
    assert page.locator("nav").get_attribute("aria-label") == "目录"
    assert page.locator('body [lang="en"]:visible').count() == 0
    page.get_by_role("button", name="English").click()
    assert heading.inner_text() == "Results"


def test_without_javascript_the_page_is_in_english(browser: Any, address: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(address)
    assert page.locator("#results-heading").inner_text() == "Results"
    assert not page.locator(".switches").is_visible()
    assert not page.locator(".filters").is_visible()
    assert page.locator("details.example").first.is_visible()
    page.close()


def test_the_theme_follows_the_system_until_it_is_switched(page: Any) -> None:
    page.emulate_media(color_scheme="dark")
    read = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(read)
    page.get_by_role("button", name="Light").click()
    light = page.evaluate(read)
    assert (dark, light) == ("rgb(21, 24, 27)", "rgb(253, 253, 251)")


def test_examples_are_filtered_by_outcome_suite_and_text(page: Any) -> None:
    def count() -> int:
        shown: int = page.locator("details.example:visible").count()
        assert page.locator(".filters .count").inner_text() == str(shown)
        return shown

    def count_all(judgement: str) -> int:
        number: int = page.locator(f'details.example[data-judgement="{judgement}"]').count()
        return number

    everything = count()
    for name, judgement in (("wins", "better"), ("losses", "worse"), ("unchanged", "same")):
        page.get_by_role("button", name=name, exact=True).click()
        assert count() == count_all(judgement) < everything
    page.get_by_role("button", name="all", exact=True).click()
    page.locator("select[name=suite]").select_option("intent")
    assert 0 < count() < everything
    page.locator("input[name=text]").fill("取消订单")
    assert count() == 1
    page.locator("input[name=text]").fill("no example has this")
    assert count() == 0


def test_an_example_opens_by_keyboard(page: Any) -> None:
    example = page.locator("details.example:not([open])").first
    answers = example.locator(".answers").element_handle()
    summary = example.locator("summary").element_handle()
    assert not answers.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert answers.is_visible()


def test_the_page_prints_with_all_examples_open(page: Any) -> None:
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF-")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.example:not([open])").count() == 0
    page.emulate_media(media="print")
    assert page.locator("details:not([open]):visible").count() == 0, "nothing to click on paper"
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.example:not([open])").count() > 0


def test_the_page_is_accessible_at_every_width(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    for width, scheme in VIEWS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        violations = Axe().run(page).response["violations"]
        serious = [v for v in violations if v["impact"] in ("serious", "critical")]
        nodes = [node["target"] for violation in serious for node in violation["nodes"]]
        assert serious == [], (width, scheme, nodes)


def test_text_from_right_to_left_is_shown_so(page: Any) -> None:
    answer = page.locator(".answers p").first
    for text, direction in (("Hello!", "ltr"), ("مرحبا!", "rtl")):
        answer.evaluate("(element, text) => { element.textContent = text }", text)
        assert answer.evaluate("element => getComputedStyle(element).direction") == direction


def test_ids_are_unique_and_every_reference_has_its_target(page: Any) -> None:
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    targets = page.evaluate(
        "[...document.querySelectorAll('[href^=\"#\"]')].map(e => e.getAttribute('href').slice(1))"
    )
    assert {*targets} <= {*ids}
