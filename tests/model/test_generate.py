"""Generation: the tokens of transformers, text that is never half a character, and an end to everything."""

import contextlib
import threading
from collections.abc import Sequence

import pytest
import torch
from PIL import Image

from model import Inputs, LogitsError, SamplingParams, Step, generate, generate_batch, load, replaced
from tests.speech import saying, spoken
from tests.tiny import byte_tokenizer, load_reference, write_checkpoint

TOKENIZER = byte_tokenizer()
STOPS = ("<|end_of_text|>", "<|eom|>", "<|eot|>")


@pytest.fixture(scope="module")
def pair(checkpoint):
    """Ours, theirs, and the processor."""
    llama, processor = load(checkpoint, dtype=torch.float32)
    return llama, load_reference(checkpoint), processor


@pytest.fixture(scope="module")
def ours(pair):
    llama, _, processor = pair
    return llama, processor


def picture(width: int, height: int, seed: int) -> Image.Image:
    noise = torch.randint(0, 255, (height, width, 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(noise.byte().numpy())


def question(text: str, *pictures: Image.Image) -> list[dict]:
    shown = [{"type": "image", "image": image} for image in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]


QUESTIONS = {
    "text": question("What is this about?"),
    "a picture": question("And this?", picture(40, 30, 0)),
    "three pictures": question("Which?", picture(60, 28, 1), picture(13, 90, 2), picture(28, 28, 3)),
}


def answer(ours, messages="?", said: Sequence[int] | None = None, **settings: object) -> list[Step]:
    llama, processor = ours
    params = SamplingParams(**settings)
    if said is None:
        return list(generate(llama, processor, processor(messages), params))
    with saying(llama, said):
        return list(generate(llama, processor, processor(messages), params))


def text_of(steps: list[Step]) -> str:
    return "".join(step.text for step in steps)


@pytest.mark.parametrize("ends", [True, False], ids=["ends by itself", "goes on"])
@pytest.mark.parametrize("messages", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_greedy_tokens_are_those_of_transformers(pair, messages, ends):
    llama, theirs, processor = pair
    inputs = processor(messages)
    stops = torch.tensor(TOKENIZER.stop_ids)
    pixels = {} if inputs.pixel_values is None else {"pixel_values": inputs.pixel_values.float()}
    expected = theirs.generate(
        inputs.token_ids[None],
        attention_mask=torch.ones(1, len(inputs.token_ids), dtype=torch.int64),
        **pixels,
        do_sample=False,
        suppress_tokens=None if ends else stops.tolist(),
        max_new_tokens=30,
    )[0, len(inputs.token_ids) :]
    suppress = replaced(
        llama.hook_point("unembed.hook_logits"), lambda x: x.index_fill(-1, stops, -torch.inf)
    )
    with contextlib.nullcontext() if ends else suppress:
        steps = list(generate(llama, processor, inputs, SamplingParams(max_tokens=30)))
    assert [step.token_id for step in steps] == expected.tolist()
    assert ends or len(set(expected.tolist())) > 5, "an answer that repeats one token would prove little"


def test_a_steps_numbers_are_the_models_own_distribution(ours):
    llama, processor = ours
    inputs = processor("Hello")
    steps = answer(ours, "Hello", max_tokens=6, temperature=2.0, top_k=3, repetition_penalty=1.5, seed=0)
    ids = torch.cat([inputs.token_ids, torch.tensor([step.token_id for step in steps])])
    logprobs = torch.log_softmax(llama(ids[None])[0], -1)
    for at, step in enumerate(steps, start=len(inputs.token_ids) - 1):
        assert step.logprob == pytest.approx(float(logprobs[at, step.token_id]), abs=1e-4)
        top = logprobs[at].topk(5)
        assert step.top_ids == tuple(top.indices.tolist())
        assert step.top_logprobs == pytest.approx(top.values.tolist(), abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 320, 1000])
def test_as_many_alternatives_as_asked_for_and_there_are(ours, count):
    for step in answer(ours, max_tokens=2, top_logprobs=count):
        assert len(step.top_ids) == len(step.top_logprobs) == min(count, 320)


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.6, "seed": 0}, {"top_logprobs": 0}], ids=str)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_numbers_are_an_error_and_no_token(ours, settings, value):
    logits, one = ours[0].hook_point("unembed.hook_logits"), torch.tensor(7)
    said = r"not numbers \(NaN\).*check the checkpoint, or load it with"
    with replaced(logits, lambda x: x.index_fill(-1, one, value)), pytest.raises(LogitsError, match=said):
        answer(ours, **settings)


def test_a_seed_repeats_an_answer(ours):
    def drawn(seed: int | None) -> list[int]:
        steps = answer(ours, "Tell me", max_tokens=30, temperature=1.0, top_p=0.95, min_p=0.01, seed=seed)
        return [step.token_id for step in steps]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert drawn(None) != drawn(None)


