"""Edits of what is seen: patches of a picture hidden or blurred.

In pixels, before the tower: what a person would do with a marker pen. In tokens, behind the tower: exact, but
the tower has already carried what a patch shows to its neighbours. The two disagree; report both.

N tiles, S pixels of a tile's side
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.hooks import replaced
from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import EditError
from workbench.fills import Fill, colour
from workbench.interventions.changes import Described, NothingChangedError
from workbench.interventions.regions import Box, Region, boxes_of, rectangle
from workbench.interventions.tokens import tokens_to_json

PIXELS, TOKENS = "pixels", "tokens"
_INVISIBLE = 1e-3  # of a range from -1 to 1; one grey level is 8e-3, the rounding of a blur 1e-7
FILLS = {PIXELS: ("background", "mean"), TOKENS: ("mean", "zero")}


@dataclass(frozen=True, repr=False)
class HidePatches(Described):
    """Hide a part of a picture from the model.

    What it means: what the answer loses when the model cannot see this. A box is hidden in every copy of the
    picture (its tiles and its thumbnail); a patch only where it is. When it misleads: a fill is something to
    see, too, and a covered picture is unlike those of training; hiding any part of that size does something,
    so compare with others (see `ab`). Behind the tower (`where="tokens"`) the neighbours still know of it.
    Source: occlusion, Zeiler & Fergus 2014; object tokens, arXiv:2410.07149.

    Attributes:
        image: which picture, from 0.
        boxes: x0, y0, x1, y1 in pixels of the original picture, one box or several.
        patches: positions of patch tokens in the prompt; in pixels the whole square of each. Without boxes
            and patches the whole picture.
        where: "pixels" or "tokens" (the vectors of all patches that share area with a box).
        fill: in pixels "background" (the middle colour of what is around the box or the patch, the default)
            or "mean" (the picture's mean colour), see `workbench.fills`; in tokens "mean" (of the picture's
            other patches, the default) or "zero".
    """

    image: int = 0
    boxes: Box | Sequence[Box] | None = None
    patches: Sequence[int] | None = None
    where: str = PIXELS
    fill: str | None = None

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if it looked like the fill before."""
        if self.where not in FILLS:
            raise EditError(f"where is {self.where!r}; expected 'pixels' or 'tokens'")
        fill = self.fill or FILLS[self.where][0]
        if fill not in FILLS[self.where]:
            raise EditError(f"fill is {fill!r}; in {self.where} expected one of {FILLS[self.where]}")
        region = Region.of(llama, inputs, self.image, self.boxes, self.patches)
        if self.where == TOKENS:
            return _vectors_changed(self, llama, region, fill)
        return _pixels_changed(self, llama, region, lambda tiles: _filled(tiles, region, fill))

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        fill = self.fill or FILLS[self.where][0]
        return picture_json(self, where=self.where, fill=fill)


@dataclass(frozen=True, repr=False)
class BlurPatches(Described):
    """Blur a part of a picture, in pixels, before the tower.

    What it means: what the answer owes to detail there: colour and place stay, shape goes. When it misleads:
    with a small `sigma` large shapes are still to be seen. Every tile is blurred alone, so nothing crosses
    from one to the next. Source: meaningful perturbation, Fong & Vedaldi 2017.

    Attributes:
        image, boxes, patches: as in HidePatches.
        sigma: of the Gaussian, in pixels of a tile; by default the side of a patch token.
    """

    image: int = 0
    boxes: Box | Sequence[Box] | None = None
    patches: Sequence[int] | None = None
    sigma: float | None = None

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if there was nothing to blur."""
        region = Region.of(llama, inputs, self.image, self.boxes, self.patches)
        sigma = float(region.step if self.sigma is None else self.sigma)
        if not 0 < sigma < np.inf:
            raise EditError(f"sigma is {self.sigma!r}; expected pixels above 0")

        def blur(tiles: Tensor) -> Tensor:
            # what is no picture (the canvas around it) has no weight
            shown = region.shown(tiles.device)[:, None].float()
            return _gaussian(tiles * shown, sigma) / _gaussian(shown, sigma).clamp(min=1e-6)

        return _pixels_changed(self, llama, region, blur)

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        return picture_json(self, sigma=self.sigma)


@contextmanager
def _pixels_changed(
    edit: object, llama: Llama4, region: Region, paint: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Put what `paint` makes of the picture's tiles into the covered pixels, before the tower."""
    changed: list[bool] = []
    covered = torch.from_numpy(region.covered)[:, None]

    def change(pixels: Tensor) -> Tensor:
        new = pixels.clone()
        mine = slice(region.first, region.first + len(covered))
        tiles = pixels[mine]
        new[mine] = torch.where(covered.to(pixels.device), paint(tiles.float()).to(pixels.dtype), tiles)
        changed.append(float((new[mine] - tiles).abs().max()) > _INVISIBLE)
        return new

    with replaced(llama.hook_point("vision.hook_pixels"), change):
        yield
    _check_changed(edit, changed)


