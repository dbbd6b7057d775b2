"""The OpenAI-compatible server as OpenAI's own client, curl and plain HTTP see it."""

import base64
import io
import json
import shutil
import subprocess
import time

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from tests.apps.serving import QUESTION, data_url
from tests.speech import paced
from workbench import SamplingParams


def alone(session, **settings) -> wb.Reply:
    """What the session itself answers to the question."""
    return session.chat(QUESTION, sampling=SamplingParams(**settings), capture="routing")


def ask(client, **settings):
    return client.chat.completions.create(model="demo", messages=QUESTION, **settings)


def test_a_chat_answers_what_the_session_answers(client, session):
    answer = ask(client, temperature=0, max_tokens=9)
    assert answer.choices[0].message.content == alone(session, max_tokens=9).text
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
        "chat.completion",
        "demo",
        "length",
    )
    prompt = len(session.processor(QUESTION).token_ids)
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (prompt, 9, prompt + 9)


def test_a_stream_is_the_same_answer_in_pieces(client, session):
    settings = {"temperature": 0, "max_completion_tokens": 9}
    with paced(session.llama) as permits:
        stream = ask(client, **settings, stream=True, stream_options={"include_usage": True})
        for _ in range(9):  # tokens that follow each other within 50 ms would go together
            permits.release()
            time.sleep(0.06)
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(list(filter(None, said))) > 3
    assert "".join(said) == alone(session, max_tokens=9).text
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "length"
    assert not chunks[-1].choices and chunks[-1].usage.completion_tokens == 9
    assert len({chunk.id for chunk in chunks}) == 1


