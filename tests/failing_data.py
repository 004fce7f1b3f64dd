"""Plans that break a rule about data, contexts or parents, and what each is told"""

from small_plan import small

SOURCES = (
    "  code: {modality: text, tokens: 10M}",
    "  code: {modality: text, tokens: 10M}\n  math: {modality: text, tokens: 8M}",
)
CONSTANT = ("{shape: cosine, to: 10%}", "{shape: constant}")
THIRD = """\
  third:
    init: {parent}
    keep: {parent}
    carry: all
    tokens: 500K
"""

LONG = """\
plan: long
modules: {llm: {preset: moonlight-16b-a3b}}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
sources: {web: {modality: text, tokens: 1T}}
stages:
  text:
    init: {llm: new}
    tokens: 1T
    train: [llm]
    optimizer: adam
    loss: {next_token: 1}
    lr: 1e-4
    seq_len: 8Ki
    batch: {seqs: 512}
    packing: concat-across
    rope: {llm: {base: 500_000}}
    mixture: {web: 1}
  long:
    init: text
    keep: text
    carry: all
    tokens: 900M
    seq_len: 32Ki
    batch: {tokens: keep}
    rope.llm.base: 800_000
"""

FAILS: dict[str, list[tuple[str, str]]] = {
    "rope-changes-are-read": [
        (
            small(
                (
                    "seq_len: 256\n    batch: {tokens: keep}\n    rope.llm.base: 10_000",
                    "rope.llm.base: 20_000",
                )
            ),
            "32:20 warning stage `second` gives `llm` the RoPE base 20000 for base 10000, and "
            "reads nothing longer than the 128 tokens of `first`",
        )
    ],
    "long-contexts-keep-documents-apart": [
        (
            LONG,
            "23:14 warning stage `long` packs documents across into sequences of 32,768 tokens: "
            "most of what a token attends to is of other documents",
        )
    ],
    "rope-bases-reach-their-context": [
        (
            LONG,
            "25:20 info stage `long` reads 32,768 tokens, and at a RoPE base of 800000 a similar "
            "token 5,588 tokens away gets no more of `llm`'s attention than a random one",
        )
    ],
    "longest-contexts-are-read": [
        (
            LONG,
            "22:13 info 902M of 1T tokens are read in sequences of 32,768, which stage `long` "
            "brings in: less than 0.1 %",
        )
    ],
    "shares-are-not-swapped": [
        (
            small(SOURCES, ("web: .75, code: .25", "web: .7, code: .2, math: .1"))
            + "    mixture: {web: .7, code: .1, math: .2}\n",
            "36:30 warning in stage `second` `code` has exactly the share of `math`, and `math` "
            "that of `code`, in what the stage before it, `first`, reads; all else is the same",
        ),
        (
            small(SOURCES, ("web: .75, code: .25", "web: .7, code: .2, math: .1"))
            + "    mixture: {web: .6, code: .3, math: .1}\n"
            + THIRD.format(parent="first")
            + "    seed: 2\n    mixture: {web: .6, code: .1, math: .3}\n",
            "43:30 info in stage `third` `code` has exactly the share of `math`, and `math` that "
            "of `code`, in what its sibling, `second`, reads; all else is the same",
        ),
    ],
    "parents-are-the-newest": [
        (
            small(CONSTANT, SOURCES)
            + THIRD.format(parent="first")
            + "    mixture: {math: 1}\n"
            + THIRD.format(parent="third").replace("  third", "  fourth"),
            "37:11 warning stage `third` starts from the end of `first`, which `second` "
            "continued, and nothing comes of `second`",
        )
    ],
    "steps-are-not-sequences": [
        (
            small(
                CONSTANT,
                ("tokens: 1M", "tokens: 10M"),
                ("batch: {seqs: 16}", "batch: [{seqs: 32, until: step 50}, {seqs: 40}]"),
                ("init: first", "init: first@step 1600"),
            ),
            "28:11 warning stage `second` starts from step 1,600 of `first`, and 1,600 "
            "sequences are what that has read before its step 50",
        ),
        (
            small(
                ("tokens: 1M", "steps: 1500"),
                ("batch: {seqs: 16}", "batch: {seqs: 32}"),
                ("tokens: 500K", "seqs: 1500"),
                ("seq_len: 256\n    batch: {tokens: keep}", "seq_len: 256\n    batch: {seqs: 32}"),
            ),
            "31:11 warning stage `second` has 1,500 sequences, and `first`, from which it "
            "starts, as many steps",
        ),
        (
            small(
                ("tokens: 1M", "steps: 50"),
                ("batch: {seqs: 16}", "batch: {seqs: 32}"),
                ("tokens: 500K", "steps: 1600"),
                ("seq_len: 256\n    batch: {tokens: keep}", "seq_len: 256\n    batch: {seqs: 32}"),
            ),
            "31:12 warning stage `second` has 1,600 steps, and `first`, from which it starts, "
            "as many sequences",
        ),
    ],
    "no-source-starves": [
        (
            small(SOURCES, ("web: .75, code: .25", "web: .75, code: .2495, math: .0005")),
            "27:44 info source `math` is drawn about 4 times in the 489 steps of stage `first`",
        )
    ],
    "documents-are-not-dealt-anew": [
        (
            small() + "    seed: 3\n",
            "35:11 info stage `second` deals its sources anew: about 8% of what it reads of "
            "`web` was read before, and so it is with 1 more",
        )
    ],
    "sizes-are-not-copied": [
        (
            small(("tokens: 10M}\n  code", "tokens: 12.3M}\n  code"), ("10M", "12.3M")),
            "9:34 info `code` has exactly the 12.3M tokens of `web`",
        )
    ],
    "shares-change-gradually": [
        (
            small() + "    mixture: {web: .4, code: .6}\n",
            "35:20 info `web` goes from 75% to 40% of the tokens where stage `second` begins",
        )
    ],
}
