"""Clean traces by the thousand: routing as a router makes it, without a model."""

import numpy as np

from workbench.provenance import of_capture
from workbench.trace import GENERATED, NOT_CAPTURED, PROMPT, Trace

SIDE = 3  # patches along one side of a picture's only tile


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Float32 values that bfloat16 can hold."""
    return (values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def routed(rng: np.random.Generator, tokens: int, layers: int, experts: int, top: int, half: bool) -> dict:
    """Logits of some spread, the best experts by logit before rounding, and their gates."""
    raw = rng.normal(rng.normal(), rng.uniform(0.05, 5), (tokens, layers, experts)).astype(np.float32)
    raw = bfloat16(raw) if half else raw
    chosen = np.argsort(-raw, axis=-1, kind="stable")[..., :top]
    gates = 1 / (1 + np.exp(-np.take_along_axis(raw, chosen, -1)))
    gates = bfloat16(gates) if half else gates
    return {
        "router_logits": raw.astype(np.float16),
        "routed_experts": chosen.astype(np.int16),
        "routed_weights": gates.astype(np.float16),
    }


def attention_rows(rng: np.random.Generator, query: np.ndarray, tokens: int, layers: int) -> np.ndarray:
    """Softmax rows [query, layer, 2 heads, token] that see nothing later."""
    rows = np.zeros((len(query), layers, 2, tokens), np.float16)
    for number, at in enumerate(query):
        scores = np.exp(rng.normal(0, 2, (layers, 2, at + 1)))
        rows[number, ..., : at + 1] = scores / scores.sum(-1, keepdims=True)
    return rows


def clean_trace(seed: int, **fixed: object) -> Trace:
    """A random trace without a flaw; `fixed` sets layers, experts, top, prompt, new, finished, picture."""
    rng = np.random.default_rng(seed)
    drawn = {
        "layers": int(rng.integers(1, 7)),
        "experts": int(rng.choice([2, 4, 8, 16, 128])),
        "top": int(rng.integers(1, 3)),
        "prompt": int(rng.integers(1, 60)),
        "new": int(rng.integers(0, 12)),
        "finished": bool(rng.integers(2)),
        "picture": bool(rng.integers(2)),
        "half": bool(rng.integers(2)),
    } | fixed
    if drawn["picture"]:
        drawn["prompt"] += SIDE * SIDE + 2
    layers, tokens, new = drawn["layers"], drawn["prompt"] + drawn["new"], drawn["new"]
    arrays = routed(rng, tokens, layers, drawn["experts"], drawn["top"], drawn["half"])
    if not drawn["finished"] and new:
        arrays["routed_experts"][-1] = NOT_CAPTURED
        arrays["routed_weights"][-1] = arrays["router_logits"][-1] = np.nan
    generated = np.arange(tokens - new, tokens, dtype=np.int32)
    likeliest = np.log(np.sort(rng.dirichlet(np.ones(9), new))[:, :-6:-1]).astype(np.float32)
    top_ids = np.argsort(rng.random((new, 50)))[:, :5].astype(np.int32)
    ids = rng.integers(50, 90, tokens).astype(np.int32)
    ids[generated] = top_ids[:, 0]
    step = int(rng.integers(1, 3))
    queries = generated - 1 if drawn["prompt"] else generated[:0]
    return Trace(
        token_ids=ids,
        tokens=[str(token) for token in ids],
        phase=np.repeat(np.array([PROMPT, GENERATED], np.int8), [tokens - new, new]),
        turn=np.zeros(tokens, np.int16),
        role=np.ones(tokens, np.int8),
        **spans(tokens, drawn["picture"]),
        image_sizes=np.array([[30, 40]] * drawn["picture"], np.int32).reshape(-1, 2),
        moe_layers=np.arange(step - 1, step * layers, step, dtype=np.int16),
        num_experts=drawn["experts"],
        **arrays,
        attention=attention_rows(rng, queries, tokens, 2),
        attention_layers=np.arange(2, dtype=np.int16),
        query_index=queries.astype(np.int32),
        generated_index=generated,
        logprobs=likeliest[:, 0],
        topk_ids=top_ids,
        topk_logprobs=likeliest,
        images=pictures(drawn["picture"]),
        provenance=of_capture("numpy, bfloat16" if drawn["half"] else "numpy, float32"),
        meta={"finish_reason": "stop" if drawn["finished"] else None},
    )


def pictures(there: bool) -> list:
    from PIL import Image

    return [Image.new("RGB", (30, 40))] if there else []


def spans(tokens: int, picture: bool) -> dict[str, np.ndarray]:
    """Words, and in front of them one picture of one tile if there is any."""
    minus = {
        name: np.full(tokens, -1, np.int16)
        for name in ("image_index", "tile_index", "patch_row", "patch_col")
    }
    modality, boxes = np.zeros(tokens, np.int8), np.full((tokens, 4), np.nan, np.float32)
    if picture:
        end = SIDE * SIDE + 1
        modality[0], modality[1:end], modality[end] = 2, 1, 2
        minus["image_index"][: end + 1] = 0
        minus["tile_index"][1:end] = 0
        rows, cols = np.divmod(np.arange(SIDE * SIDE), SIDE)
        minus["patch_row"][1:end], minus["patch_col"][1:end] = rows, cols
        boxes[1:end] = np.stack([cols * 10, rows * 10, cols * 10 + 10, rows * 10 + 10], 1)
    return minus | {"modality": modality, "patch_box": boxes, "is_thumbnail": np.zeros(tokens, bool)}