def test_log_probabilities_are_those_of_the_trace(client, session):
    content = (
        ask(client, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    )
    trace = alone(session, max_tokens=4, top_logprobs=3).trace
    assert [token.logprob for token in content] == pytest.approx(trace.logprobs.tolist(), abs=1e-5)
    likeliest = [[one.logprob for one in token.top_logprobs] for token in content]
    assert np.allclose(likeliest, trace.topk_logprobs, atol=1e-5)
    assert [token.token for token in content] == trace.tokens[-4:]
    streamed = ask(client, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3, stream=True)
    pieces = [chunk.choices[0].logprobs for chunk in streamed]
    assert [token for piece in pieces if piece for token in piece.content] == content


def test_a_seed_repeats_a_draw_and_n_answers_differ(client):
    first, again = (ask(client, seed=11, n=3, max_tokens=8, temperature=1.5) for _ in range(2))
    said = [choice.message.content for choice in first.choices]
    assert said == [choice.message.content for choice in again.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2] and len(set(said)) == 3
    assert first.usage.completion_tokens == 24
    streamed = ["", "", ""]
    for chunk in ask(client, seed=11, n=3, max_tokens=8, temperature=1.5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == said


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(client, session):
    whole = alone(session, max_tokens=12).text
    stop = whole[3:5]
    choice = ask(client, temperature=0, max_tokens=12, stop=[stop, "never said"]).choices[0]
    assert (choice.message.content, choice.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_a_bias_keeps_a_token_from_being_said(client):
    told = {"temperature": 0, "max_tokens": 1, "logprobs": True, "extra_body": {"return_token_ids": True}}
    [first] = ask(client, **told).choices[0].token_ids
    [other] = ask(client, **told, logit_bias={str(first): -100}).choices[0].token_ids
    assert other != first


def test_penalties_count_what_was_said_in_the_answer(client, session):
    penalties = {"frequency_penalty": -1.5, "presence_penalty": -2.0}
    settings = {"temperature": 0, "max_tokens": 12}
    ids = [session.processor.tokenizer.bos_id]
    said = client.completions.create(model="demo", prompt=ids, **settings, **penalties).choices[0].text
    assert said != client.completions.create(model="demo", prompt=ids, **settings).choices[0].text
    expected = alone(session, max_tokens=12, **penalties).text
    assert ask(client, **settings, **penalties).choices[0].message.content == expected
    assert expected != ask(client, **settings).choices[0].message.content


def test_pictures_arrive_as_data_urls(client, session):
    picture = Image.linear_gradient("L").resize((90, 60)).convert("RGB")
    part = {"type": "image_url", "image_url": {"url": data_url(picture)}}
    content = [part, {"type": "text", "text": "What is this?"}]
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": content}], temperature=0, max_tokens=6
    )
    expected = session.chat("What is this?", images=[picture], max_tokens=6, capture="routing")
    assert answer.choices[0].message.content == expected.text
    assert answer.usage.prompt_tokens == len(expected.trace) - 6


def test_an_answer_can_be_put_back_into_the_conversation(client):
    said = ask(client, temperature=0, max_tokens=5).choices[0].message
    messages = [
        {"role": "developer", "content": "Be brief."},
        *QUESTION,
        said,
        {"role": "user", "content": "More."},
    ]
    assert (
        client.chat.completions.create(model="demo", messages=messages, max_tokens=2).usage.completion_tokens
        == 2
    )


def test_a_completion_goes_on_with_texts_or_token_ids(client, session):
    tokenizer = session.processor.tokenizer
    ids = [tokenizer.bos_id, *tokenizer.encode("The red circle")]
    settings = {"model": "demo", "max_tokens": 6, "temperature": 0, "logprobs": 2}
    by_text, by_ids = (client.completions.create(prompt=p, **settings) for p in ("The red circle", ids))
    assert by_text.choices[0].text == by_ids.choices[0].text
    told = by_text.choices[0].logprobs
    assert told.token_logprobs == by_ids.choices[0].logprobs.token_logprobs
    assert len(told.tokens) == 6 and all(len(top) == 2 for top in told.top_logprobs)
    assert told.text_offset[0] == 0
    both = client.completions.create(prompt=["The red circle", "A"], n=2, **settings)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert both.choices[0].text == both.choices[1].text == by_text.choices[0].text
    streamed = client.completions.create(prompt=ids, stream=True, **settings)
    assert "".join(chunk.choices[0].text for chunk in streamed) == by_text.choices[0].text


def test_an_echo_tells_how_likely_the_prompt_was(client, session):
    tokenizer = session.processor.tokenizer
    ids = [tokenizer.bos_id, *tokenizer.encode("The red circle, über all")]
    settings = {"model": "demo", "max_tokens": 2, "temperature": 0, "logprobs": 2}
    plain, [one, other] = (
        client.completions.create(prompt=ids, **settings).choices[0],
        client.completions.create(prompt=[ids, ids[:4]], echo=True, **settings).choices,
    )
    assert one.text == "The red circle, über all" + plain.text
    logits = session.llama(torch.tensor([ids]))[0].float().log_softmax(-1)
    expected = logits[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    told = one.logprobs
    assert told.token_logprobs[0] is None and told.top_logprobs[0] is None
    assert told.token_logprobs[1:-2] == pytest.approx(expected.tolist(), abs=1e-4)
    assert [max(top.values()) for top in told.top_logprobs[1:-2]] == pytest.approx(
        logits[:-1].max(-1).values.tolist(), abs=1e-4
    )
    # the two prompts go on together, which rounds otherwise
    assert told.token_logprobs[-2:] == pytest.approx(plain.logprobs.token_logprobs, abs=1e-4)
    assert (told.tokens[0], told.text_offset[:2]) == ("<|begin_of_text|>", [0, 0])
    assert len(told.tokens) == len(told.text_offset) == len(ids) + 2 and len(other.logprobs.tokens) == 6


def test_curl_works_as_the_model_card_says(url):
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    body = {
        "model": "demo", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 1,
        "messages": [{"role": "user", "content": "How can a bee fly when its wings are so small?"}],
    }  # fmt: skip
    command = [program, "-sSN", f"{url}/v1/chat/completions", "-H", "Content-Type: application/json"]
    said = subprocess.run([*command, "-d", json.dumps(body)], capture_output=True, text=True, timeout=60)
    lines = [line.removeprefix("data: ") for line in said.stdout.splitlines() if line]
    assert lines[-1] == "[DONE]", said
    assert json.loads(lines[-2])["usage"]["completion_tokens"] == 1


def test_routed_experts_come_in_both_engines_encodings_and_only_if_asked_for(client, session):
    plain = ask(client, temperature=0, max_tokens=5)
    assert "sglext" not in plain.model_extra and "routed_experts" not in plain.choices[0].model_extra
    wanted = {"return_routed_experts": True, "return_token_ids": True}
    answer = ask(client, temperature=0, max_tokens=5, extra_body=wanted)
    assert answer.choices[0].message.content == plain.choices[0].message.content
    expected = alone(session, max_tokens=5).trace
    rows = np.load(io.BytesIO(base64.b64decode(answer.choices[0].routed_experts)))
    assert np.array_equal(rows, expected.routed_experts[:-1])
    ids = answer.prompt_token_ids + answer.choices[0].token_ids
    assert ids == expected.token_ids.tolist()
    trace = wb.Trace.from_sglang(
        answer.sglext["routed_experts"], ids, expected.num_experts, expected.moe_layers.tolist()
    )
    assert np.array_equal(trace.routed_experts[:-1], expected.routed_experts[:-1])
    *_, last = ask(client, temperature=0, max_tokens=5, stream=True, extra_body=wanted)
    assert last.sglext["routed_experts"] == answer.sglext["routed_experts"]


def test_a_trace_can_be_fetched_and_opened(client, url, session, tmp_path):
    answer = ask(client, temperature=0, max_tokens=5, extra_body={"trace": True})
    name = answer.choices[0].trace_id
    file = tmp_path / "fetched.safetensors"
    file.write_bytes(httpx.get(f"{url}/v1/traces/{name}").raise_for_status().content)
    trace, expected = wb.Trace.open(file), session.chat(QUESTION, max_tokens=5).trace
    assert trace.text == answer.choices[0].message.content
    assert np.array_equal(trace.routed_experts, expected.routed_experts)
    assert np.allclose(trace.attention, expected.attention, atol=1e-3)
    assert trace.meta["integrity"] == expected.meta["integrity"]
    assert httpx.get(f"{url}/v1/traces/nothing").status_code == 404


def test_the_document_describes_every_field_of_a_request_and_every_kind_of_error(url):
    document = httpx.get(f"{url}/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name in ("ChatRequest", "CompletionRequest"):
        told = schemas[name]["properties"]
        silent = [field for field, how in told.items() if "description" not in json.dumps(how)]
        assert set(silent) <= {"stream_options"}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert {"4XX", "5XX"} <= operation["responses"].keys() and "422" not in operation["responses"], (
                path
            )
            assert operation["summary"]
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert {"application/json", "text/event-stream"} == chat["responses"]["200"]["content"].keys()


def test_the_model_is_listed_and_the_server_says_that_it_is_alive(client, url):
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").max_model_len > 1000
    assert httpx.get(f"{url}/health").json() == {"status": "ok", "model": "demo", "running": 0, "waiting": 0}
