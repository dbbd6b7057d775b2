"""How tests use the chat page: what a person does there, and what stands on it, held against the traces in
memory."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from playwright.sync_api import Page, expect

import workbench as wb
from apps.handlers import Desk
from model.demo.scenes import draw_scene

PATIENCE = 60_000  # ms; a busy machine is no failure
WORDS = 12
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class App(NamedTuple):
    demo: gr.Blocks
    url: str

    @property
    def desk(self) -> Desk:
        return self.demo.desk


def opened(page: Page, url: str) -> Page:
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("#trace .tv")
    return page


def begun_anew(page: Page) -> Page:
    """A page that somebody has used, as it was when it was opened: but for the settings, which stay."""
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.set_viewport_size(LAPTOP)
    if page.locator("#side.open").count():
        page.locator("#side .toggle-button").click()
    expect(page.locator("#side.open")).to_have_count(0, timeout=PATIENCE)
    pictures = page.locator("#composer .thumbnail-item")
    for left in reversed(range(pictures.count())):
        page.locator("#composer .thumbnail-item button").first.click()
        expect(pictures).to_have_count(left, timeout=PATIENCE)
    with page.expect_request("**/run/predict*") as asked:
        page.locator("#new").click()
    asked.value.response()  # else it could meet the next question
    page.wait_for_selector("#trace .tv[data-n='0']", state="attached")
    page.wait_for_selector("#chat .example")
    expect(page.locator("#notice [role=alert]")).to_have_count(0, timeout=PATIENCE)
    page.locator("#composer textarea").fill("")
    page.locator("#composer textarea").focus()
    return page


def example(page: Page, number: int = 0) -> None:
    page.locator("#chat .example").nth(number).click()


def ask(page: Page, text: str, *files: Path) -> None:
    if files:
        page.locator("#composer input[type=file]").set_input_files(files)
        expect(page.locator("#composer .thumbnail-item")).to_have_count(len(files), timeout=PATIENCE)
    page.locator("#composer textarea").fill(text)
    page.locator("#composer textarea").press("Enter")


def answered(page: Page, app: App, answers: int = 1) -> wb.Trace:
    """Wait for the end of the newest answer; its trace."""
    expect(page.locator("#chat .bot-row")).to_have_count(answers, timeout=PATIENCE)
    page.wait_for_selector("#trace .tv[data-done=true]")
    page.wait_for_selector("#composer [data-testid=submit-button]")
    run_id = page.locator("#trace .tv").get_attribute("data-run")
    return app.desk.shelf.get(run_id).trace()


def experts_shown(page: Page, layer: int) -> str:
    return page.locator(f"#trace tr[data-layer='{layer}']").inner_text()


def wait_for_token(page: Page, token: int) -> None:
    page.wait_for_selector(f"#trace .tv[data-token='{token}']")


def assert_experts_are_those_of(page: Page, trace: wb.Trace, token: int) -> None:
    wait_for_token(page, token)
    for m, layer in enumerate(trace.moe_layers.tolist()):
        words = experts_shown(page, layer)
        assert f"Expert {trace.routed_experts[token, m, 0]}" in words
        assert f"{trace.routed_weights[token, m, 0]:.2f}" in words


def scene_files(folder: Path, count: int) -> list[Path]:
    files = [folder / f"scene-{seed}.png" for seed in range(count)]
    for seed, file in enumerate(files):
        draw_scene(seed, (80, 60)).image.save(file)
    return files


def visitor_of(app: App, page: Page) -> str:
    """Whose conversation holds the answer that the page shows."""
    run_id = page.locator("#trace .tv").get_attribute("data-run")
    return next(
        name
        for name, talk in app.desk.visitors._conversations.items()
        if run_id in [turn.run_id for turn in talk.turns]
    )


def wait_until(true: Callable[[], bool]) -> None:
    """For what happens on the server's side, where no page can be asked."""
    pause = threading.Event()
    for _ in range(1200):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("it did not happen within a minute")