@contextmanager
def _vectors_changed(edit: object, llama: Llama4, region: Region, fill: str) -> Iterator[None]:
    """Put zeros, or the mean of the picture's other vectors, in place of the chosen ones."""
    changed: list[bool] = []
    every = torch.from_numpy(region.vectors)
    hidden, stay = every[region.chosen], every[~region.chosen]

    def change(value: Tensor) -> Tensor:
        new = value.clone(memory_format=torch.contiguous_format)
        flat = new.view(-1, value.shape[-1])
        others = flat[(stay if len(stay) else every).to(value.device)]
        flat[hidden.to(value.device)] = others.float().mean(0).to(value.dtype) if fill == "mean" else 0
        changed.append(bool((new != value).any()))
        return new

    with replaced(llama.hook_point("hook_image_embed"), change):
        yield
    _check_changed(edit, changed)


def _check_changed(edit: object, changed: Sequence[bool]) -> None:
    if not changed:
        raise EditError(f"{edit} was never reached: no picture went through the tower")
    if not any(changed):
        raise NothingChangedError(edit, "this part looks like what was put there")


def _filled(tiles: Tensor, region: Region, fill: Fill) -> Tensor:
    """The picture's tiles [N, 3, S, S] with each part of the region in one colour."""
    out, pixels = tiles.clone(), tiles.permute(0, 2, 3, 1).cpu().numpy()
    for part in region.parts:
        last = part[-1]  # the thumbnail, if there is one: there the whole of a box is in one place
        visible = region.visible[last.tile]
        shown = rectangle(visible if visible.any() else ~visible)
        free = visible & ~region.covered[last.tile]
        # counted within what is shown of the picture: around it is canvas
        within = tuple(
            slice(one.start - all_.start, one.stop - all_.start)
            for one, all_ in zip(last.place, shown, strict=True)
        )
        found = torch.from_numpy(colour(pixels[last.tile][shown], free[shown], within, fill)).to(tiles)
        for spot in part:
            out[spot.tile, :, *spot.place] = found[:, None, None]
    return out


def _gaussian(tiles: Tensor, sigma: float) -> Tensor:
    """Tiles [N, C, S, S] under a Gaussian, zeros around them."""
    reach = min(int(3 * sigma) + 1, tiles.shape[-1] - 1)
    place = torch.arange(-reach, reach + 1, device=tiles.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (place / sigma) ** 2)
    weights = (weights / weights.sum())[None, None]
    count, channels = tiles.shape[:2]
    flat = tiles.reshape(count * channels, 1, *tiles.shape[2:])
    flat = F.conv2d(flat, weights[..., None, :], padding=(0, reach))
    return F.conv2d(flat, weights[..., None], padding=(reach, 0)).view_as(tiles)


def picture_json(edit: HidePatches | BlurPatches, **more: object) -> dict:
    """Plain values of an edit of a picture."""
    boxes = None if edit.boxes is None else [box.tolist() for box in boxes_of(edit.boxes)]
    patches = None if edit.patches is None else tokens_to_json(edit.patches)
    about = {"edit": type(edit).__name__, "image": int(edit.image), "boxes": boxes, "patches": patches}
    return about | more
