"""Hypothesis strategies: curves, batches, mixtures, and whole plans valid by construction

A plan is drawn as a tree (dicts, lists, words, numbers; a bare `int` counts tokens, sequences or
positions), so that a test can change one value, and written down by `text_of`.

    outside --> eyes (optional root, counted by its ViT)
                  |
    text ---------+--> joint (optional) --> next-0 --> next-1 ...   each keeps its parent
                                                 |--> soup --> after (optional), text averaged in
"""

from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import strategies as st

from curriculum.batch import Batch, Entry, Ramp, RampShape, lay_out
from curriculum.curve import ClockUnit, Curve, Piece, Shape, constant
from curriculum.mixture import Mixture, Node
from curriculum.words import STATUSES

Tree = dict[str, Any]
Draw = st.DrawFn

SMALL = st.integers(0, 40).map(lambda n: Fraction(n, 40))
POSITIVE = st.integers(1, 40).map(lambda n: Fraction(n, 41))
TAGS = ("!assumed ", "!derived ")
RAMP_SHAPES: tuple[RampShape, ...] = ("linear", "increments")

# Leaves


@st.composite
def batches(draw: Draw, most_pieces: int = 3) -> Batch:
    """Draw a batch, maybe with a ramp; marks rise, and an entry may hold no step."""
    entries: list[Entry | Ramp] = []
    mark = 0
    if draw(st.booleans()):
        ends = draw(st.lists(st.integers(1, 9), min_size=2, max_size=2, unique=True))
        mark = draw(st.integers(1, 4000))
        shape = draw(st.sampled_from(RAMP_SHAPES))
        entries.append(Ramp(shape, ends[0], ends[1], 1, 8, 0, mark))
    for _ in range(draw(st.integers(0, most_pieces - 1))):
        mark += draw(st.integers(1, 4000))
        entries.append((draw(st.integers(1, 9)), draw(st.sampled_from([1, 8, 24])), mark))
    entries.append((draw(st.integers(1, 9)), draw(st.sampled_from([1, 8, 24])), None))
    return lay_out(entries)


@st.composite
def curves(draw: Draw, batch: Batch, steps: int, linear: bool = False) -> Curve:
    """Draw a curve of one to four pieces over the steps of a batch, each in a unit of its own."""
    cuts = draw(st.lists(st.integers(1, max(1, steps - 1)), max_size=3, unique=True).map(sorted))
    starts = [0, *(c for c in cuts if c < steps)]
    ends = [*starts[1:], steps]
    shapes: list[Shape] = ["constant", "linear"] if linear else _SHAPES
    pieces = []
    for first, end in zip(starts, ends, strict=True):
        unit: ClockUnit = draw(st.sampled_from(["tokens", "steps"]))
        start, stop = first, end
        if unit == "tokens":
            start, stop = batch.tokens_before(first), batch.tokens_before(end)
        before = draw(st.integers(0, 50)) if first == 0 else 0
        shape: Shape = draw(st.sampled_from(shapes))
        value = SMALL if linear else POSITIVE
        a = draw(value)
        b = a if shape in ("constant", "rsqrt") else draw(value)
        knob = Fraction(draw(st.integers(1, 500))) if shape == "rsqrt" else None
        power = Fraction(draw(st.integers(1, 6)), 2) if shape == "power" else None
        behind = draw(SMALL.filter(lambda x: x < 1)) if not linear and start == 0 else Fraction(0)
        piece = Piece(shape, unit, first, start - before, stop, a, b, knob, behind, power)
        pieces.append(piece)
    return Curve(tuple(pieces))


_RAW = st.sampled_from(["1", "2.5", "0.3"])
_SHAPES: list[Shape] = [
    "constant", "linear", "cosine", "sqrt", "power", "inverse", "exponential", "rsqrt", "half_life"
]  # fmt: skip


