r"""The language model's losses, all read off one forward pass

x --llm--> hidden --loss positions--> next_token, z_loss
       \--routers' scores and choices--> balance, sequence_balance
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from curriculum.models.balance import balance_sum, choice_counts, sequence_balance_sum
from curriculum.models.batch import TorchBatch
from curriculum.models.decoder import Decoder
from curriculum.models.losses import next_token_loss, z_loss
from curriculum.models.rows import put_rows, take_rows
from curriculum.models.terms import TermSum, count_of, weights_of


def llm_losses(
    modules: Mapping[str, nn.Module],
    batch: TorchBatch,
    terms: Sequence[str],
    features: Tensor | None,
    reduce: Mapping[str, str],
    choices: Tensor | None,
) -> dict[str, TermSum]:
    """All terms that are read off one pass through the language model."""
    llm, found = llm_of(modules), {}
    for moe in llm.moe_layers():
        moe.keeps_scores = bool({"balance", "sequence_balance"} & set(terms))
    hidden = take_rows(hidden_of(llm, modules, batch, features), batch.loss_index)
    for term in terms:
        how = reduce.get(term, "tokens")
        match term:
            case "next_token":
                weights = weights_of(batch, term, how)
                head, targets = llm.head_weight, batch.targets
                total = next_token_loss(hidden, head, targets, weights=weights)
            case "z_loss":
                total = z_loss(hidden, llm.head_weight, weights=weights_of(batch, term, how))
            case _:
                total = _balance(llm, batch, term, choices)
        found[term] = TermSum(total, count_of(batch, term, how))
    for moe in llm.moe_layers():
        moe.keeps_scores, moe.last_scores = False, None
    return found


def hidden_of(
    llm: Decoder, modules: Mapping[str, nn.Module], batch: TorchBatch, features: Tensor | None
) -> Tensor:
    """Hidden states [T, C], with what the projector makes of the patches where images stand."""
    x = llm.embed(batch.tokens)
    if features is not None:
        cells = modules["projector"](features, batch.grids)
        if len(cells) != len(batch.image_index):
            raise ValueError(
                f"images give {len(cells)} embeddings for {len(batch.image_index)} positions"
            )
        x = put_rows(x, batch.image_index, cells.to(x.dtype))
    hidden: Tensor = llm(
        x, batch.positions, batch.spans.cu_seqlens, batch.spans.max_seqlen, batch.live
    )
    return hidden


def _balance(llm: Decoder, batch: TorchBatch, term: str, choices: Tensor | None) -> Tensor:
    """Sum over the layers with experts; `choices` [layers, E] are the step's."""
    if choices is None:
        choices = choices_of(llm, batch)
    sums = []
    for moe, counts in zip(llm.moe_layers(), choices, strict=True):
        scores, choice = moe.last_scores, moe.last_choice
        assert scores is not None
        assert choice is not None
        if term == "balance":
            sums.append(balance_sum(scores, batch.live, counts))
        else:
            sums.append(sequence_balance_sum(scores, choice, batch.live, batch.num_sequences))
    return torch.stack(sums).sum()


def choices_of(llm: Decoder, batch: TorchBatch) -> Tensor:
    """How many live tokens of the last forward pass chose each expert [layers, E]."""
    found = []
    for moe in llm.moe_layers():
        assert moe.last_choice is not None
        found.append(choice_counts(moe.last_choice, batch.live, len(moe.router_bias)))
    return torch.stack(found)


def llm_of(modules: Mapping[str, nn.Module]) -> Decoder:
    """The language model among the modules of a stage."""
    llm = modules["llm"]
    assert isinstance(llm, Decoder)
    return llm
