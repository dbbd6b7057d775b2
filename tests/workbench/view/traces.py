"""Traces made by hand, small enough to know every number in them."""

import numpy as np
from PIL import Image, ImageDraw

from workbench.trace import GENERATED, PROMPT, Trace

SIDE = 5  # patches along one side of a tile
TEXT, PATCH, STRUCTURE = 0, 1, 2
USER, ASSISTANT = 1, 2


class Builder:
    """Tokens one by one, with the columns that a trace keeps of them."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def add(self, text: str, role: int, turn: int, **columns: object) -> None:
        plain = {
            "modality": TEXT,
            "image_index": -1,
            "tile_index": -1,
            "patch_row": -1,
            "patch_col": -1,
            "is_thumbnail": False,
            "patch_box": [np.nan] * 4,
            "phase": PROMPT,
        }
        self.rows.append(plain | {"text": text, "role": role, "turn": turn} | columns)

    def words(self, texts: list[str], role: int, turn: int, phase: int = PROMPT) -> None:
        for text in texts:
            self.add(text, role, turn, phase=phase)

    def marker(self, name: str, image: int) -> None:
        self.add(f"<|{name}|>", USER, 0, modality=STRUCTURE, image_index=image)

    def patches(self, image: int, tile: int, box: tuple[float, float, float, float], thumbnail: bool) -> None:
        """One tile of SIDE x SIDE patches over `box`, in pixels of the original."""
        x0, y0, x1, y1 = box
        xs, ys = np.linspace(x0, x1, SIDE + 1), np.linspace(y0, y1, SIDE + 1)
        for row in range(SIDE):
            for col in range(SIDE):
                self.add(
                    "<|patch|>",
                    USER,
                    0,
                    modality=PATCH,
                    image_index=image,
                    tile_index=tile,
                    patch_row=row,
                    patch_col=col,
                    is_thumbnail=thumbnail,
                    patch_box=[xs[col], ys[row], xs[col + 1], ys[row + 1]],
                )

    def column(self, name: str, dtype: type) -> np.ndarray:
        return np.array([row[name] for row in self.rows], dtype)


def pictures() -> list[Image.Image]:
    """A wide scene with a red circle on the right, and a tall one with a blue square below."""
    wide, tall = Image.new("RGB", (320, 200), "#f3efe6"), Image.new("RGB", (120, 200), "#20252e")
    ImageDraw.Draw(wide).ellipse((224, 60, 304, 140), fill="#d33a2c")
    ImageDraw.Draw(wide).polygon([(40, 150), (80, 70), (120, 150)], fill="#2f8f4e")
    ImageDraw.Draw(tall).rectangle((24, 120, 96, 192), fill="#3f6fd8")
    return [wide, tall]


def make_trace(
    answer: list[str] | None = None,
    question: list[str] | None = None,
    layers: tuple[int, ...] = (1, 3, 5, 7, 9, 11),
    experts: int = 8,
    with_pictures: bool = True,
    seed: int = 0,
    text: str | None = None,
) -> Trace:
    """A question about two pictures. Image 1: two tiles and a thumbnail; image 2: a single tile.

    Routing is random but captured everywhere; attention of generated word g points at column g (mod 5) of row
    2 of image 1's thumbnail and of its right tile.
    """
    built, images = Builder(), pictures() if with_pictures else []
    built.add("<|begin_of_text|>", -1, -1)
    built.words(["<|header_start|>", "user", "<|header_end|>", "\n\n"], USER, 0)
    if with_pictures:
        built.marker("image_start", 0)
        built.patches(0, 0, (0, 0, 160, 200), False)
        built.marker("tile_x_separator", 0)
        built.patches(0, 1, (160, 0, 320, 200), False)
        built.marker("tile_y_separator", 0)
        built.marker("image", 0)
        built.patches(0, 2, (0, 0, 320, 200), True)
        built.marker("image_end", 0)
        built.marker("image_start", 1)
        built.marker("image", 1)
        built.patches(1, 0, (0, 0, 120, 200), False)
        built.marker("image_end", 1)
    question = question or ["What", " colour", " is", " the", " circle", " in", " image", " ", "1", "?"]
    built.words([*question, "<|eot|>"], USER, 0)
    built.words(["<|header_start|>", "assistant", "<|header_end|>", "\n\n"], ASSISTANT, 1)
    answer = answer or ["The", " circle", " in", " image", " ", "1", " is", " red", ".", "<|eot|>"]
    built.words(answer, ASSISTANT, 1, GENERATED)
    return finish(built, images, layers, experts, seed, text)


def finish(
    built: Builder,
    images: list[Image.Image],
    layers: tuple[int, ...],
    experts: int,
    seed: int,
    text: str | None,
) -> Trace:
    random = np.random.default_rng(seed)
    count = len(built.rows)
    generated = np.flatnonzero(built.column("phase", np.int8) == GENERATED).astype(np.int32)
    spans = {"image_index": np.int16, "tile_index": np.int16, "patch_row": np.int16, "patch_col": np.int16}
    columns = {name: built.column(name, dtype) for name, dtype in spans.items()}
    thumbnail = built.column("is_thumbnail", np.bool_)
    words = [row["text"] for row in built.rows]
    return Trace(
        token_ids=np.arange(count, dtype=np.int32),
        tokens=words,
        phase=built.column("phase", np.int8),
        turn=built.column("turn", np.int16),
        role=built.column("role", np.int8),
        modality=built.column("modality", np.int8),
        is_thumbnail=thumbnail,
        patch_box=built.column("patch_box", np.float32).reshape(-1, 4),
        image_sizes=np.array([image.size for image in images], np.int32).reshape(-1, 2),
        moe_layers=np.array(layers, np.int16),
        num_experts=experts,
        routed_experts=random.integers(0, experts, (count, len(layers), 1)).astype(np.int16),
        routed_weights=random.uniform(0.2, 0.98, (count, len(layers), 1)).astype(np.float16),
        router_logits=None,
        attention=attention(columns, thumbnail, generated, random),
        attention_layers=np.array([3, 7], np.int16),
        query_index=generated - 1,
        generated_index=generated,
        logprobs=np.log(np.linspace(0.5, 0.95, len(generated))).astype(np.float32),
        topk_ids=np.zeros((len(generated), 1), np.int32),
        topk_logprobs=np.zeros((len(generated), 1), np.float32),
        images=images,
        meta={
            "text": "".join(w for w in words[generated[0] :] if not w.startswith("<|"))
            if text is None
            else text,
            "model": "a trace made by hand",
            "default_attention_layer": 7,
        },
        **columns,
    )


def attention(
    columns: dict[str, np.ndarray], thumbnail: np.ndarray, generated: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """[query, 2 layers, 4 heads, token]: a peak that moves with the word, noise, a sink at token 0."""
    rows = random.uniform(0, 0.2, (len(generated), 2, 4, len(thumbnail)))
    rows[..., 0] = 20
    middle = (columns["image_index"] == 0) & (columns["patch_row"] == 2)
    for g, token in enumerate(generated):
        target = middle & (columns["patch_col"] == g % SIDE)
        rows[g, 1][:, target & (thumbnail | (columns["tile_index"] == 1))] += 8
        rows[g, ..., token:] = 0
    return (rows / rows.sum(-1, keepdims=True)).astype(np.float16)