@st.composite
def mixtures(draw: Draw) -> Mixture:
    """Draw a mixture whose siblings sum to 1: ramps beside `rest`, up to two groups deep."""
    batch = draw(batches())
    steps = draw(st.integers(1, 120))

    def siblings(depth: int, above: str) -> tuple[Node, ...]:
        count = draw(st.integers(1, 3))
        if draw(st.booleans()):
            half = Fraction(1, max(1, count - 1))
            ramps = [
                _below(draw(curves(batch, steps, linear=True)), half) for _ in range(count - 1)
            ]
            ratios: list[Curve | None] = [*ramps, None]
        else:
            parts = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
            total = sum(parts) or 1
            parts = parts if sum(parts) else [1] + [0] * (count - 1)
            ratios = [constant(Fraction(p, total)) for p in parts]
        return tuple(
            Node(f"{above}g{i}", ratio, None, siblings(depth - 1, f"{above}{i}"))
            if depth and draw(st.booleans())
            else Node(f"{above}n{i}", ratio, draw(st.sampled_from("abcd")))
            for i, ratio in enumerate(ratios)
        )

    return Mixture(siblings(2, ""), batch, steps, batch.tokens_before(steps))


def _below(curve: Curve, factor: Fraction) -> Curve:
    pieces = curve.pieces
    return Curve(
        tuple(
            Piece(p.shape, p.unit, p.first_step, p.start, p.end, p.a * factor, p.b * factor)
            for p in pieces
        )
    )


# Whole plans

MODULES: Tree = {
    "llm": {"preset": "moonlight-proxy"},
    "vit": {"preset": "moonvit-proxy"},
    "projector": {"preset": "pixel-shuffle-mlp-proxy"},
    "captioner": {"preset": "tiny-decoder-proxy"},
}
OTHER_MODULES: tuple[Tree, ...] = (
    {},
    {"llm": {"kind": "llm", "params": "8M", "active_params": "3M", "hidden": 64, "vocab": "1Ki"}},
    {"vit": {"kind": "vit", "params": "0.4M", "merge": 2}},
    {"vit": {"kind": "vit", "params": "0.4M"}, "captioner": {"kind": "captioner", "params": "1M"}},
    {"llm": {"preset": "kimi-k2", "num_layers": 3}, "vit": {"preset": "siglip-so400m-14-384"}},
    {"llm": {"preset": "glm-4.5-air", "num_layers": 3, "softmax_router": "true"}},
)
"""What stands in a plan instead: sizes that differ, and modules known by counts alone."""
OPTIMIZERS: Tree = {
    "muon": {
        "kind": "muon",
        "update_rms": ".2",
        "weight_decay": ".1",
        "llm": {"momentum": ".9"},
        "llm/norms": {"kind": "adamw"},
        "llm/embeddings": {"weight_decay": 0},
    },
    "adam": {
        "kind": "adamw",
        "weight_decay": [
            {"shape": "linear", "from": "0", "to": "0.05", "for": "9 steps"},
            {"shape": "constant"},
        ],
        "beta2": ".99",
    },
}
PART = "part"
PART_OF: Tree = {"of": "s0", "part": "10% to 35%"}
GROWTH = 8  # the most that contexts and kept batches grow along a chain
SQUARE: Tree = {"weight": "1", "over": "text", "reduce": "sqrt"}
LEAST_STEPS = 30  # of a stage: shares and warm-ups below then hold at least one step


@st.composite
def plans(draw: Draw, marks: bool | None = None) -> Tree:
    """Draw a whole plan; with `marks`, stages may start from the middle of others."""
    may_mark = draw(st.booleans()) if marks is None else marks
    return _Drawn(draw, may_mark).plan()


