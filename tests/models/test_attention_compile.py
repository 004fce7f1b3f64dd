"""The compile contract: one opaque operator, at most two graphs for whatever is packed"""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from curriculum.models import attention
from curriculum.models.attention import packed_attention
from curriculum.models.encoder import EncoderLayer, Spans

ROWS, DOCS = 35, 6

PACKINGS = (
    [35, 0, 0, 0, 0, 0],
    [5, 30, 0, 0, 0, 0],
    [5, 11, 7, 12, 0, 0],
    [0, 1, 1, 33, 0, 0],
    [6, 6, 6, 6, 6, 5],
    [0, 0, 0, 0, 0, 35],
    [2, 2, 2, 2, 2, 25],
    [7, 0, 7, 0, 7, 14],
)


def starts(lengths: Sequence[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


class Graphs:
    """Counts what torch.compile makes, and runs it as it is."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        from torch._dynamo.backends.debugging import aot_eager

        self.count += 1
        return aot_eager(graph, inputs)


def rows(*sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(ROWS, 3, n, generator=generator).requires_grad_() for n in sizes]


@pytest.mark.parametrize("dims", [(16, 16), (192, 128), (72, 72)])
def test_two_graphs_forward_and_backward_for_any_packing(dims: tuple[int, int]) -> None:
    torch._dynamo.reset()
    graphs = Graphs()
    compiled = torch.compile(packed_attention, backend=graphs, fullgraph=True)
    q, k, v = rows(dims[0], dims[0], dims[1])
    grad = torch.randn(ROWS, 3, dims[1], generator=torch.Generator().manual_seed(1))
    for lengths in PACKINGS:
        cu, longest = starts(lengths), max(lengths)
        found = []
        for attend in (compiled, packed_attention):
            out = attend(q, k, v, cu, longest, causal=True, scale=0.25)
            found.append([out, *torch.autograd.grad(out, (q, k, v), grad)])
        assert all(torch.equal(ours, plain) for ours, plain in zip(*found, strict=True))
    assert 1 <= graphs.count <= 2


def test_two_graphs_for_keys_of_their_own() -> None:
    torch._dynamo.reset()
    graphs = Graphs()
    compiled = torch.compile(packed_attention, backend=graphs, fullgraph=True)
    q, k, v = rows(16, 16, 16)
    for of_q, of_k in pairwise(PACKINGS):
        out = [
            attend(
                q, k, v, starts(of_q), max(of_q), causal=False, scale=0.25,
                cu_seqlens_k=starts(of_k), max_seqlen_k=max(of_k),
            )
            for attend in (compiled, packed_attention)
        ]  # fmt: skip
        assert torch.equal(*out)
    assert 1 <= graphs.count <= 2


def test_two_graphs_for_a_layer_with_its_parameters() -> None:
    torch._dynamo.reset()
    graphs = Graphs()
    torch.manual_seed(7)
    layer: nn.Module = EncoderLayer(width=24, num_heads=3, mlp_dim=48, eps=1e-6)
    compiled = torch.compile(layer, backend=graphs, fullgraph=True)
    x = torch.randn(ROWS, 24)
    for lengths in PACKINGS:
        spans = Spans(starts(lengths), max(lengths))
        out = compiled(x, spans)
        torch.testing.assert_close(out, layer(x, spans))
        out.sum().backward()
    assert 1 <= graphs.count <= 2


def test_the_operator_stands_whole_in_the_graph() -> None:
    torch._dynamo.reset()
    seen: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        seen.append(graph)
        return graph.forward

    compiled = torch.compile(packed_attention, backend=keep, fullgraph=True)
    q, k, v = (x.detach() for x in rows(16, 16, 16))
    compiled(q, k, v, starts(PACKINGS[0]), ROWS, causal=True, scale=0.25)
    called = [str(node.target) for node in seen[0].graph.nodes if node.op == "call_function"]
    assert [name for name in called if "attention" in name] == [
        "curriculum.packed_attention.default"
    ]


def test_the_choice_of_flex_is_a_constant_of_a_graph() -> None:
    """The mark is set by hand, since the decorator imports dynamo: it must stay the decorator's."""

    def function() -> bool:
        return True

    marked = torch.compiler.assume_constant_result(function)
    assert vars(marked)["_dynamo_marked_constant"] is True
    assert vars(attention._is_flex)["_dynamo_marked_constant"] is True


def test_importing_attention_leaves_dynamo_alone() -> None:
    code = "import sys, curriculum.models.attention as a; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
