"""The command that starts Maverick, Scout or any Llama 4 on vLLM or SGLang, with routed experts on.

Flags, checkpoints and what they need, from the engines' own pages (read in November 2026):

- vLLM: docs.vllm.ai/en/latest/training/routed_experts (the flag; prefix caching, one pipeline stage, Model
  Runner V2), blog.vllm.ai/2025/04/05/llama4.html (checkpoints, cards, pictures a request),
  docs.vllm.ai/en/latest/features/tool_calling (parser and template).
- SGLang: docs.sglang.io/basic_usage/llama4.html (cards, length, template, pictures),
  docs.sglang.io/advanced_features/server_arguments.html (routed experts),
  docs.sglang.io/advanced_features/tool_parser.html.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from model.checkpoint import DEMO_WEIGHTS
from model.config import Llama4Config
from model.published import NAMES
from workbench import plan as planning
from workbench.devices import GIB

ENGINES = ("vllm", "sglang")
PORTS = {"vllm": 8000, "sglang": 30000}  # the engines' own
LENGTH = 131072  # tokens of one sequence, unless the model takes fewer
PICTURES = 10  # of one request: Llama 4 does well with eight to ten, says vLLM
CHECKPOINTS = {
    ("maverick", "fp8"): "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    ("maverick", "bf16"): "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    ("scout", "fp8"): "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic",
    ("scout", "bf16"): "meta-llama/Llama-4-Scout-17B-16E-Instruct",
}
USUAL = {"maverick": "fp8", "scout": "bf16"}  # what Meta publishes for eight cards


@dataclass(frozen=True)
class EngineCommand:
    """A command and what to know before it is given.

    Attributes:
        parts: the program and then each option with its value.
        notes: whole sentences. warnings: why it will not start as it stands; empty where nothing speaks
            against it.
    """

    parts: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """The command as a list of words, for a program that starts it."""
        return [word for part in self.parts for word in part]

    def __str__(self) -> str:
        """The notes as comments and the command, for a shell."""
        notes = [f"# {note}" for note in self.notes]
        return "\n".join([*notes, " \\\n  ".join(shlex.join(part) for part in self.parts)])


def engine_command(
    model: str,
    engine: str = "vllm",
    gpus: int = 8,
    card: str = "H100",
    context: int | None = None,
    weights: str | None = None,
    port: int | None = None,
    tools: bool = False,
) -> EngineCommand:
    """How to serve a model so that `workbench.connect` sees its routing.

    Args:
        model: "maverick", "scout", or the folder of a checkpoint. engine: "vllm" or "sglang".
        gpus: cards of one machine. card: which, by a name or memory that `Device.parse` knows.
        context: the longest sequence in tokens; 131072, or all that the model takes.
        weights: "fp8" or "bf16", of maverick and scout; a folder is served as it is stored.
        port: the engine's own by default. tools: parse the model's calls of tools.

    Raises:
        ValueError: there is no such model, engine, card or checkpoint, the context is longer than the
            model's, or its heads cannot be shared out over so many cards.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; expected {' or '.join(ENGINES)}")
    name, config = planning.find(model)
    _check_cards(name, config, gpus)
    weights, checkpoint = _checkpoint(model, weights)
    context = min(LENGTH, config.text.max_position_embeddings) if context is None else context
    plan = planning.plan(model, context, devices=[f"{gpus}x{card}"])
    scheme = next((one for one in plan.schemes if one.name == weights), plan.schemes[0])
    make = _vllm if engine == "vllm" else _sglang
    parts, notes = make(checkpoint, config, gpus, context, port or PORTS[engine], tools)
    at_least = f"at least {_gib(scheme.weights)} of weights, {_gib(plan.cache)} of keys and values"
    room = f"the cards have room for {_gib(plan.devices[0].usable)}"
    heading = f"{name} in {scheme.name} on {plan.devices[0]}: {at_least} for {context:,} tokens; {room}."
    reach = f'Then in Python: workbench.connect("http://127.0.0.1:{port or PORTS[engine]}/v1")'
    return EngineCommand(parts, (heading, *notes, reach), _warnings(plan, scheme, model))


