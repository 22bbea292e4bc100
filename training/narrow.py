"""A decoder with fewer channels at half the picture's size that computes nearly the same.

There are no operations but additions on the channels that the blocks at that size share, so that they may be
turned: those of least variance are dropped ("SliceGPT", Ashkboos et al., 2024, has the same idea for
transformers). Of the channels within a block those that matter least to its output are dropped.
"""

from __future__ import annotations

import torch
from nets import Block, Decoder
from torch import Tensor


@torch.no_grad()
def narrowed(wide: Decoder, width: int, inputs: tuple[Tensor, ...]) -> Decoder:
    """``wide`` with ``width`` channels at half the picture's size.

    ``inputs`` are those of the decoder for some typical latents; the variances are measured on them.
    """
    shared: list[Tensor] = []
    hidden: list[Tensor] = []
    hooks = []
    for block in wide.at_half:
        hooks.append(block.register_forward_pre_hook(lambda _, args: shared.append(args[0])))
        hooks.append(block.second.register_forward_pre_hook(lambda _, args: hidden.append(args[0])))
    hooks.append(wide.leave.register_forward_pre_hook(lambda _, args: shared.append(args[0])))
    wide(*inputs)
    for hook in hooks:
        hook.remove()
    values = torch.cat([v.float().transpose(0, 1).flatten(1) for v in shared], 1)
    mean = values.mean(1)
    basis = torch.linalg.eigh(torch.cov(values))[1][:, -width:]  # [old channels, new channels]
    lost = mean - basis @ (basis.T @ mean)  # the mean of what is dropped becomes part of the biases

    blocks = (len(wide.context.blocks), len(wide.at_eighth), len(wide.at_quarter), len(wide.at_half))
    narrow = Decoder((*_outer_widths(wide), width), blocks)
    state = {
        n: v
        for n, v in wide.state_dict().items()
        if not n.startswith(("at_half", "leave", "to_half", "grain"))
    }
    narrow.load_state_dict(state, strict=False)
    # One output of `to_half` is a channel at one of four pixels: [channel * 4 + pixel, inputs, 1, 1].
    weight = wide.to_half.weight.unflatten(0, (-1, 4))
    narrow.to_half.weight.copy_(torch.einsum("oc,opihw->cpihw", basis, weight).flatten(0, 1))
    narrow.to_half.bias.copy_(
        torch.einsum("oc,op->cp", basis, wide.to_half.bias.unflatten(0, (-1, 4))).flatten()
    )
    narrow.grain.weight.copy_(torch.einsum("oc,oihw->cihw", basis, wide.grain.weight))
    for old, new, inside in zip(wide.at_half, narrow.at_half, hidden, strict=True):
        _narrow_block(old, new, basis, lost, inside.float())
    narrow.leave.weight.copy_(torch.einsum("oihw,ic->ochw", wide.leave.weight, basis))
    narrow.leave.bias.copy_(wide.leave.bias + torch.einsum("oihw,i->o", wide.leave.weight, lost))
    return narrow


def _outer_widths(decoder: Decoder) -> tuple[int, int, int]:
    context, eighth = decoder.context.down.weight.shape[:2]
    return context, eighth, decoder.to_half.weight.shape[1]


def _narrow_block(old: Block, new: Block, basis: Tensor, lost: Tensor, inside: Tensor) -> None:
    """``inside`` float[N, C, H, W] are values of the channels within ``old``."""
    width = basis.shape[1]
    effect = inside.square().mean((0, 2, 3)) * old.second.weight.square().sum((0, 2, 3))
    kept, dropped = effect.argsort(descending=True).split([width, len(effect) - width])
    new.first.weight.copy_(torch.einsum("oihw,ic->ochw", old.first.weight[kept], basis))
    new.first.bias.copy_((old.first.bias + torch.einsum("oihw,i->o", old.first.weight, lost))[kept])
    new.second.weight.copy_(torch.einsum("oc,oihw->cihw", basis, old.second.weight[:, kept]))
    constant = torch.einsum("oihw,i->o", old.second.weight[:, dropped], inside.mean((0, 2, 3))[dropped])
    new.second.bias.copy_(basis.T @ (old.second.bias + constant))
