"""A small plan that nothing is wrong with, and variants of it"""

SMALL = """\
plan: small
seed: 1
modules:
  llm: {preset: moonlight-proxy}
optimizers:
  adam: {kind: adamw, weight_decay: .1}
sources:
  web: {modality: text, tokens: 10M}
  code: {modality: text, tokens: 10M}
schedules:
  main:
    - {shape: linear, from: 0, to: 1e-3, for: 10 steps}
    - {shape: cosine, to: 10%}
stages:
  first:
    init: {llm: new}
    tokens: 1M
    train: [llm]
    optimizer: adam
    loss: {next_token: 1}
    lr: main
    seq_len: 128
    batch: {seqs: 16}
    packing: best-fit
    rope: {llm: {base: 10_000}}
    mixture: {web: .75, code: .25}
  second:
    init: first
    keep: first
    carry: all
    tokens: 500K
    seq_len: 256
    batch: {tokens: keep}
    rope.llm.base: 10_000
"""


def small(*changes: tuple[str, str]) -> str:
    """Return the plan with each first text replaced by the second; each must be there."""
    text = SMALL
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