def _check_cards(name: str, config: Llama4Config, gpus: int) -> None:
    """Tensor parallelism gives every card whole heads, of the text and of the vision tower."""
    towers = [config.text, *([config.vision] if config.vision else [])]
    heads = [tower.num_attention_heads for tower in towers]
    possible = [count for count in range(1, min(heads) + 1) if not any(each % count for each in heads)]
    if gpus not in possible:
        counts = " and ".join(map(str, heads))
        raise ValueError(
            f"{gpus} cards cannot share {name}: its {counts} attention heads are given out whole; take "
            f"{', '.join(map(str, possible))}"
        )


def _checkpoint(model: str, weights: str | None) -> tuple[str, str]:
    """In which form, and under which name, the weights are fetched."""
    if model in NAMES:
        weights = weights or USUAL[model]
        if (model, weights) not in CHECKPOINTS:
            raise ValueError(f"weights is {weights!r}; {model} is published in fp8 and bf16")
        return weights, CHECKPOINTS[model, weights]
    if weights is not None:
        raise ValueError(f"weights chooses between published checkpoints; {model} is served as it is stored")
    folder = DEMO_WEIGHTS if model == "demo" else Path(model).expanduser().resolve()
    return "", str(folder if folder.is_dir() else folder.parent)


Made = tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]


def _vllm(checkpoint: str, config: Llama4Config, gpus: int, context: int, port: int, tools: bool) -> Made:
    parts = [
        ("vllm", "serve", checkpoint),
        ("--tensor-parallel-size", str(gpus)),
        ("--max-model-len", str(context)),
        ("--enable-return-routed-experts",),
    ]
    if config.vision:
        parts.append(("--limit-mm-per-prompt", f'{{"image": {PICTURES}}}'))
    if tools:
        parts += [("--enable-auto-tool-choice",), ("--tool-call-parser", "llama4_pythonic")]
    template = "The chat template comes with the checkpoint; --chat-template FILE takes another."
    if tools:
        template += " For tools vLLM ships examples/tool_chat_template_llama4_pythonic.jinja."
    notes = (
        template,
        "Routed experts come with every answer. They need prefix caching (on unless it is switched off), one "
        "pipeline stage, and Model Runner V2: VLLM_USE_V2_MODEL_RUNNER=1 where vLLM takes the older one.",
    )
    return (*parts, ("--port", str(port))), notes


def _sglang(checkpoint: str, config: Llama4Config, gpus: int, context: int, port: int, tools: bool) -> Made:
    parts = [
        ("python3", "-m", "sglang.launch_server"),
        ("--model-path", checkpoint),
        ("--tp", str(gpus)),
        ("--context-length", str(context)),
        ("--chat-template", "llama-4"),
        ("--enable-return-routed-experts",),
    ]
    if config.vision:
        parts.append(("--enable-multimodal",))
    if tools:
        parts.append(("--tool-call-parser", "pythonic"))
    notes = (
        "The chat template llama-4 comes with SGLang; chat completions need it.",
        "Routed experts come with those answers whose request says return_routed_experts.",
    )
    return (*parts, ("--port", str(port))), notes


def _warnings(plan: planning.Plan, scheme: planning.Scheme, model: str) -> tuple[str, ...]:
    device = plan.devices[0]
    room = scheme.room[str(device)]
    if room >= 0:
        return ()
    ways = ["more or larger cards"]
    if room + plan.cache >= 0:
        ways.append("a shorter --context")
    if scheme.name == "bf16" and model in NAMES:
        ways.append("--weights fp8")
    return (
        f"{plan.name} in {scheme.name} does not fit: {device} is {_gib(-room)} short. Take "
        f"{' or '.join(ways)}; `workbench plan {shlex.quote(model)}` shows which hold it.",
    )


def _gib(amount: int) -> str:
    return f"{amount / GIB:,.1f} GiB"
