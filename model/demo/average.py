"""The mean of trained models' weights: `python -m model.demo.average FIRST SECOND --out FOLDER`.

The ends of two runs of which one began with the other are often better together than each alone (model soups,
Wortsman et al. 2022, 2203.05482).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from model.checkpoint import load, save


def average(folders: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of models in Hugging Face's layout, with the first one's tokenizer.

    The mean is made in float32 and stored in the number type of the first.

    Raises:
        ValueError: fewer than two folders, or models of different shapes.
        ConfigError, TokenizerError, WeightsError: as `load`.
    """
    if len(folders) < 2:
        raise ValueError(f"a mean needs two models or more, not {len(folders)}")
    llama, processor = load(folders[0], dtype=torch.float32)
    first = dict(llama.named_parameters())
    with torch.no_grad():
        for folder in folders[1:]:
            other = dict(load(folder, dtype=torch.float32)[0].named_parameters())
            if (shapes := _shapes(first)) != (others := _shapes(other)):
                differ = sorted(name for name, _ in shapes ^ others)
                raise ValueError(f"{folder} has other shapes than {folders[0]}: {', '.join(differ[:3])} ...")
            for name, parameter in first.items():
                parameter += other[name]
        for parameter in first.values():
            parameter /= len(folders)
    save(llama, processor, out, getattr(torch, processor.config.dtype))


def _shapes(parameters: dict[str, torch.nn.Parameter]) -> set[tuple[str, torch.Size]]:
    return {(name, parameter.shape) for name, parameter in parameters.items()}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m model.demo.average", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="folders of trained models, two or more")
    parser.add_argument("--out", type=Path, required=True, help="where their mean goes")
    chosen = parser.parse_args(arguments)
    average(chosen.folders, chosen.out)


if __name__ == "__main__":
    main()
