"""Stage 4e: the encoder's own latents, corrected, for the decoder to learn.

``python training/correct.py --run RUN`` writes ``corrected.f16`` beside the teacher's latents, in the same
places: z + .3 (z - E(D(z))), as ``calotype.synthesis`` corrects them for files that are to meet a size.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from data import raster
from loop import autocast, weights_of
from nets import Decoder, Encoder
from prepare import CACHE
from quantise import log_step_map
from torch import Tensor

CORRECTED = "corrected.f16"
FINEST, SHARE = 8, 0.3  # the level at which the decoder is asked, and the share, as in calotype.synthesis


@torch.inference_mode()
def corrected(encoder: Encoder, decoder: Decoder, pixels: Tensor) -> Tensor:
    """float32[N, 4, h, w] of pictures float32[N, 3, 8h, 8w] in [0, 1]."""
    with autocast():
        own = encoder(pixels.contiguous(memory_format=torch.channels_last)).float()
        shown = decoder(own, log_step_map(torch.full((len(own),), FINEST), own)).clamp(0, 1)
        again = encoder(shown.contiguous(memory_format=torch.channels_last)).float()
    return own + SHARE * (own - again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="shipped", help="whose encoder and decoder")
    run = parser.parse_args().run
    encoder, decoder = (net.to(memory_format=torch.channels_last) for net in (Encoder(), Decoder()))
    encoder.load_state_dict(weights_of(run, "encoder"))
    decoder.load_state_dict(weights_of(run, "decoder"))
    index = json.loads((CACHE / "index.json").read_text())
    everything = np.memmap(CACHE / "pixels.u8", np.uint8, "r")
    found = np.memmap(CACHE / CORRECTED, np.float16, "w+", shape=(len(everything) // 48,))
    for number, entry in enumerate(index):
        height, width = entry["size"]
        picture = torch.from_numpy(raster(everything, entry).copy()).permute(2, 0, 1)[None].float() / 255
        place = slice(entry["latents"], entry["latents"] + height * width // 16)
        found[place] = corrected(encoder, decoder, picture).numpy().ravel()
        if number % 200 == 0:
            print(f"{number} of {len(index)} pictures", flush=True)
    found.flush()


if __name__ == "__main__":
    main()
