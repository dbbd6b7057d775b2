"""Traces made by hand: routers whose truth is known, and routers that know nothing."""

import numpy as np

from workbench.trace import Trace

TEXT, PATCH = 0, 1


def trace_of(
    experts: np.ndarray,
    num_experts: int = 4,
    logits: np.ndarray | None = None,
    meta: dict | None = None,
    **columns: np.ndarray,
) -> Trace:
    """A trace whose tokens went to `experts` [T, M] or [T, M, K]; without logits all gates are one half."""
    experts = np.asarray(experts)
    experts = experts[..., None] if experts.ndim == 2 else experts
    tokens, layers = experts.shape[:2]
    return Trace.of_routing(
        experts,
        num_experts,
        weights=np.full(experts.shape, 0.5) if logits is None else None,
        logits=logits,
        moe_layers=range(1, 2 * layers, 2),
        meta=meta,
        **{"token_ids": np.arange(tokens) % 7, "role": np.ones(tokens)} | columns,
    )


def vectors(rng: np.random.Generator, tokens: int, width: int, like: float, about: float = 0.7) -> np.ndarray:
    """Vectors [T, width] of which neighbours are alike (an autoregression), about a common mean."""
    noise = rng.standard_normal((tokens, width)) * np.sqrt(1 - like**2)
    rows = np.empty_like(noise)
    rows[0] = rng.standard_normal(width)
    for at in range(1, tokens):
        rows[at] = like * rows[at - 1] + noise[at]
    return rows + about * rng.standard_normal(width)


def untrained(
    seed: int,
    tokens: int = 200,
    layers: int = 4,
    num_experts: int = 8,
    like: float = 0.8,
    top: int = 1,
    apart: float = 1.0,
) -> Trace:
    """Routers with random weights: neighbours are alike, layers see nearly the same vector, and the patches
    that stand in one piece in the middle lie apart from the words."""
    rng = np.random.default_rng(seed)
    seen = vectors(rng, tokens, 24, like)
    modality = np.zeros(tokens, np.int8)
    modality[tokens // 4 : tokens // 2] = PATCH
    seen += apart * (modality == PATCH)[:, None] * rng.standard_normal(24)
    rows = []
    for _ in range(layers):
        seen = seen + 0.3 * rng.standard_normal(seen.shape)
        rows.append(seen @ rng.standard_normal((24, num_experts)) * 0.3)
    logits = np.stack(rows, 1)
    experts = np.argsort(-logits, axis=-1)[..., :top]
    return trace_of(experts, num_experts, logits, modality=modality)


def lots(seed: int, tokens: int, layers: int, num_experts: int) -> Trace:
    """Routers that draw lots, without logits."""
    rng = np.random.default_rng(seed)
    return trace_of(rng.integers(0, num_experts, (tokens, layers)), num_experts)


def picture(
    maps: np.ndarray, num_experts: int = 4, tiles: tuple[int, int] = (1, 1), logits: np.ndarray | None = None
) -> Trace:
    """One picture of 10 pixels a patch, whose patches went to the experts `maps` [M, H, W]; its tiles follow
    one another row by row, between two words."""
    layers, height, width = maps.shape
    down, across = height // tiles[0], width // tiles[1]
    places = [
        (tile_row * tiles[1] + tile_col, row, col, tile_row * down + row, tile_col * across + col)
        for tile_row in range(tiles[0])
        for tile_col in range(tiles[1])
        for row in range(down)
        for col in range(across)
    ]
    tile, row, col, y, x = np.array(places).T
    word = np.full(1, -1)

    def column(values: np.ndarray) -> np.ndarray:
        return np.concatenate([word, values, word]).astype(np.int16)

    boxes = np.full((len(y) + 2, 4), np.nan, np.float32)
    boxes[1:-1] = np.stack([x, y, x + 1, y + 1], 1) * 10
    ends = np.zeros((1, layers), int)
    flat = None
    if logits is not None:
        flat = np.zeros((len(y) + 2, layers, num_experts))
        flat[1:-1] = logits[:, y, x].swapaxes(0, 1)
    return trace_of(
        np.concatenate([ends, maps[:, y, x].T, ends]),
        num_experts,
        flat,
        modality=(column(tile) >= 0).astype(np.int8),
        image_index=column(np.zeros_like(tile)),
        tile_index=column(tile),
        patch_row=column(row),
        patch_col=column(col),
        patch_box=boxes,
        image_sizes=np.array([[width * 10, height * 10]], np.int32),
    )