# how an answer ends


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_token_ends_the_answer_and_is_not_shown(ours, stop):
    steps = answer(ours, said=spoken("Red.", stop))
    assert text_of(steps) == "Red."
    assert [step.finish_reason for step in steps] == [None] * 4 + ["stop"]
    assert steps[-1].token_id == TOKENIZER.special_id(stop)


def test_other_special_tokens_are_not_shown_and_end_nothing(ours):
    said = [*spoken("a", "<|image_start|>", "<|python_start|>"), *spoken("b", "<|eot|>")]
    steps = answer(ours, said=said)
    assert (text_of(steps), steps[-1].finish_reason) == ("ab", "stop")


def test_a_patch_token_that_the_model_says_is_a_token_like_any_other(pair):
    llama, theirs, processor = pair
    said = [*spoken("a", "<|patch|>", "<|patch|>"), *spoken("b")]
    steps = answer((llama, processor), said=said, max_tokens=5)
    assert text_of(steps) == "abb"
    ids = torch.cat([processor("?").token_ids, torch.tensor(said)])[None]
    expected = torch.log_softmax(theirs(input_ids=ids).logits[0, -2], -1)
    with pytest.raises(ValueError, match="keeps 2 places for image patches"):
        llama(ids)  # in a prompt it keeps a place
    cache = llama.new_cache()
    llama(processor("?").token_ids[None], cache=cache)
    logits = llama(torch.tensor([said]), cache=cache)
    torch.testing.assert_close(torch.log_softmax(logits[0, -2], -1), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_the_limit_of_tokens_ends_the_answer(ours, limit):
    steps = answer(ours, said=spoken("abcdefghij", "<|eot|>"), max_tokens=limit)
    assert text_of(steps) == "abcdefghij"[:limit]
    assert [step.finish_reason for step in steps] == [None] * (limit - 1) + ["length"]


@pytest.mark.parametrize(
    ("said", "stop", "shown"),
    [
        ("one\n\ntwo", "\n\n", "one"),
        ("one END two", "END", "one "),
        ("one ENXEND", "END", "one ENX"),
        ("ababac", "abac", "ab"),
        ("a first, second", ("second", "first"), "a "),
        ("abc", ("abcd", "bc"), "a"),
        ("END", "END", ""),
        ("höre auf", "öre", "h"),
        ("stop 🎉 now", "🎉", "stop "),
    ],
)
def test_a_stop_string_split_over_tokens_ends_the_answer_and_no_part_of_it_is_shown(ours, said, stop, shown):
    steps = answer(ours, said=spoken(said + " and more and more"), stop=stop)
    assert text_of(steps) == shown
    assert steps[-1].finish_reason == "stop"
    so_far = ""
    for step in steps:
        so_far += step.text
        assert shown.startswith(so_far), "what was shown is never taken back"
    ends = min(
        said.find(text) + len(text) for text in ([stop] if isinstance(stop, str) else stop) if text in said
    )
    assert len(steps) == len(said[:ends].encode()), "it ends with the token that completes the string"


def test_what_only_looked_like_a_stop_string_is_shown_at_the_latest_with_the_last_token(ours):
    steps = answer(ours, said=spoken("so EN", "<|eot|>"), stop="END")
    assert [step.text for step in steps] == ["s", "o", " ", "", "", "EN"]
    steps = answer(ours, said=spoken("so ENough", "<|eot|>"), stop="END")
    assert [step.text for step in steps[:6]] == ["s", "o", " ", "", "", "ENo"]
    steps = answer(ours, said=spoken("so EN"), stop="END", max_tokens=5)
    assert (text_of(steps), steps[-1].finish_reason) == ("so EN", "length")


def test_a_character_is_shown_whole_with_the_token_that_completes_it(ours):
    steps = answer(ours, said=spoken("é🎉x", "<|eot|>"))
    assert [step.text for step in steps] == ["", "é", "", "", "", "🎉", "x", ""]


def test_half_a_character_at_the_end_is_shown_as_what_it_is(ours):
    steps = answer(ours, said=[*spoken("a🎉")[:-1], *spoken("", "<|eot|>")])
    assert text_of(steps) == "a\N{REPLACEMENT CHARACTER}"
    steps = answer(ours, said=spoken("a🎉"), max_tokens=3)
    assert text_of(steps) == "a\N{REPLACEMENT CHARACTER}"
    steps = answer(ours, said=[*spoken("🎉")[:2], *spoken("b", "<|eot|>")])
    assert text_of(steps) == "\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("after", [0, 1, 2, 9])
def test_a_cancelled_answer_ends_before_its_next_token(ours, after):
    llama, processor = ours
    cancel, seen = threading.Event(), []
    if after == 0:
        cancel.set()
    for step in generate(llama, processor, processor("?"), SamplingParams(max_tokens=20), cancel):
        seen.append(step)
        if len(seen) == after:
            cancel.set()
    assert len(seen) == after
    assert not any(step.finish_reason for step in seen)


def test_a_loop_that_is_left_early_leaves_nothing_behind(ours):
    llama, processor = ours
    before = answer(ours, max_tokens=5)
    for _ in generate(llama, processor, processor("?"), SamplingParams(max_tokens=20)):
        break
    assert answer(ours, max_tokens=5) == before
    assert torch.is_grad_enabled()


def test_the_callers_gradient_mode_is_his_own(ours):
    llama, processor = ours
    for _ in generate(llama, processor, processor("?"), SamplingParams(max_tokens=3)):
        assert torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_the_cache_that_was_given_is_filled(ours):
    llama, processor = ours
    inputs, cache = processor("Hello"), llama.new_cache()
    steps = list(generate(llama, processor, inputs, SamplingParams(max_tokens=9), cache=cache))
    # the last token was drawn, but has not been through the model
    assert cache.length == len(inputs.token_ids) + len(steps) - 1


# a small context


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A model whose context is 60 tokens."""
    return load(write_checkpoint("maverick", tmp_path_factory.mktemp("short"), max_position_embeddings=60))


def test_an_answer_ends_where_the_context_does(short):
    prompt = len(short[1]("?").token_ids)
    assert prompt < 40
    steps = answer(short, "?", said=spoken("x"), max_tokens=1000)
    assert prompt + len(steps) == 60
    assert steps[-1].finish_reason == "length"


def test_a_prompt_beyond_the_context_is_refused_before_it_runs(short):
    with pytest.raises(ValueError, match=r"the prompt has \d+ tokens; this model's context is 60"):
        answer(short, "x" * 60, max_tokens=1)
    llama, processor = short
    with pytest.raises(ValueError, match="this model's context is 60"):
        next(generate_batch(llama, processor, [processor("fits"), processor("x" * 60)]))


# batches


def unbatched(ours, prompts: list[Inputs], params: SamplingParams) -> list[list[Step]]:
    llama, processor = ours
    return [list(generate(llama, processor, inputs, params)) for inputs in prompts]


def batched(ours, prompts: list[Inputs], params: SamplingParams) -> list[list[Step]]:
    llama, processor = ours
    rows = zip(*generate_batch(llama, processor, prompts, params), strict=True)
    return [[step for step in row if step is not None] for row in rows]


BATCHES = {
    "texts": ["Hi", "A much longer question than the first", "Mid-size one"],
    "equal lengths": ["abc", "abd"],
    "one": ["alone"],
    "texts and pictures": [QUESTIONS["text"], QUESTIONS["three pictures"], "Hi", QUESTIONS["a picture"]],
    "pictures": [QUESTIONS["a picture"], QUESTIONS["three pictures"]],
}


@pytest.mark.parametrize("prompts", BATCHES.values(), ids=BATCHES.keys())
def test_a_batch_says_what_each_prompt_says_alone(ours, prompts):
    params = SamplingParams(max_tokens=30)
    inputs = [ours[1](prompt) for prompt in prompts]
    for together, alone in zip(batched(ours, inputs, params), unbatched(ours, inputs, params), strict=True):
        assert [step.token_id for step in together] == [step.token_id for step in alone]
        assert [step.text for step in together] == [step.text for step in alone]
        for one, other in zip(together, alone, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_rows_of_a_batch_end_each_at_its_own_time(ours):
    llama, processor = ours
    inputs = [processor(prompt) for prompt in ("a", "bb", "ccc")]
    said = [spoken("one", "<|eot|>"), spoken("twelve", "<|eot|>"), spoken("x END of it")]
    with saying(llama, *said):
        steps = list(generate_batch(llama, processor, inputs, SamplingParams(stop="END", max_tokens=50)))
    lengths = [sum(step is not None for step in row) for row in zip(*steps, strict=True)]
    assert lengths == [4, 7, 5]
    assert len(steps) == 7
    texts = ["".join(step.text for step in row if step) for row in zip(*steps, strict=True)]
    assert texts == ["one", "twelve", "x "]


def test_the_rows_of_a_sampled_batch_are_drawn_apart_and_repeatably(ours):
    params = SamplingParams(temperature=1.0, seed=5, max_tokens=20)
    inputs = [ours[1]("same"), ours[1]("same")]
    first, second = batched(ours, inputs, params)
    assert [s.token_id for s in first] != [s.token_id for s in second]
    again = batched(ours, inputs, params)
    assert [s.token_id for s in again[1]] == [s.token_id for s in second]
    assert [s.token_id for s in unbatched(ours, inputs[:1], params)[0]] == [s.token_id for s in first]
