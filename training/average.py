"""The mean of two runs' weights, as a run: often better than either, if one was trained on from the other.

``python training/average.py --runs shipped joint-c --share 0.7 --name joint-c-mean``. Wortsman et al.,
"Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference
time", 2022.
"""

from __future__ import annotations

import argparse

import torch
from loop import RUNS, weights_of
from torch import Tensor


def mean(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """``share`` of the second, the rest of the first; residual pairs that the first lacks add nothing."""
    out: dict[str, Tensor] = {}
    for name, value in second.items():
        if name in first:
            out[name] = torch.lerp(first[name], value, share)
        else:
            out[name] = share * value if ".second." in name else value
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs=2, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the second run, 0 to 1")
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    folder = RUNS / args.name
    folder.mkdir(parents=True, exist_ok=True)
    first, second = (weights_of(run) for run in args.runs)
    torch.save({"average": mean(first, second, args.share)}, folder / "last.pt")


if __name__ == "__main__":
    main()
