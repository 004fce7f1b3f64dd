"""The towers beside the ViT in its own stage: contrast (SigLIP) and captions (CoCa)

    features [P, V] --pool--> images [I, V]   \
                                               siglip (losses.py)
    captions [N] --text tower, last token--> texts [I, V]   /
    captions [N], features --captioner, cross-attention--> hidden [N, C] --> next token

P patches and N caption tokens of I images, V the ViT's width, C the tower's own. One caption
belongs to one image. Sources: SigLIP (arXiv 2303.15343), CoCa (arXiv 2205.01917), Kimi-VL
(arXiv 2504.07491, 2.3).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.block import Block, recomputed
from curriculum.models.encoder import Attention, EncoderLayer, Mlp, Spans, embed_with_positions
from curriculum.models.shapes import CaptionerShape, TextTowerShape


class AttentionPool(nn.Module):
    """One learned query looks at all patches of an image, then an MLP (SigLIP's pooling head)."""

    def __init__(self, shape: TextTowerShape) -> None:
        super().__init__()
        width = shape.vit_hidden
        self.probe = nn.Parameter(torch.empty(width))
        self.attn = Attention(width, width, shape.num_heads)
        self.norm = nn.LayerNorm(width, eps=shape.layer_norm_eps)
        self.ffn = Mlp(width, shape.pool_mlp_dim)

    def forward(self, features: Tensor, spans: Spans) -> Tensor:
        """[P, V] -> [I, V]."""
        num_images = len(spans.cu_seqlens) - 1
        queries = torch.arange(num_images + 1, dtype=torch.int32, device=features.device)
        probes = self.probe.expand(num_images, -1)
        x = self.attn(probes, Spans(queries, 1), keys=(features, spans))
        out: Tensor = x + self.ffn(self.norm(x))
        return out


class TextTower(nn.Module):
    """Caption encoder, image pooling, and the scale and bias of their products."""

    def __init__(self, shape: TextTowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.hidden)
        self.positions = nn.Parameter(torch.empty(shape.max_positions, shape.hidden))
        self.layers = nn.ModuleList(
            EncoderLayer(shape.hidden, shape.num_heads, shape.mlp_dim, shape.layer_norm_eps)
            for _ in range(shape.num_layers)
        )
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.layer_norm_eps)
        self.head = nn.Linear(shape.hidden, shape.vit_hidden)
        self.pool = AttentionPool(shape)
        self.logit_scale = nn.Parameter(torch.empty(()))  # its logarithm
        self.logit_bias = nn.Parameter(torch.empty(()))

    def forward(self, tokens: Tensor, positions: Tensor, spans: Spans) -> Tensor:
        """Captions [N] at `positions` [N] -> embeddings [I, V] of length 1, from the last token."""
        _check_length(spans, self.shape.max_positions)
        x = embed_with_positions(self.embed, self.positions, tokens, positions)
        for layer in self.layers:
            x = layer(x, spans)
        last = x.index_select(0, spans.cu_seqlens[1:].long() - 1)
        return functional.normalize(self.head(self.norm(last)).float(), dim=-1)

    def pool_images(self, features: Tensor, spans: Spans) -> Tensor:
        """ViT features [P, V] -> embeddings [I, V] of length 1."""
        return functional.normalize(self.pool(features, spans).float(), dim=-1)

    def scale(self) -> Tensor:
        """Factor of the products in the contrastive loss; 10 at the start (arXiv 2303.15343)."""
        return self.logit_scale.exp()


class CaptionerLayer(Block):
    """Causal attention, a look at the image, feed-forward; each behind its norm."""

    def __init__(self, shape: CaptionerShape) -> None:
        super().__init__()
        width, eps = shape.hidden, shape.layer_norm_eps
        self.attn_norm = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, width, shape.num_heads)
        self.cross_norm = nn.LayerNorm(width, eps=eps)
        self.cross = Attention(width, shape.vit_hidden, shape.num_heads)
        self.ffn_norm = nn.LayerNorm(width, eps=eps)
        self.ffn = Mlp(width, shape.mlp_dim)

    def forward(self, x: Tensor, spans: Spans, image: tuple[Tensor, Spans]) -> Tensor:
        """[N, C] -> [N, C]."""
        return recomputed(self.recompute, self._body, x, spans, image)

    def _body(self, x: Tensor, spans: Spans, image: tuple[Tensor, Spans]) -> Tensor:
        x = x + self.attn(self.attn_norm(x), spans, causal=True)
        x = x + self.cross(self.cross_norm(x), spans, keys=image)
        out: Tensor = x + self.ffn(self.ffn_norm(x))
        return out


class Captioner(nn.Module):
    """Writes the caption of an image; its loss is next_token_loss(hidden, head.weight, ...)."""

    def __init__(self, shape: CaptionerShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.hidden)
        self.positions = nn.Parameter(torch.empty(shape.max_positions, shape.hidden))
        self.layers = nn.ModuleList(CaptionerLayer(shape) for _ in range(shape.num_layers))
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.layer_norm_eps)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)

    def forward(
        self, tokens: Tensor, positions: Tensor, spans: Spans, image: tuple[Tensor, Spans]
    ) -> Tensor:
        """Captions [N] and (features [P, V], their spans) -> hidden [N, C]."""
        _check_length(spans, self.shape.max_positions)
        x = embed_with_positions(self.embed, self.positions, tokens, positions)
        for layer in self.layers:
            x = layer(x, spans, image)
        out: Tensor = self.norm(x)
        return out


def _check_length(spans: Spans, max_positions: int) -> None:
    if spans.max_seqlen > max_positions:
        raise ValueError(
            f"a caption of {spans.max_seqlen} tokens, but there are {max_positions} positions: "
            "set max_positions of the module higher, or cut the caption"
        )
