"""The shapes of the published Llama 4 models, to count with before anything is downloaded.

Facts from their `config.json`; everything that is not named here has the same value in both, the default of
`TextConfig`.
"""

from __future__ import annotations

from model.config import Llama4Config, RopeScaling, TextConfig, VisionConfig

NAMES = ("maverick", "scout")


def published(name: str) -> Llama4Config:
    """The configuration of `Llama-4-Maverick-17B-128E` or `Llama-4-Scout-17B-16E` (Instruct, BF16).

    Raises:
        ValueError: there is no such model.
    """
    if name not in NAMES:
        raise ValueError(f"no published Llama 4 is called {name!r}; expected {' or '.join(NAMES)}")
    scout = name == "scout"
    layers = range(48)
    text = TextConfig(
        num_local_experts=16 if scout else 128,
        moe_layers=tuple(layers) if scout else tuple(layers[1::2]),
        rope_layers=tuple((layer + 1) % 4 != 0 for layer in layers),
        rope_scaling=RopeScaling(16.0, 1.0, 1.0, 8192) if scout else None,
        use_qk_norm=scout,
        max_position_embeddings=10485760 if scout else 1048576,
        bos_token_id=200000,
        eos_token_id=(200001, 200007, 200008),
        pad_token_id=200018,
    )
    return Llama4Config(text, VisionConfig(hidden_size=1408, image_size=336, vision_output_dim=4096))
