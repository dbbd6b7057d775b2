"""The command that serves Maverick or Scout on vLLM or SGLang."""

import json
import shlex

import pytest

from apps import cli
from apps.engine_command import CHECKPOINTS, engine_command
from model.checkpoint import DEMO_WEIGHTS


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def test_maverick_on_vllm_is_the_fp8_checkpoint_shared_out_with_routed_experts_on():
    made = engine_command("maverick")
    assert made.arguments[:3] == ["vllm", "serve", "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8"]
    assert option(made.arguments, "--tensor-parallel-size") == "8"
    assert option(made.arguments, "--max-model-len") == "131072"
    assert json.loads(option(made.arguments, "--limit-mm-per-prompt")) == {"image": 10}
    assert "--enable-return-routed-experts" in made.arguments and not made.warnings
    said = " ".join(made.notes)
    assert "chat template comes with the checkpoint" in said and "prefix caching" in said
    assert 'workbench.connect("http://127.0.0.1:8000/v1")' in said


def test_scout_on_sglang_has_sglangs_names_for_the_same():
    made = engine_command("scout", "sglang", gpus=4, context=65536, tools=True)
    assert made.arguments[:3] == ["python3", "-m", "sglang.launch_server"]
    assert option(made.arguments, "--model-path") == CHECKPOINTS["scout", "bf16"]
    assert option(made.arguments, "--tp") == "4" and option(made.arguments, "--context-length") == "65536"
    assert option(made.arguments, "--chat-template") == "llama-4"
    assert option(made.arguments, "--tool-call-parser") == "pythonic"
    assert {"--enable-return-routed-experts", "--enable-multimodal"} <= set(made.arguments)
    assert "return_routed_experts" in " ".join(made.notes) and not made.warnings


def test_what_is_printed_is_for_a_shell(capsys):
    cli.main(["engine-command", "scout", "--weights", "fp8", "--gpus", "2", "--port", "9000", "--tools"])
    said = capsys.readouterr()
    assert said.err == ""
    lines = [line for line in said.out.splitlines() if not line.startswith("# ")]
    command = shlex.split("\n".join(lines).replace("\\\n", " "))
    assert command == engine_command("scout", gpus=2, weights="fp8", port=9000, tools=True).arguments
    assert option(command, "--tool-call-parser") == "llama4_pythonic"


def test_as_json_it_is_a_list_of_words(capsys):
    cli.main(["engine-command", "maverick", "--engine", "sglang", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["command"] == engine_command("maverick", "sglang").arguments
    assert told["notes"] and told["warnings"] == []


def test_what_cannot_fit_is_printed_with_a_warning(capsys):
    cli.main(["engine-command", "maverick", "--weights", "bf16"])
    said = capsys.readouterr()
    assert "vllm serve meta-llama/Llama-4-Maverick-17B-128E-Instruct \\" in said.out
    assert said.err.startswith("warning: Llama 4 Maverick in bf16 does not fit: 8x H100 is ")
    assert "or --weights fp8" in said.err and "`workbench plan maverick`" in said.err
    assert not engine_command("maverick", weights="bf16", card="H200").warnings
    # the cache counts, too
    assert not engine_command("scout", gpus=4).warnings
    [warning] = engine_command("scout", gpus=4, context=10_485_760).warnings
    assert "a shorter --context" in warning and "a shorter --context" not in said.err


def test_a_folder_is_served_as_it_is_stored():
    made = engine_command("demo", gpus=1, card="24GB")
    assert made.arguments[2] == str(DEMO_WEIGHTS)
    assert option(made.arguments, "--max-model-len") == option(
        engine_command(str(DEMO_WEIGHTS / "config.json"), gpus=1).arguments, "--max-model-len"
    )
    with pytest.raises(ValueError, match="is served as it is stored"):
        engine_command("demo", gpus=1, weights="fp8")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "nowhere"}, "nowhere is neither maverick, scout or demo"),
        ({"engine": "tgi"}, "engine is 'tgi'; expected vllm or sglang"),
        ({"gpus": 6}, "40 and 16 attention heads are given out whole; take 1, 2, 4, 8"),
        ({"gpus": 0}, "0 cards cannot share"),
        ({"card": "Z80"}, "'8xZ80' is no device"),
        ({"context": 2_000_000}, "context is 2000000"),
        ({"weights": "int4"}, "maverick is published in fp8 and bf16"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        engine_command(**{"model": "maverick", **wrong})
