"""Second pass over a stage: its curves, mixture, optimizer, RoPE and settings

All budgets are known here, so open pieces know where their schedule ends, and every parent is
compiled, so `current`, `keep` and `replay` have something to read.
"""

from curriculum.compile_gate import compile_gate
from curriculum.compile_layout import layout_in_plan
from curriculum.compile_loss import compile_loss
from curriculum.compile_lr import compile_lr
from curriculum.compile_mixture import compile_mixture
from curriculum.compile_optimizer import compile_optimizer
from curriculum.compile_rope import compile_rope, target_of
from curriculum.compile_state import Draft, State
from curriculum.compile_values import compile_settings
from curriculum.plan import Stage

DOTTED = ("rope", "set", "loss", "lr", "mixture")
"""The keys below which a dotted key may change one thing of what is kept."""


def finish_stage(state: State, draft: Draft) -> Stage | None:
    """Compile a drafted stage; None where something in it was refused."""
    before = len(state.problems)
    if not _parents_finished(state, draft):
        return None
    _check_dotted(state, draft)
    lr, rides = compile_lr(state, draft)
    loss, loss_rules = compile_loss(state, draft)
    settings = compile_settings(state, draft)
    target_seq_len = target_of(state, draft)
    rope = compile_rope(state, draft, target_seq_len)
    optimizer = compile_optimizer(state, draft)
    mixture = compile_mixture(state, draft)
    gate = compile_gate(state, draft)
    if mixture is None or len(state.problems) > before:
        return None
    return Stage(
        name=draft.name,
        init=draft.init,
        train=draft.train,
        count=draft.count,
        budget=draft.budget,
        steps=draft.steps,
        batch=draft.batch,
        mixture=mixture,
        lr=lr,
        rides=rides,
        optimizer=optimizer,
        loss=loss,
        settings=settings,
        rope=rope,
        packing=_packing(state, draft),
        seed=draft.seed,
        own_seed=draft.own_seed,
        target_seq_len=target_seq_len,
        loss_rules=loss_rules,
        lifecycle=draft.lifecycle,
        status=draft.spec.status.text if draft.spec.status else "main",
        among=draft.among,
        layout=layout_in_plan(draft.layout),
        gate=gate,
    )


def _parents_finished(state: State, draft: Draft) -> bool:
    return all(parent.name in state.stages for parent, _ in state.left_drafts(draft.init))


def _check_dotted(state: State, draft: Draft) -> None:
    for dotted, key, _ in draft.spec.dotted:
        if dotted[0] not in DOTTED:
            state.report(
                "dotted-key",
                f"`{key.text}` cannot change one thing of `{dotted[0]}`",
                key.span,
                f"say `{dotted[0]}` whole; dotted keys reach below {', '.join(DOTTED)}",
            )


def _packing(state: State, draft: Draft) -> str:
    if draft.spec.packing is not None:
        return draft.spec.packing.text
    assert draft.kept is not None
    return state.stages[draft.kept[0].name].packing
