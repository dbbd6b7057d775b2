"""Which engine answers at a URL, with which model, and what is at hand of that model."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from model import Llama4Config, Processor, TextConfig
from model.checkpoint import DEMO_WEIGHTS
from model.published import NAMES, published
from workbench.engines.assemble import Source
from workbench.engines.dialect import PLAIN, Dialect
from workbench.engines.own import OWN
from workbench.engines.session import EngineSession
from workbench.engines.sglang import SGLANG
from workbench.engines.vllm import VLLM
from workbench.engines.wire import EngineError, Wire

DIALECTS = {dialect.owner: dialect for dialect in (VLLM, SGLANG, OWN)}


def connect(
    url: str,
    api_key: str | None = None,
    model: str | None = None,
    engine: str | None = None,
    checkpoint: str | Path | None = None,
    timeout: float = 600.0,
) -> EngineSession:
    """Open a session over a model that vLLM, SGLang or our own server runs.

    `wb.connect("http://host:8000/v1", checkpoint="path/to/Llama-4-Scout-17B-16E-Instruct").chat("Hello!")`

    Our own server observes like a session. The others tell which experts were chosen, if they were started
    so; never gates, logits or attention. Any other OpenAI-compatible server just answers.

    Args:
        url: of the API, ending with /v1.
        api_key: if the server wants one.
        model: its name there; may be left out where there is but one.
        engine: "vllm", "sglang" or "moe-workbench", if the server does not say so itself (behind a gateway).
        checkpoint: what is at hand of the model: a folder with its config.json, tokenizer and picture
            settings (no weights are needed), a config.json alone, "scout", "maverick" or "demo". The config
            says which layers have how many experts; for the published models their usual names say it, too.
            The tokenizer tells words, turns and the patches of pictures apart.
        timeout: seconds of silence that are borne.

    Raises:
        ValueError: an argument is not usable; says which and why.
        EngineError: nobody answers there, or it refuses.
    """
    if engine is not None and engine not in DIALECTS:
        raise ValueError(f"engine is {engine!r}; expected {', '.join(map(repr, DIALECTS))} or None")
    config, said, processor = _at_hand(checkpoint)
    wire = Wire(url, api_key, timeout)
    owners = _models(wire, known=bool(engine and model))
    model = _chosen(wire, model, owners)
    dialect = DIALECTS[engine] if engine else _dialect(owners.get(model, ""))
    if config is None:
        config, said = _by_name(model)
    return EngineSession(wire, Source(dialect, model, config, said, processor))


def _models(wire: Wire, known: bool) -> dict[str, str]:
    """Who serves each model; nothing where a gateway does not tell and it need not be told."""
    try:
        listed = wire.get("models").get("data")
    except EngineError as error:
        if known and error.status in (404, 405):
            return {}
        raise
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "id" in one for one in listed):
        raise EngineError(f"{wire.url}/models does not list models; is this an OpenAI-compatible server?")
    return {str(one["id"]): str(one.get("owned_by", "")) for one in listed}


def _chosen(wire: Wire, model: str | None, owners: dict[str, str]) -> str:
    there = ", ".join(map(repr, list(owners)[:10])) or "none"
    if model is None and len(owners) != 1:
        said = f"{wire.url} has {len(owners)} models ({there}); choose one: connect(..., model=...)"
        raise ValueError(said)
    if model is not None and owners and model not in owners:
        near = get_close_matches(model, owners, n=1)
        hint = f"; nearest: {near[0]!r}" if near else ""
        raise ValueError(f"{wire.url} has no model {model!r}{hint}; it has {there}")
    return model or next(iter(owners))


def _dialect(owner: str) -> Dialect:
    return DIALECTS.get(owner.lower(), PLAIN)


def _at_hand(checkpoint: str | Path | None) -> tuple[TextConfig | None, str, Processor | None]:
    """Layers and experts, where they are from, and the tokenizer, out of what the caller gave."""
    if checkpoint is None:
        return None, "", None
    if checkpoint in NAMES:
        return published(checkpoint).text, f"the published config of {checkpoint}", None
    path = DEMO_WEIGHTS if checkpoint == "demo" else Path(checkpoint).expanduser()
    if path.is_file():
        return Llama4Config.from_file(path).text, f"{path.name}, given with connect", None
    if not path.is_dir():
        raise ValueError(
            f"checkpoint is {str(checkpoint)!r}; expected a folder, a config.json, 'demo', "
            f"{' or '.join(map(repr, NAMES))}"
        )
    config = Llama4Config.from_file(path / "config.json")
    return (
        config.text,
        f"the config of {Path(checkpoint).name}, given with connect",
        Processor.from_folder(path, config),
    )


def _by_name(model: str) -> tuple[TextConfig | None, str]:
    for name in NAMES:
        if f"llama-4-{name}" in model.lower():
            return published(name).text, f"the published config of {name}, by the model's name"
    return None, "not known"
