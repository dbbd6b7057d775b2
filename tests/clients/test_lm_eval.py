"""lm-eval against our server: its two clients for OpenAI's API, on two small tasks of ours."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model import Inputs, SamplingParams, Spans, generate
from model.checkpoint import DEMO_WEIGHTS

HERE = Path(__file__).parent
TOKENS = 24  # as greetings.yaml says

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed: make clients"
)


def evaluated(task: str, model: str, given: str, folder: Path, *more: str) -> tuple[dict, list[dict]]:
    """The figures that it reports, and its questions with the answers that it got."""
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", model,
        "--model_args", f"model=demo,num_concurrent=4,{given}", "--tasks", task,
        "--include_path", str(HERE), "--log_samples", "--output_path", str(folder), *more,
    ]  # fmt: skip
    home = {**os.environ, "HF_HOME": str(folder / "cache"), "HF_DATASETS_OFFLINE": "1"}
    said = subprocess.run(command, cwd=HERE, env=home, capture_output=True, text=True, timeout=500)
    assert said.returncode == 0, said.stderr
    print(said.stdout)
    [results] = folder.rglob("results_*.json")
    [samples] = folder.rglob(f"samples_{task}_*.jsonl")
    figures = json.loads(results.read_text())["results"][task]
    found = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(found) == len((HERE / f"{task}.jsonl").read_text().splitlines())
    return figures, found


def test_local_chat_completions_gets_the_sessions_answers_and_counts_the_right_ones(url, session, tmp_path):
    given = f"base_url={url}/v1/chat/completions,tokenizer_backend=None"
    figures, samples = evaluated(
        "greetings", "local-chat-completions", given, tmp_path, "--apply_chat_template"
    )
    right = 0
    for sample in samples:
        expected = session.chat(sample["doc"]["question"], max_tokens=TOKENS, stop="\n").text
        assert sample["resps"] == [[expected]]
        right += expected == sample["doc"]["answer"]
    assert figures["exact_match,none"] == pytest.approx(right / len(samples))


def test_local_completions_gets_what_the_model_goes_on_with(url, session, tmp_path):
    given = f"base_url={url}/v1/completions,tokenizer_backend=None"
    _, samples = evaluated("greetings", "local-completions", given, tmp_path)
    tokenizer = session.processor.tokenizer
    for sample in samples:
        ids = torch.tensor([tokenizer.bos_id, *tokenizer.encode(sample["doc"]["question"])])
        prompt = Inputs(ids, None, Spans.of_text(len(ids), 0, "user"), ())
        params = SamplingParams(max_tokens=TOKENS, stop="\n")
        steps = generate(session.llama, session.processor, prompt, params)
        assert sample["resps"] == [["".join(step.text for step in steps)]]


def test_local_completions_weighs_endings_by_the_models_own_probabilities(url, session, tmp_path):
    # echo and logprobs: the prompt goes as token ids, cut by transformers from the same folder
    given = f"base_url={url}/v1/completions,tokenizer_backend=huggingface,tokenizer={DEMO_WEIGHTS}"
    figures, samples = evaluated("endings", "local-completions", given, tmp_path)
    tokenizer, right = session.processor.tokenizer, 0
    for sample in samples:
        doc, expected = sample["doc"], []
        for ending in doc["endings"]:
            start, whole = (tokenizer.encode(text) for text in (doc["text"], f"{doc['text']} {ending}"))
            with torch.inference_mode():
                logprobs = session.llama(torch.tensor([whole]))[0].float().log_softmax(-1)
            expected.append(sum(logprobs[t - 1, whole[t]].item() for t in range(len(start), len(whole))))
        got = [float(weighed[0][0]) for weighed in sample["resps"]]
        assert got == pytest.approx(expected, abs=1e-3)
        right += expected.index(max(expected)) == doc["right"]
    assert figures["acc,none"] == pytest.approx(right / len(samples))
