"""What a person can set, and the system prompt of a model card."""

import pytest

from apps.conversation import Refusal
from apps.settings import LONGEST_ANSWER, sampling, suggested_system_prompt
from workbench import SamplingParams

BAD = (
    (-1, 1, 9, ""), (0, 0, 9, ""), (0, 1, 0, ""), (0, 1, 9, "-4"), (0, 1, 9, "lucky"), (7, 1, 9, ""),
    ("warm", 1, 9, ""), (0, 1, None, ""), (0, 1, float("inf"), ""), (0, 1, LONGEST_ANSWER + 1, ""),
)  # fmt: skip


@pytest.mark.parametrize("settings", BAD)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(Refusal, match="setting"):
        sampling(*settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((0, 1, 9, "abc"), "the seed is 'abc'; expected a whole number from 0 to 999,999,999,999,999,999."),
        ((0, 1, 9, "9" * 40), "the seed is '99999999999999999999'; expected a whole number from 0"),
        ((None, 1, 9, ""), "the temperature is empty; expected a number from 0 to 2."),
        ((0, None, 9, ""), "the top-p is empty; expected a number from 0.05 to 1."),
        ((0, 1, None, ""), "the longest answer is empty; expected a whole number from 1 to 2,048."),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_what_would(settings, words):
    with pytest.raises(Refusal) as refused:
        sampling(*settings)
    assert str(refused.value).startswith(f"A setting does not fit: {words}")


def test_settings_are_those_of_the_model():
    assert sampling(0.6, 0.9, 12, " 7 ") == SamplingParams(temperature=0.6, top_p=0.9, max_tokens=12, seed=7)
    assert sampling(0, 1, 12, "") == SamplingParams(max_tokens=12)


@pytest.mark.parametrize(
    ("card", "suggested"),
    [
        ("## System prompt\n\n> You are brief.\n>\n> So be it.\n\nMore.", "You are brief.\n\nSo be it."),
        ("A system prompt:\n\n```\nYou are brief.\nAlways.\n```\nYou are not.", "You are brief.\nAlways."),
        ("The system prompt: \n\n`You are brief.`\n\nYou are reading.", "You are brief."),
        ("You are reading a card.\n\n> You are quoted.\n", ""),
        ("## System prompt\n\nYou are free to choose one.", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_card_beside_the_weights_may_suggest_a_system_prompt(tmp_path, card, suggested):
    (tmp_path / "README.md").write_text(card)
    assert suggested_system_prompt(tmp_path) == suggested


def test_no_card_suggests_nothing(tmp_path):
    assert suggested_system_prompt(tmp_path / "none") == ""
