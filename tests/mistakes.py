"""Mistakes in the plans of docs/language: edits of each page's plan, and the rule that finds them

`tests/test_docs.py` makes the table of errors of every page from these. An edit is a `--set`.
"""

from collections.abc import Mapping

KEPT = "init: text, keep: text, carry: all, tokens: 20M"

MISTAKES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "plan-file": (
        ("missing-key", "stages.text={init: {llm: new}, tokens: 5M, train: [llm]}"),
        ("unknown-key", "module={}"),
        ("wrong-name", "plan=My Plan"),
    ),
    "units": (
        ("wrong-value", "stages.text.seq_len=8K"),
        ("wrong-value", "stages.text.tokens=5tb"),
        ("wrong-value", "stages.text.tokens=50,000,000"),
        ("wrong-unit", "stages.text.tokens=50 steps"),
        ("whole-sequences", "stages.text.batch={tokens: 4M}"),
        ("mark-beyond-stage", "stages.more.init=text@7T"),
        ("shorter-than-a-step", "stages.more.init=text@2000"),
        ("ratio-range", "stages.text.mixture={web: 66, code: rest}"),
    ),
    "modules": (
        ("module-shape", "modules.llm={preset: smolm2-1.7b}"),
        ("missing-key", "modules.llm={vocab: 151_680}"),
        ("module-shape", "modules.llm={preset: gemma-2b, ffn_dim: 8Ki}"),
        ("one-module-of-a-kind", "modules.other={kind: llm, params: 8B}"),
        ("unknown-part", "stages.joint.train=[llm/experts]"),
    ),
    "sources": (
        ("no-source-passes-its-cap", "sources.wiki.max_epochs=1"),
        ("repeated-sources-are-capped", "sources.wiki={modality: text, tokens: 4M}"),
        ("unknown-source", "stages.text.mixture={wed: 90%, wiki: rest}"),
        ("wrong-value", "sources.web.modality=html"),
        ("wrong-value", "sources.wiki.holdout=1"),
    ),
    "stages": (
        ("missing-key", "stages.cooldown.keep=null"),
        ("one-budget", "stages.text.steps=500"),
        ("unknown-key", "stages.text.optimiser=adamw"),
        ("trains-what-it-lacks", "stages.cooldown.train=[vit]"),
        ("dotted-key", f"stages.cooldown={{{KEPT}, mixture.wed: rest}}"),
        ("siblings-sum", f"stages.cooldown={{{KEPT}, mixture.web: 70%}}"),
    ),
    "graph": (
        ("missing-parent", "stages.align.init={llm: txt, vit: siglip, projector: new}"),
        ("parent-lacks-module", "stages.joint.init={llm: text@1.8T, vit: text, projector: align}"),
        ("mark-beyond-stage", "stages.align.init={llm: text@3T, vit: siglip, projector: new}"),
        ("carry-unsaid", "stages.joint.carry=null"),
        ("keep-ancestor", "stages.align.init={llm: new, vit: siglip, projector: new}"),
        ("missing-key", "stages.joint.keep={vit: align, projector: align}"),
        ("cycle", "stages.text.init={llm: joint}"),
    ),
    "budgets": (
        ("one-budget", "stages.passes.tokens=1M"),
        ("shorter-than-a-step", "stages.warm.steps=null", "stages.warm.tokens=400"),
        ("until-passed", "stages.mark.until=50M"),
        (
            "path-unknown",
            "stages.warm.init={llm: outside}",
            "stages.outside={checkpoint: {gives: [llm]}}",
        ),
        ("batch-mark", "stages.warm.batch=[{seqs: 16, until: 50%}, {seqs: 32}]"),
    ),
    "gates": (
        ("gate", "stages.long-32k.tokens=50B"),
        ("gate", "stages.long-64k.tokens=900B"),
        ("missing-key", "stages.long-32k.gate={most: 200B}"),
        ("wrong-unit", "stages.long-32k.gate={when: needles are found, most: 20%}"),
    ),
    "samples": (
        ("wrong-unit", "stages.align.batch=[{seqs: 256, until: 100K seqs}, {seqs: 512}]"),
        ("wrong-unit", "sources.tasks.tokens=665K seqs"),
        ("unknown-setting", "stages.tune.set={vit: {image_size: 448}}"),
        ("one-budget", "stages.align.epochs=1"),
    ),
    "checkpoints": (
        ("checkpoint-fact", "stages.moonvit.checkpoint={gives: [vit], lr: {llm: 2e-5}}"),
        ("current", "stages.k2.checkpoint.lr=null"),
        ("missing-key", "stages.joint.loss=null"),
        ("mark-of-nothing", "stages.joint.init={llm: k2@50%, vit: moonvit, projector: new}"),
        ("carry-without-state", "stages.joint.carry=[llm, vit]"),
    ),
    "merges": (
        ("average-sum", "stages.merged.init={llm: {average: {long: .9, soup: .2}}}"),
        ("wrong-value", "stages.soup.init={average: [mid-a]}"),
        ("average-beyond-stage", "stages.polyak.init={average: mid-c, last: 5, every: 5000 steps}"),
        ("select-of-others", "stages.final.init={select: soup, of: [merged, polyak]}"),
        ("mark-of-nothing", "stages.long.init={llm: soup@50%}"),
        ("keep-ancestor", "stages.long.keep=soup"),
        ("carry-without-state", "stages.long.carry=[llm]"),
        ("missing-key", "stages.soup.packing=best-fit"),
        (
            "current",
            "stages.mid-b.lr=[{shape: linear, from: current, to: 1e-6}]",
            "stages.long.lr=[{shape: constant, from: current}]",
        ),
    ),
    "siblings": (
        ("separate-stages-deal-their-own-samples", "stages.seed-666.seed=42"),
        ("seeds-disagree", "stages.last={init: soup, keep: seed-42, tokens: 1B, lr: 1e-6}"),
        ("wrong-value", "stages.bison.status=dead"),
        ("extends", "stages.seed-666.extends=seed-41"),
    ),
    "mixtures": (
        ("siblings-sum", "stages.text.mixture={edu: 75%, code: 27%}"),
        ("ratio-range", "stages.text.mixture={edu: 75, code: rest}"),
        ("one-rest", "stages.text.mixture={edu: rest, code: rest}"),
        ("one-measure", "stages.text.mixture={edu: {ratio: 50%, size: 2}, code: rest}"),
        ("one-measure", "stages.text.mixture={edu: {ratio: 75%, at_most: 1T}, code: rest}"),
        ("size-unknown", "sources.papers.tokens=unknown"),
        ("replay-of-nothing", "stages.long-32k.mixture={replay: cooldown/text}"),
    ),
    "amounts": (
        ("amount-too-large", "stages.text.mixture={code: {tokens: 2T}, web: rest}"),
        ("siblings-sum", "stages.text.mixture={code: {tokens: 120B}, web: 80%}"),
        ("size-unknown", "sources.math.tokens=unknown"),
        ("no-source-passes-its-cap", "sources.wiki.max_epochs=2"),
    ),
    "changes": (
        ("mixture-piece", "stages.window.mixture=[{of: {web: 1}, until: 50%}, {shape: linear}]"),
        (
            "mixture-piece",
            "stages.text.mixture=[{of: {web: 1}, until: 20%}, {of: {code: 1}, until: 50%}]",
        ),
        ("no-previous", "stages.text.mixture=[{of: previous, until: 20%}, {of: {web: 1}}]"),
        (
            "piece-ends-before-start",
            "stages.text.mixture=[{of: {web: 1}, until: 50%}, {of: {code: 1}, "
            "until: 20%}, {of: {web: 1}}]",
        ),
        (
            "siblings-sum",
            "stages.text.mixture=[{of: {web: 1}, until: 50%}, {of: {web: .5, code: .6}}]",
        ),
    ),
    "parts": (
        ("part-of-nothing", "sources.web-first={of: web}"),
        ("part-says-less", "sources.web-first={of: web, part: first 10%, modality: text}"),
        ("part-says-less", "sources.web-first={of: web, part: first 10%, tokens: 40B}"),
        ("unknown-source", "sources.web-first={of: web-middle, part: first 10%}"),
        ("separate-stages-deal-their-own-samples", "stages.second-deal.seed=null"),
    ),
    "packing": (("wrong-value", "stages.early.packing=bestfit"),),
    "tags": (
        ("wrong-name", "sources.math.tags=[Two Words]"),
        ("said-twice", "sources.web-en.tags=[web, en, en]"),
        (
            "claim-path",
            "stages.main.mixture={web: {ratio: .5, of: {web-en: 1}}, "
            "rest: {ratio: .5, of: {web-zh: .5, math: .5}}}",
        ),
    ),
    "batch": (
        ("whole-sequences", "stages.linear.batch={tokens: 16M}"),
        ("step-too-large", "stages.linear.batch={seqs: 16Mi}"),
        (
            "ramp",
            "stages.linear.batch={seqs: {from: 3072, to: 15_360, shape: linear, "
            "multiple_of: 960}, until: 469B}",
        ),
        ("wrong-value", "stages.linear.batch={seqs: {from: 3072, to: 15_360, by: 768}}"),
        (
            "batch-mark",
            "stages.linear.batch=[{seqs: 3072, until: 50B}, {seqs: 4096, "
            "until: 20B}, {seqs: 1024}]",
        ),
    ),
    "layouts": (
        ("layout", "stages.main.batch={seqs: 1024}"),
        (
            "layout",
            "stages.main.batch={seqs: {from: 960, to: 4800, shape: linear, "
            "multiple_of: 960}, until: 500B}",
        ),
        ("layout", "stages.main.seq_len=4092"),
    ),
    "curves": (
        ("rates-are-below-one", "schedules.main[0].to=1e3"),
        ("outlives-schedule", "schedules.wsd=[{shape: linear, from: 0, to: 1e-3, for: 20M}]"),
        (
            "endless-piece",
            "schedules.wsd=[{shape: linear, from: 0, to: 1e-3, for: 80M}, "
            "{shape: constant, for: 1M}]",
        ),
        (
            "no-room-for-open-piece",
            "schedules.wsd=[{shape: linear, from: 0, to: 1e-3, for: 50M}, "
            "{shape: constant}, {shape: sqrt, to: 0, for: 1M}]",
        ),
        ("wrong-value", "schedules.geometric[0].to=0"),
        ("shorter-than-a-step", "schedules.wsd[0].for=2000"),
        ("too-many-pieces", "schedules.cycles[1].times=6000"),
    ),
    "schedules": (
        ("unknown-schedule", "stages.text.lr=pretrian"),
        ("outlives-schedule", "schedules.pretrain[1].until=30M"),
        ("carried-modules-go-on-at-their-rate", "stages.more.lr=5e-4"),
        ("stretch", "stages.text.lr=stable"),
        ("stretch", "stages.text.tokens=50M"),
    ),
    "optimizers": (
        ("missing-key", "optimizers.slow.beta3=null"),
        ("missing-key", "optimizers.by-module.llm=null"),
        ("unknown-key", "optimizers.slow.momentum=.9"),
        (
            "optimizer-curve",
            "optimizers.muon.weight_decay=[{shape: linear, from: 0, to: .1, "
            "for: 10%}, {shape: constant}]",
        ),
        (
            "outlives-schedule",
            "optimizers.muon.weight_decay=[{shape: linear, from: 0, to: .1, for: 100 steps}]",
        ),
    ),
    "losses": (
        ("every-trained-module-has-a-loss", "stages.base.loss={siglip: 1}"),
        (
            "every-loss-term-has-its-modules",
            "modules.llm={preset: olmo2-7b}",
            "stages.base.set=null",
        ),
        ("loss-rule", "stages.base.loss={next_token: 1, balance: {weight: 1, reduce: sqrt}}"),
    ),
    "settings": (
        ("unknown-setting", "stages.joint.set={llm: {bias_rate: 0}}"),
        ("wrong-value", "stages.joint.set={vit: {drop_path: 1}}"),
        ("set-of-absent", "stages.text.set={vit: {drop_path: .1}}"),
    ),
    "rope": (
        ("rope-unsaid", "stages.text.rope={}"),
        ("rope-of-absent", "stages.text.rope={llm: {base: 10_000}, vit: {base: 10_000}}"),
        ("dotted-key", "stages.raised.rope.llm.scaling.factor=4"),
        (
            "rope-factors",
            "stages.yarn.rope.llm.scaling={kind: longrope, factor: 8, "
            "original: 16Ki, short: [1], long: [2]}",
        ),
        ("missing-key", "stages.yarn.rope.llm.scaling={kind: yarn, factor: 8}"),
    ),
    "long-context": (
        ("batch-with-context", "stages.long-32k.batch=null"),
        ("whole-sequences", "stages.long-32k.seq_len=48Ki"),
        ("target-below-context", "stages.long-128k.target_seq_len=64Ki"),
        ("rope-grows-with-context", "stages.long-32k.rope.llm.base=null"),
    ),
    "lifecycle": (
        ("adapters-unsaid", "stages.joint.adapters=null"),
        ("reshape-nothing", "stages.joint.reshape={llm: {vocab: 163_904}}"),
        ("part-of-new", "stages.text.init={llm: new, llm/head: new}"),
        ("unknown-part", "stages.head.init={llm: joint, llm/heads: new}"),
        (
            "adapters-on",
            "stages.align.adapters={llm: {kind: dora, rank: 64, "
            "parts: [norms]}, vit: {kind: dora, rank: 64, parts: [ffn]}}",
        ),
    ),
    "require": (
        ("claims-hold", "require=[mix.multimodal <= 30%]"),
        ("claims-hold", "require=[epochs.web <= .5]"),
        ("claim-path", "require=[mix.wb <= 40%]"),
        ("claim-path", "require=[optimizer.llm.betta2 <= .99]"),
        ("claim-path", 'require=["text: lr.vit <= 1"]'),
        ("claim-syntax", "require=[tokens.total = 2.6T]"),
        ("claim-syntax", "require=[tokens.web <= 10%]"),
        ("unknown-key", "require=[{claim: lr.llm <= 1, because: 2,000 steps are few}]"),
        ("claim-undecided", "sources.web.tokens=unknown"),
        ("claim-path", "require=[text:lr.llm <= joint:lr.llm]"),
        ("claim-undecided", "require=[1 / lr.llm <= 1]"),
    ),
    "provenance": (
        ("unknown-tag", "stages.text.packing=!asumed best-fit"),
        ("size-unknown", "stages.text.mixture=[web, code]"),
        ("ratio-unknown", "stages.text.mixture={web: unknown, code: .2}"),
    ),
    "overlays": (
        ("dotted-key", "stages.jiont.tokens=1M"),
        ("dotted-key", "schedules.pretrain[3].to=0"),
        ("wrong-value", "stages.joint.tokens=600BB"),
    ),
    "proxies": (
        ("scale", "scale=1/100"),
        ("shorter-than-a-step", "scale.tokens=1/50"),
        ("not-whole", "scale.seqs=1/3"),
    ),
    "allow": (
        ("unused-allow", "stages.answers.lr={curve: 1e-5, jump: true}"),
        ("unused-allow", "stages.handover.tokens=1B"),
    ),
}
