"""Trace: what was observed while one answer was generated.

One frozen object with named axes (workbench/layout.py), saved as one safetensors file
(workbench/trace_file.py) that opens without the model. Absent is not zero: -1 marks an expert that was not
captured, NaN a place without a picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.layout import GENERATED, LAYOUT, NOT_CAPTURED, OPTIONAL, PROMPT, TraceError, check_layout

if TYPE_CHECKING:
    import pandas
    import xarray

    from workbench.integrity import Integrity
    from workbench.view.widget import TraceWidget

__all__ = ["GENERATED", "LAYOUT", "NOT_CAPTURED", "OPTIONAL", "PROMPT", "Trace", "TraceError", "replace"]


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One observed generation. Axes: see LAYOUT in workbench/layout.py.

    Attributes:
        token_ids, tokens: [token]; the strings are for display only.
        phase: [token] 0 prompt, 1 generated. turn, role, modality: [token] as in `model.processor.Spans`.
        image_index, tile_index, patch_row, patch_col: [token], -1 where the token is no image patch.
        is_thumbnail: [token]; the patch belongs to the whole picture's small copy, not to a tile.
        patch_box: [token, 4] x0, y0, x1, y1 in pixels of the original picture; NaN for text and padding.
        image_sizes: [image, 2] width and height of the original pictures; `images` may be reduced copies.
        moe_layers: [moe_layer] true layer numbers. num_experts: experts per layer.
        routed_experts: [token, moe_layer, rank]; -1 not captured, or no expert of this rank (which only an
            edit of the weights brings about).
        routed_weights: [token, moe_layer, rank] the applied gate, a sigmoid in 0..1 unless edited, rounded to
            float16 (exact for half precision from 2**-17 up); NaN where the expert is -1.
        router_logits: [token, moe_layer, expert] before top-k; None if not asked for.
        attention: [query, layer, head, token] float16 or float32, probabilities of the chosen rows; None if
            not asked for.
        query_index: [query] the token whose row it is. attention_layers: [layer] true layer numbers.
        attention_heads: [head] true head numbers; all of them unless said otherwise.
        generated_index: [generated] their places. logprobs, topk_ids, topk_logprobs: the model's own step.
        edits: every intervention. provenance: per array REAL, RECOMPUTED, DERIVED or MISSING. meta: model,
            versions, timing.
    """

    token_ids: np.ndarray
    tokens: list[str]
    phase: np.ndarray
    turn: np.ndarray
    role: np.ndarray
    modality: np.ndarray
    image_index: np.ndarray
    tile_index: np.ndarray
    is_thumbnail: np.ndarray
    patch_row: np.ndarray
    patch_col: np.ndarray
    patch_box: np.ndarray
    image_sizes: np.ndarray
    moe_layers: np.ndarray
    num_experts: int
    routed_experts: np.ndarray
    routed_weights: np.ndarray
    router_logits: np.ndarray | None
    attention: np.ndarray | None
    attention_layers: np.ndarray
    query_index: np.ndarray
    generated_index: np.ndarray
    logprobs: np.ndarray
    topk_ids: np.ndarray
    topk_logprobs: np.ndarray
    attention_heads: np.ndarray | None = None
    images: list[Image.Image] = field(default_factory=list)
    edits: list[dict] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.attention_heads is None:
            # all of them, counted from 0
            heads = self.attention.shape[2] if np.ndim(self.attention) == 4 else 0
            object.__setattr__(self, "attention_heads", np.arange(heads, dtype=np.int16))
        sizes = {"t": len(self.tokens), "i": len(self.images), "e": self.num_experts}
        check_layout({name: getattr(self, name) for name in LAYOUT}, sizes)
        if not isinstance(self.text, str):
            raise TraceError(f"meta has the text {self.text!r}; expected a string")

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return (
            f"Trace({len(self)} tokens, {len(self.generated_index)} generated, {len(self.images)} images, "
            f"{len(self.moe_layers)} MoE layers x {self.num_experts} experts: {text!r})"
        )

    @property
    def text(self) -> str:
        """The answer."""
        return self.meta.get("text", "")

    def row_predicting(self, token: int) -> int:
        """The row that predicted `token`: the one before it. A word's attention and logits stand there.

        Raises:
            IndexError: there is no such token, or nothing predicts the first one.
        """
        if not 0 < token < len(self):
            raise IndexError(
                f"token {token} of {len(self)} is predicted by no row; expected 1 to {len(self) - 1}"
            )
        return token - 1

    def attention_row(self, token: int) -> np.ndarray | None:
        """Attention [layer, head, token] of the row that predicted `token`; None if not captured."""
        found = np.flatnonzero(self.query_index == self.row_predicting(token))
        return None if self.attention is None or not len(found) else self.attention[found[0]]

    def attention_on_images(self, token: int) -> np.ndarray | None:
        """Attention [image, layer, head] that the row predicting `token` gave to each picture's patches."""
        row = self.attention_row(token)
        if row is None:
            return None
        patches = [(self.image_index == i) & (self.patch_row >= 0) for i in range(len(self.images))]
        shares = [row[..., mine].sum(-1, dtype=np.float32) for mine in patches]
        return np.stack(shares) if shares else np.zeros((0, *row.shape[:2]), np.float32)

    def save(self, path: str | Path, images: bool = True) -> Path:
        """Write one safetensors file; `images=False` leaves the pictures out (their sizes stay).

        The file appears whole or not at all.
        """
        from workbench.trace_file import write

        return write(self, path, images)

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Read a file that `save` wrote; needs no model.

        Raises:
            TraceError: the file is broken or was changed, is no trace, or comes from a later version.
        """
        from workbench.trace_file import read

        return read(cls, path)

    @classmethod
    def of_routing(cls, experts: np.ndarray, num_experts: int, **parts: object) -> Trace:
        """A trace that has nothing but routing, made by hand (see `workbench.bare.of_routing`).

        `Trace.of_routing([[3], [1]], num_experts=4)`: two tokens, one layer. With `logits=`, `weights=`,
        `token_ids=`, `tokens=`, `moe_layers=`, `prompt=` and columns such as `modality=` it has those too.
        """
        from workbench.bare import of_routing

        return of_routing(cls, experts, num_experts, **parts)

    @classmethod
    def from_vllm(
        cls, routed_experts: object, token_ids: Sequence[int], num_experts: int, **parts: object
    ) -> Trace:
        """A trace of what vLLM returned with `enable_return_routed_experts`; what it does not tell is absent.

        Args:
            routed_experts: [tokens, layers, ranks], of prompt and answer or of the answer alone: an array,
                lists, or base64 of a .npy file, as it came.
            token_ids: of prompt and answer. num_experts: experts per layer.
            parts: `prompt_routed_experts` where they come apart, `prompt` (its tokens), `moe_layers` (true
                numbers; where the array has every decoder layer, these are taken), `tokens` (texts).

        Raises:
            TraceError: the array does not fit the tokens, the layers or the experts.
        """
        from workbench.engines.vllm import from_vllm

        return from_vllm(cls, routed_experts, token_ids, num_experts, **parts)

    @classmethod
    def from_sglang(
        cls,
        routed_experts: str | bytes,
        token_ids: Sequence[int],
        num_experts: int,
        moe_layers: Sequence[int],
        **parts: object,
    ) -> Trace:
        """A trace of what SGLang returned with `return_routed_experts`; what it does not tell is absent.

        Args:
            routed_experts: base64 of int32 [tokens, layers, ranks]; the shared expert's slots are left out.
            token_ids, num_experts, moe_layers: as for `from_vllm`.
            parts: `layers` (how many the array has, if not the MoE layers alone), `top` (ranks), `prompt`,
                `tokens`.

        Raises:
            TraceError: it is no base64, or does not fit the tokens, the layers or the experts.
        """
        from workbench.engines.sglang import from_sglang

        return from_sglang(cls, routed_experts, token_ids, num_experts, moe_layers, **parts)

    def to_vllm(self) -> np.ndarray:
        """The experts as vLLM's `routed_experts`: int16 [tokens, MoE layers, ranks]; -1 is not captured."""
        from workbench.engines.vllm import to_vllm

        return to_vllm(self)

    def to_sglang(self) -> str:
        """The experts as SGLang's `routed_experts`: base64 of int32 [tokens, MoE layers, ranks].

        As there, an answer's last token has no row. -1 is not captured, which SGLang does not know.
        """
        from workbench.engines.sglang import to_sglang

        return to_sglang(self)

    def to_pandas(
        self, what: str = "tokens", layers: Sequence[int] | None = None, heads: Sequence[int] | None = None
    ) -> pandas.DataFrame:
        """A tidy table: "tokens", "routing", "router_logits", "attention", "probabilities" or "images".

        What was not captured has no row. `layers` and `heads` (true numbers) choose some.

        Raises:
            ValueError: there is no such table; says the nearest.
            TraceError: it was not captured, or would have more than 20 million rows.
            ImportError: pandas is not installed.
        """
        from workbench.export import to_pandas

        return to_pandas(self, what, layers, heads)

    def to_csv(
        self,
        path: str | Path,
        what: str = "tokens",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
    ) -> Path:
        """Write one of the tables of `to_pandas` as UTF-8 CSV; a missing number is an empty cell."""
        from workbench.export import to_csv

        return to_csv(self, path, what, layers, heads)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Every array that is there, by name, and the tokens' texts; not copies."""
        from workbench.export import to_numpy

        return to_numpy(self)

    def to_xarray(self) -> xarray.Dataset:
        """A Dataset with named dimensions and true layer, head and token numbers along them.

        Raises:
            ImportError: xarray is not installed.
        """
        from workbench.export import to_xarray

        return to_xarray(self)

    def check(self) -> Integrity:
        """Whether this can be what happened (see `workbench.integrity.check`)."""
        from workbench.integrity import check  # it knows the model, which nobody needs to open a trace

        return check(self)

    def view(self, **options: object) -> TraceWidget:
        """The linked view as a notebook widget (see `workbench.view.widget.TraceWidget`).

        What is chosen in it is `view.selection`; `view.observe(f, names="selection")` calls f at each choice.
        """
        from workbench.view.widget import TraceWidget  # a widget library nobody needs to open a trace

        return TraceWidget(self, **options)

    def to_html(self, path: str | Path) -> Path:
        """Write the linked view as one self-contained HTML file."""
        from workbench.view.html import to_html

        return to_html(self, path)


def replace(trace: Trace, **changes: object) -> Trace:
    """A copy of the trace with some fields changed."""
    return dataclasses.replace(trace, **changes)
