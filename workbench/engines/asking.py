"""What a caller asks for, in an engine's words; what it cannot give is refused before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from model import SamplingParams
from workbench.capture import CaptureError, CaptureOptions
from workbench.engines.dialect import Dialect
from workbench.options import options_of

# settings that OpenAI's API does not have, with the value that changes nothing
OURS = {"top_k": None, "min_p": 0.0, "repetition_penalty": 1.0}
# what it has, likewise
THEIRS = {"top_p": 1.0, "seed": None, "frequency_penalty": 0.0, "presence_penalty": 0.0}


def request_fields(dialect: Dialect, sampling: SamplingParams, stream: bool, tokenizer: bool) -> dict:
    """The fields of a request beside its messages.

    Raises:
        ValueError: a setting that the engine does not have; names it.
    """
    for name, idle in OURS.items():
        if not dialect.samples and (value := getattr(sampling, name)) != idle:
            raise ValueError(f"{name} is {value}, and {dialect.name} has no such setting; leave it out")
    asked = {name: getattr(sampling, name) for name in ("temperature", "max_tokens")}
    settings = {name: (getattr(sampling, name), idle) for name, idle in (THEIRS | OURS).items()}
    asked |= {name: value for name, (value, idle) in settings.items() if value != idle}
    if sampling.stop:
        asked["stop"] = list(sampling.stop)
    if sampling.logit_bias:
        asked["logit_bias"] = {str(token): added for token, added in sampling.logit_bias}
    asked |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
    asked |= dialect.streamed if stream else dialect.whole
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return asked | (dialect.with_tokenizer if tokenizer else {})


def check_capture(
    dialect: Dialect, capture: CaptureOptions | str | Sequence[str] | None, stream: bool
) -> None:
    """Refuse what the engine cannot observe; None is whatever it tells.

    Raises:
        ValueError: there is no such name.
        CaptureError: it can be observed in a model that runs here, but not there.
    """
    if capture is None:
        return
    options = options_of(capture)
    if dialect.observes:
        usual, free = asdict(CaptureOptions()), ("routing", "router_logits", "attention")
        strange = [one.name for one in fields(options) if getattr(options, one.name) != usual[one.name]]
        if refused := [name for name in strange if name not in free]:
            raise CaptureError(
                f"{refused[0]} is asked for; {dialect.name} observes routing and attention as "
                "CaptureOptions() has them: leave capture out, or open the model here with wb.load"
            )
    elif options != CaptureOptions(attention=False, router_logits=False):
        raise CaptureError(
            f"{dialect.alone}; leave capture out, or open the model here with wb.load to see more"
        )
    elif stream and dialect.never_streamed:
        raise CaptureError(f"{dialect.name} tells no experts in a stream: ask with chat or trace")
