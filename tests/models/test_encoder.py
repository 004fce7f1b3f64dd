"""The shared layer: documents apart, keys of their own, learned positions."""

import torch
from torch import nn

from curriculum.models.encoder import Attention, EncoderLayer, Spans, embed_with_positions


def randn(*size: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(8))


SPANS = Spans(torch.tensor([0, 4, 9], dtype=torch.int32), 5)


def test_documents_are_apart() -> None:
    layer, x = EncoderLayer(16, 2, 32, 1e-5), randn(9, 16)
    before = layer(x, SPANS)
    x = x.clone()
    x[6, 0] += 1.0
    after = layer(x, SPANS)
    assert torch.equal(before[:4], after[:4])
    assert bool((before[4:] != after[4:]).any(-1).all())  # all of a document see each other


def test_attention_equals_torch() -> None:
    attention, x, keys = Attention(16, 16, 2), randn(4, 16), randn(7, 16)
    theirs = nn.MultiheadAttention(16, 2, batch_first=True)
    inputs = (attention.q, attention.k, attention.v)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([linear.weight for linear in inputs]))
        theirs.in_proj_bias.copy_(torch.cat([linear.bias for linear in inputs]))
        theirs.out_proj.weight.copy_(attention.out.weight)
        theirs.out_proj.bias.copy_(attention.out.bias)
    one = Spans(torch.tensor([0, 4], dtype=torch.int32), 4)
    seen = Spans(torch.tensor([0, 7], dtype=torch.int32), 7)
    expected = theirs(x[None], keys[None], keys[None], need_weights=False)[0][0]
    torch.testing.assert_close(attention(x, one, keys=(keys, seen)), expected, atol=1e-6, rtol=1e-5)


def test_positions_are_added() -> None:
    embed, positions = nn.Embedding(5, 3), randn(4, 3)
    out = embed_with_positions(embed, positions, torch.tensor([2, 2]), torch.tensor([0, 3]))
    torch.testing.assert_close(out, embed.weight[[2, 2]] + positions[[0, 3]])
