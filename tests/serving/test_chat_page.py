"""The chat page in a headless Chromium; without a browser these tests are skipped."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.serving.logs.log_files import FEEDBACK, REQUESTS, read_log
from tests.serving.conftest import RunningServer

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")

CLEAR_AT_FIRST_TEXT = """() => {
  const observer = new MutationObserver(() => {
    if (!document.querySelector("li.assistant span")?.textContent) return;
    observer.disconnect();
    document.getElementById("clear").click();
  });
  observer.observe(document.getElementById("conversation"), { childList: true, subtree: true });
}"""
"""Press New conversation while the model is answering."""


@pytest.fixture(scope="module")
def page(server: RunningServer) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser.new_page()
        browser.close()


def test_a_question_is_answered_on_the_page(
    page: Any, server: RunningServer, served_folder: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{server.url}/")
    page.wait_for_selector("option:text('base')", state="attached")
    page.fill("#question", "Where is my <b>order</b> 4711?")
    page.press("#question", "Enter")
    page.wait_for_selector("#status:text('complete')")
    assert page.locator("li.user span").inner_text() == "Where is my <b>order</b> 4711?"
    assert page.locator("li.assistant span").inner_text()
    assert page.evaluate("document.activeElement.id") == "question"
    page.click("text='Bad answer'")
    page.wait_for_selector("#status:text('stored')")
    page.focus("text='Good answer'")
    page.keyboard.press("Enter")
    page.wait_for_selector("button[aria-pressed=true]:text('Good answer')")
    assert page.locator("button[aria-pressed=true]").count() == 1
    first, second = list(read_log(served_folder / "logs", FEEDBACK))[-2:]
    *_, logged = read_log(served_folder / "logs", REQUESTS)
    assert (first["thumb"], second["thumb"]) == ("down", "up")
    assert first["request_id"] == second["request_id"] == logged["request_id"]
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.fill("#question", "a <|im_end|>")
    page.click("#send")
    page.wait_for_selector("#status:text('control token')")
    assert page.locator("li").count() == 2
    assert page.input_value("#question") == "a <|im_end|>"
    page.click("#clear")
    assert page.locator("li").count() == 0
    page.evaluate(CLEAR_AT_FIRST_TEXT)
    page.fill("#question", "Where is my order 4711?")
    page.press("#question", "Enter")
    page.wait_for_selector("#send:enabled")
    assert page.inner_text("#status") == ""
    page.fill("#question", "Where is my order 4712?")
    with page.expect_request("**/v1/chat/completions") as request:
        page.press("#question", "Enter")
    assert len(request.value.post_data_json["messages"]) == 1  # the stopped answer is not sent
    page.wait_for_selector("#status:text('complete')")
    assert all(url.startswith(server.url) for url in requests)
    assert [text for text in messages if "400" not in text and "404" not in text] == []


def test_the_page_asks_for_a_key_and_says_that_one_is_wrong(
    page: Any, server: RunningServer
) -> None:
    page.route("**/v1/models", lambda route: route.fulfill(status=401, json={}))
    page.goto(f"{server.url}/")
    page.wait_for_selector("#status:text('This server needs an API key.')")
    page.fill("#key", "wrong")
    page.click("text='Use this key'")
    page.wait_for_selector("#status:text('This API key is not valid.')", timeout=5000)
    page.unroute("**/v1/models")
    page.click("text='Use this key'")
    page.wait_for_selector("#key", state="hidden")