class _Drawn:
    """Draws the stages of one plan, one after the other."""

    def __init__(self, draw: Draw, may_mark: bool) -> None:
        self.draw = draw
        self.may_mark = may_mark
        self.seq_len = draw(st.sampled_from([32, 64]))
        self.sources = [f"s{i}" for i in range(draw(st.integers(2, 4)))]
        if draw(st.booleans()):
            self.sources.append(PART)
        self.vocab = 1024
        self.stages: Tree = {}
        self.roots: dict[str, list[str]] = {}  # the first level of each stage's mixture

    def plan(self) -> Tree:
        draw = self.draw
        self.text()
        with_eyes = draw(st.booleans())
        if with_eyes:
            self.eyes()
        last, seq_len, seqs = "text", self.seq_len, self.last_seqs
        if with_eyes and draw(st.booleans()):
            self.joint()
            last = "joint"
        for i in range(draw(st.integers(0, 3))):
            seq_len, seqs = self.follower(f"next-{i}", last, seq_len, seqs)
            last = f"next-{i}"
        if draw(st.booleans()):
            self.merge(last, seqs)
        return {
            "plan": "drawn",
            "seed": draw(st.integers(0, 3)),
            "modules": {**MODULES, **draw(st.sampled_from(OTHER_MODULES))},
            "optimizers": OPTIMIZERS,
            "sources": {
                name: self.source() if name != PART else dict(PART_OF) for name in self.sources
            },
            "schedules": {
                "main": self.schedule("0"),
                "towers": self.schedule("0.0001"),
                "anneal": self.schedule("current"),
            },
            "stages": self.stages,
            **(self.claims() if draw(st.booleans()) else {}),
        }

    def claims(self) -> Tree:
        share = {
            "claim": "mix.source.s0 >= 0 and mix.source.s0 <= 100%",
            "because": "it is a share",
        }
        return {"require": ["lr.llm <= 5e-4", share]}

    def source(self) -> Tree:
        source: Tree = {
            "modality": self.draw(st.sampled_from(["text", "image-text", "video-text"])),
            "tokens": self.draw(st.integers(1, 9)) * 10**6,
        }
        if self.draw(st.booleans()):
            source |= {"holdout": "2%", "max_epochs": "40", "image_share": ".5", "path": "here"}
        if self.draw(st.booleans()):
            source["tags"] = self.draw(st.sampled_from([["web"], ["en", "web"], ["code"]]))
        return source

    # Stages

    def text(self) -> None:
        draw = self.draw
        first, last = draw(st.integers(1, 8)), draw(st.integers(1, 8))
        self.last_seqs = last
        batch: Any = {"seqs": last}
        context: Tree = {"seq_len": self.seq_len}
        kind = draw(st.sampled_from(["constant", "constant", "pieces", "pieces", "ramp"]))
        middle = 7 * max(first, last) * self.seq_len + 3
        if kind == "pieces":
            until = draw(st.sampled_from([middle, "step 9", "30%"]))
            batch = [{"seqs": first, "until": until}, {"seqs": last}]
            if not self.may_mark and draw(st.booleans()):
                context, batch[1] = {}, batch[1] | context
                batch[0]["seq_len"] = self.seq_len // 2
        elif kind == "ramp" and first != last:
            level: Tree = {"by": 1}
            if draw(st.booleans()):
                level = {"shape": "linear", "multiple_of": 1}
            until = draw(st.sampled_from([middle, "30%"]))
            batch = [{"seqs": {"from": first, "to": last, **level}, "until": until}]
        self.stages["text"] = {
            "init": {"llm": "new"},
            **self.budget(max(first, last) * self.seq_len, max(first, last), batch),
            "train": ["llm"],
            "optimizer": "muon",
            "loss": {"next_token": draw(st.sampled_from(["1", "0.5", SQUARE])), "z_loss": "1e-4"},
            "set": {"llm/router": {"bias_rate": self.over_stage(".001", ".0005")}},
            "lr": self.ride("main"),
            **context,
            "batch": batch,
            "packing": draw(st.sampled_from(["best-fit", "concat", "concat-across"])),
            "rope": {"llm": self.rope()},
            "mixture": self.mixture("text"),
            "ema": draw(st.sampled_from(["none", {"decay": ".995"}])),
        }
        if not context or draw(st.booleans()):  # a scaling cannot read a context that changes
            self.stages["text"]["target_seq_len"] = "1Mi"
        if draw(st.booleans()):
            bounds = {"least": LEAST_STEPS * self.seq_len, "most": f"{10**6} steps"}
            self.stages["text"]["gate"] = {"when": "it is good", **bounds}
        if "tokens" in self.stages["text"] and draw(st.booleans()):
            self.stages["text"]["until"] = self.stages["text"].pop("tokens")

    def rope(self) -> Tree:
        """Return a base, mostly with nothing that stretches it."""
        rope: Tree = {"base": self.draw(st.sampled_from([10_000, "50_000"]))}
        bands = {"factor": 8, "original": 4096}
        scaling: Tree | None = self.draw(
            st.sampled_from(
                [
                    None,
                    None,
                    {"kind": "linear", "factor": 4},
                    {"kind": "dynamic-ntk", **bands},
                    {"kind": "llama3", **bands, "low_freq_factor": 1, "high_freq_factor": 4},
                    {"kind": "yarn", **bands, "beta_fast": 32, "beta_slow": 1},
                ]
            )
        )
        return rope if scaling is None else {**rope, "scaling": scaling}

    def eyes(self) -> None:
        draw = self.draw
        self.stages["outside"] = {"checkpoint": {"gives": ["vit"], "path": "vit.safetensors"}}
        if draw(st.booleans()):
            facts = {"tokens": 10**9, "lr": {"vit": "2e-5", "vit/norms": "1e-5"}}
            self.stages["outside"]["checkpoint"] |= facts
        seqs = draw(st.integers(1, 8))
        self.stages["eyes"] = {
            "init": {"vit": draw(st.sampled_from(["new", "outside"])), "captioner": "new"},
            **self.budget(seqs * self.seq_len, seqs, {}),
            "count": "vit",
            "train": ["vit", "captioner"],
            "optimizer": "adam",
            "loss": {"caption": self.over_stage("1", "2")},
            "lr": draw(st.sampled_from(["towers", {"vit": "towers", "rest": "0.001"}])),
            "seq_len": self.seq_len,
            "batch": {"tokens": seqs * self.seq_len},
            "packing": "best-fit",
            "rope": "none",
            "mixture": self.mixture("eyes"),
            "seed": 7,
        }

    def joint(self) -> None:
        draw = self.draw
        three = ["llm", "vit", "projector"]
        tps = self.last_seqs * self.seq_len
        self.stages["joint"] = {
            "init": {"llm": self.point("text"), "vit": "eyes", "projector": "new"},
            "keep": "text",
            "carry": draw(st.sampled_from(["all", "none", ["llm"], ["llm", "vit"]])),
            "seed": 8,
            **self.budget(tps, self.last_seqs, {}),
            "train": three,
            "optimizer": draw(st.sampled_from(["muon", "adam"])),
            "lr": draw(
                st.sampled_from(
                    [
                        "main",
                        {"schedule": "main", "scale": ".5", "jump": "true"},
                        {"llm": "main", "vit": "towers", "projector": "3e-4"},
                        {"vit": "towers", "rest": "main"},
                        {
                            "llm": "main",
                            "llm/norms": "1e-4",
                            "vit": "towers",
                            "projector": "towers",
                        },
                    ]
                )
            ),
            # Said anew: at a mark of `text` its batch may be another than at the end.
            "batch": {"seqs": self.last_seqs},
            "mixture": self.mixture("joint"),
        }

    def follower(self, name: str, parent: str, seq_len: int, seqs: int) -> tuple[int, int]:
        draw = self.draw
        stage: Tree = {
            "init": self.point(parent),
            "keep": parent,
            "carry": draw(st.sampled_from(["all", "none", ["llm"]])),
            "batch": {"seqs": seqs},
        }
        change = draw(st.sampled_from(["none", "context", "context-seqs"]))
        if change != "none" and seq_len * 2 <= self.seq_len * GROWTH:
            if change == "context-seqs":
                stage |= {"seq_len": seq_len * 2, "batch": {"seqs": seqs}}
                seq_len *= 2
            elif seqs % 2 == 0 and "@" not in stage["init"]:
                stage |= {"seq_len": seq_len * 2, "batch": {"tokens": "keep"}}
                seq_len, seqs = seq_len * 2, seqs // 2
            changed, value = draw(
                st.sampled_from(
                    [
                        ("rope.llm.base", "800_000"),
                        ("rope.llm.base", "500000"),
                        ("rope.llm.scaling", {"kind": "ntk", "factor": "2.5"}),
                    ]
                )
            )
            stage[changed] = value
        ride = draw(st.sampled_from(["keep", "restart", "scale", "curve", "anneal", "anneal"]))
        if ride == "restart":
            stage["lr"] = {"schedule": "main", "restart": "true"}
        elif ride == "scale":
            stage["lr"] = {"schedule": "main", "scale": "1/3"}
        elif ride == "curve":
            stage["lr"] = self.over_stage("3e-4", "1e-5")
        elif ride == "anneal":
            stage["lr"] = "anneal"
        if draw(st.booleans()):
            stage["mixture"] = self.mixture(name)
        else:
            self.roots[name] = self.roots[parent]
        if draw(st.booleans()):
            stage["set"] = {"llm/router": {"bias_rate": "0"}}
        if draw(st.booleans()):
            self.vocab += 16
            stage["reshape"] = {"llm": {"vocab": self.vocab}}
        if draw(st.booleans()):
            stage["loss.next_token"] = self.over_stage("1", "0.25")
        stage |= self.budget(seqs * seq_len, seqs, {})
        self.stages[name] = stage
        return seq_len, seqs

    def merge(self, last: str, seqs: int) -> None:
        """Average the last stage with the first, or with itself, and go on from there."""
        draw = self.draw
        soup: Tree = {"average": "text", "last": draw(st.integers(2, 4)), "every": "3 steps"}
        is_alike = not any("reshape" in stage for stage in self.stages.values())
        if last != "text" and is_alike:
            weights = draw(st.sampled_from([(".9", ".1"), ("1/3", "2/3")]))
            soup = draw(
                st.sampled_from(
                    [
                        {"average": [self.point("text"), last]},
                        {"average": dict(zip([self.point("text"), last], weights, strict=True))},
                    ]
                )
            )
        self.stages["soup"] = {"init": {"llm": soup}, "status": draw(st.sampled_from(STATUSES))}
        if draw(st.booleans()):
            self.stages["after"] = {
                "init": draw(st.sampled_from(["soup", {"llm": soup}])),
                "keep": last if is_alike else "text",
                "tokens": LEAST_STEPS * seqs * self.seq_len * GROWTH,
                "train": ["llm"],
                "lr": "0.0001",
                "mixture": self.mixture("after"),
                "status": "probe",
                "seed": 11,
            }

    def point(self, stage: str) -> str:
        if not self.may_mark:
            return stage
        marks = ["", "@end", "@60%", "@step 20", f"@{20 * self.seq_len}"]
        return stage + self.draw(st.sampled_from(marks))

    def budget(self, tokens_per_step: int, seqs: int, batch: Any) -> Tree:
        draw = self.draw
        steps = draw(st.integers(LEAST_STEPS, 90))
        # A share is a mark of a batch only where the budget is in tokens.
        kinds = ["tokens"] if isinstance(batch, list) else ["tokens", "tokens", "steps", "seqs"]
        kind = draw(st.sampled_from(kinds))
        if kind == "steps":
            return {"steps": str(steps)}
        if kind == "seqs":
            return {"seqs": steps * seqs + draw(st.integers(0, seqs - 1))}
        budget: Tree = {
            "tokens": steps * tokens_per_step + draw(st.integers(0, tokens_per_step - 1))
        }
        if draw(st.booleans()):
            budget["round"] = draw(st.sampled_from(["up", "down"]))
        return budget

    # Curves

    def ride(self, schedule: str) -> Any:
        scaled = {"schedule": schedule, "scale": ".3"}
        follows = {"schedule": schedule, "with_batch": "linear"}
        return self.draw(st.sampled_from([schedule, scaled, follows]))

    def schedule(self, start: str) -> list[Tree]:
        """Draw a schedule; where stages are left at marks, one that asks nobody for its end."""
        draw = self.draw
        most = self.seq_len * 8 * GROWTH
        warm: Tree = {"shape": "linear", "from": start, "to": "4.2e-4"}
        warm["for"] = f"{draw(st.integers(1, 8))} steps"
        shapes = ["linear", "cosine", "sqrt", "exponential", "inverse", "power"]
        shape = draw(st.sampled_from(shapes))
        down: Tree = {"shape": shape, **({"power": "2"} if shape == "power" else {})}
        if self.may_mark:
            middle: Tree = {**down, "to": "10%", "for": most * draw(st.integers(2, 9))}
            lasts: list[Tree] = [
                {"shape": "constant"},
                {"shape": "rsqrt", "timescale": most},
                {"shape": "exponential", "half_life": most},
            ]
            return [warm, middle, draw(st.sampled_from(lasts))]
        tail = draw(st.sampled_from(["to-zero", "floor", "open-middle", "cycles"]))
        if tail == "to-zero":
            return [warm, {**down, "to": "1e-5"}]
        if tail == "floor":
            return [warm, {**down, "to": "10%", "until": "70%"}, {"shape": "constant"}]
        if tail == "cycles":
            again = [
                {"shape": "constant", "for": "5 steps"},
                {**down, "to": "50%", "for": "3 steps"},
            ]
            return [warm, {"repeat": again, "times": "2"}, {"shape": "constant"}]
        held: list[Tree] = [{"shape": "constant"}, {"shape": "cosine", "to": "50%"}]
        end: Tree = {"shape": draw(st.sampled_from(["linear", "sqrt"])), "to": "0", "for": "15%"}
        return [warm, draw(st.sampled_from(held)), end]

    def over_stage(self, a: str, b: str) -> Any:
        """Draw a value, or a curve over a stage from a to b."""
        draw = self.draw
        if draw(st.booleans()):
            return a
        shape = draw(st.sampled_from(["linear", "cosine", "sqrt", "exponential"]))
        held: Tree = {"shape": "constant", "from": a}
        held["for"] = draw(st.sampled_from(["10%", "5 steps"]))
        return [held, {"shape": shape, "to": b}]

    # Mixtures

    def mixture(self, stage: str) -> Any:
        draw = self.draw
        earlier = sorted(self.roots)
        kinds = ["flat", "ramp", "groups", "measures", "pieces"]
        kind = draw(st.sampled_from(kinds + (["replay", "replay"] if earlier else [])))
        if kind == "pieces":
            self.roots[stage] = self.sources
            return self.pieces()
        if kind == "flat":
            tree = self.shares(self.sources)
        elif kind == "measures":
            tree = self.measures()
        elif kind == "groups":
            tree = {
                "by-size": {"ratio": "0.25", "of": self.sources[:2]},
                "rest-of": {"ratio": "rest", "of": self.shares(self.sources)},
            }
        else:
            ramp: Any = [
                {"shape": "constant", "from": "0", "for": draw(st.sampled_from(["5%", "3 steps"]))},
                {"shape": "linear", "to": draw(st.sampled_from(["40%", "1/3"]))},
            ]
            of: Any = self.shares(self.sources)
            if kind == "replay":
                of = {"replay": self.replayed(draw(st.sampled_from(earlier)))}
                ramp = draw(st.sampled_from(["0.3", ramp]))
            new = {"ratio": ramp, "of": self.shares(self.sources[-2:])}
            if draw(st.booleans()):
                new["tags"] = ["fresh"]
            tree = {"new": new, "old": {"ratio": "rest", "of": of}}
        self.roots[stage] = [name for name in tree if name != "normalize"]
        return tree

    def measures(self) -> Tree:
        """Draw nodes that say how much they read in another way than by a ratio."""
        draw = self.draw
        ramp = [{"shape": "linear", "from": "0", "to": "30%"}]
        of: Tree = {"s0": {"tokens": 90}, "s1": draw(st.sampled_from(["rest", {"size": "1"}]))}
        some = {"ratio": draw(st.sampled_from(["0.3", ramp])), "of": of}
        kind = draw(st.sampled_from(["size", "sqrt_size", "normalize"]))
        if kind == "normalize":
            return {"normalize": "true"} | {name: draw(_RAW) for name in self.sources}
        others: Tree = {name: {kind: draw(_RAW)} for name in self.sources}
        if draw(st.booleans()):
            others[self.sources[0]]["at_most"] = 5000
        return {"some": some, "few": {"tokens": 64, "of": self.shares(self.sources)}, **others}

    def pieces(self) -> list[Tree]:
        """Draw pieces of the same sources, some of which go over into one another."""
        draw = self.draw
        pieces: list[Tree] = [{"of": self.shares(self.sources), "until": "20%"}]
        if draw(st.booleans()):
            over = draw(st.sampled_from(["30%", "5 steps"]))
            pieces.append({"shape": "linear", "for": over})
        pieces.append({"of": self.shares(self.sources)})
        if draw(st.booleans()):
            pieces.append({"of": "previous", "for": "10%"})
        return pieces

    def replayed(self, stage: str) -> str:
        mark = self.draw(st.sampled_from(["", "@end", "@50%", "@step 7"]))
        path = self.draw(st.sampled_from(["", *(f"/{root}" for root in self.roots[stage])]))
        return f"{stage}{mark}{path}"

    def shares(self, names: list[str]) -> Tree:
        """Split 1 among names in twentieths; the first may say `rest`."""
        cuts = [self.draw(st.integers(0, 20 // len(names))) for _ in names[1:]]
        first = Fraction(20 - sum(cuts), 20)
        ratios: list[str] = [str(float(first)), *(str(c / 20) for c in cuts)]
        if self.draw(st.booleans()):
            ratios[0] = "rest"
        return dict(zip(names, ratios, strict=True))


# Text


def text_of(tree: Tree, dressing: Random | None = None) -> str:
    """Write a tree as a plan file.

    With `dressing`, in another order of keys and with comments, tags and `source:` in it: nothing
    that changes what the plan means.
    """
    lines = []
    for key, value in _items(tree, dressing):
        if dressing:
            lines.append(f"# about {key}: nothing\n")
        if isinstance(value, dict) and key in ("sources", "stages", "schedules"):
            lines.append(f"{key}:  # all of them\n" if dressing else f"{key}:\n")
            for name, inner in _items(value, dressing):
                if dressing and key != "schedules":
                    inner = {**inner, "source": f"a page on {name}"}
                lines.append(f"  {name}: {_flow(inner, dressing)}\n")
        else:
            lines.append(f"{key}: {_flow(value, dressing if key != 'plan' else None)}\n")
    if dressing:
        lines.append("source: arXiv 0000.00000\n")
    return "".join(lines)


def _items(tree: Tree, dressing: Random | None) -> list[tuple[str, Any]]:
    items = list(tree.items())
    if dressing:
        dressing.shuffle(items)
    return items


def _flow(value: Any, dressing: Random | None) -> str:
    tag = dressing.choice(("", "", *TAGS)) if dressing else ""
    if isinstance(value, dict):
        inner = ", ".join(f"{k}: {_flow(v, dressing)}" for k, v in _items(value, dressing))
        return f"{tag}{{{inner}}}"
    if isinstance(value, list):
        return f"{tag}[{', '.join(_flow(item, dressing) for item in value)}]"
    return f"{tag}{value}"


def leaves(
    tree: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Go through the values of a tree that are not trees themselves, with their paths."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree


def changed(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the tree with one value replaced."""
    if not path:
        return value
    if isinstance(tree, dict):
        return {k: changed(v, path[1:], value) if k == path[0] else v for k, v in tree.items()}
    return [changed(v, path[1:], value) if i == path[0] else v for i, v in enumerate(tree)]


def enlarged(tree: Any, seqs: int, seq_len: int, key: str = "") -> Any:
    """Return the plan of which `scale: {tokens: 1/(seqs seq_len), ...}` makes this one again."""
    if isinstance(tree, dict):
        # A key may be a mark too (`average: {text@640: .9, joint: .1}`), and the ends of a ramp
        # are as large as what it ramps.
        return {
            enlarged(k, seqs, seq_len): enlarged(v, seqs, seq_len, key if key == "seqs" else k)
            for k, v in tree.items()
        }
    if isinstance(tree, list):
        return [enlarged(v, seqs, seq_len, key) for v in tree]
    if isinstance(tree, int):
        if key == "seqs":
            return tree * seqs
        if key in ("seq_len", "original"):
            return tree * seq_len
        if key in ("tokens", "for", "until", "timescale", "half_life", "least", "at_most"):
            return tree * seqs * seq_len
    if key == "target_seq_len":
        return f"{seq_len}Mi"  # of 1Mi
    if isinstance(tree, str) and "@" in tree:
        stage, _, mark = tree.partition("@")
        if mark.isdigit():
            return f"{stage}@{int(mark) * seqs * seq_len}"
    return tree
