"""Plans of the seed figure's graph, built from the dataclasses, at full and at laptop size"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.batch import Batch, lay_out
from curriculum.curve import Curve, Piece, constant
from curriculum.mixture import Mixture, Node
from curriculum.models.presets import PRESETS
from curriculum.plan import Budget, Module, OptimizerRule, Plan, Ride, Source, Stage, Start
from curriculum.rope import Rope

SIZES = (
    5_200_000_000_000,
    2_000_000_000_000,
    100_000_000_000,
    1_400_000_000_000,
    600_000_000_000,
    150_000_000_000,
    150_000_000_000,
)
NAMES = ("text", "vit-coca", "vit-align", "joint", "cooldown", "long-32k", "long-128k")
STEPS = (160_933, 59_605, 2_981, 41_724, 17_882, 4_471, 4_471)

TEXT = {"english": "0.35", "chinese": "0.2", "code": "0.2", "math": "0.15", "knowledge": "0.1"}
IMAGES = {"captions": "0.4", "interleaved": "0.3", "ocr": "0.2", "video": "0.1"}


def full_plan(image_share: Fraction | None = None) -> Plan:
    """The seed figure at full size, its sources' shares made up here."""
    return _plan("kimi-vl", 1, 4096, 8192, image_share)


def laptop_plan(image_share: Fraction | None = None) -> Plan:
    """The same graph with every amount divided by 8,000,000."""
    return _plan("kimi-vl-laptop", 8_000_000, 16, 128, image_share)


def _plan(name: str, divisor: int, seqs: int, seq_len: int, image_share: Fraction | None) -> Plan:
    proxy = divisor > 1
    presets = {
        "llm": "moonlight-proxy" if proxy else "moonlight-16b-a3b",
        "vit": "moonvit-proxy" if proxy else "moonvit-so400m",
        "projector": "pixel-shuffle-mlp-proxy" if proxy else "pixel-shuffle-mlp",
        "text_tower": "siglip-text-proxy" if proxy else "siglip-so400m-text",
        "captioner": "tiny-decoder-proxy" if proxy else "tiny-decoder",
    }
    sources = {n: Source(n, "text", 10**13, image_share=Fraction(0)) for n in TEXT}
    for n in (*IMAGES, "hq-mm"):
        kind = "video-text" if n == "video" else "image-text"
        sources[n] = Source(n, kind, 10**12, image_share=image_share)
    sources["long-text"] = Source("long-text", "text", 10**11, image_share=Fraction(0))
    sources["long-video"] = Source("long-video", "video-text", 10**11, image_share=image_share)
    return Plan(
        name=name,
        seed=0,
        modules={n: Module(n, p, PRESETS[p]) for n, p in presets.items()},
        sources=sources,
        stages=_stages([size // divisor for size in SIZES], seqs, seq_len, divisor),
        digest="0" * 64,
    )


def _stages(sizes: list[int], seqs: int, seq_len: int, divisor: int) -> tuple[Stage, ...]:
    text_size = sizes[0]
    first = 200_000_000_000 // divisor
    batches = [lay_out([(seqs // 2, seq_len, first), (seqs, seq_len, None)])]
    batches += [lay_out([(seqs, seq_len, None)]) for _ in range(4)]
    batches += [
        lay_out([(seqs // 4, seq_len * 4, None)]),
        lay_out([(seqs // 16, seq_len * 16, None)]),
    ]
    steps = [b.step_at_tokens(size) for b, size in zip(batches, sizes, strict=True)]

    warm = 2000 if divisor == 1 else 20
    peak, floor = Fraction("4.2e-4"), Fraction("4.2e-5")
    warm_tokens = batches[0].tokens_before(warm)
    pretrain = Curve(
        (
            Piece("linear", "steps", 0, 0, warm, Fraction(0), peak),
            Piece("cosine", "tokens", warm, warm_tokens, text_size, peak, floor),
        )
    )
    towers = Curve(
        (
            Piece("linear", "steps", 0, 0, warm, Fraction(0), Fraction("1e-3")),
            Piece("cosine", "tokens", warm, 0, sizes[1], Fraction("1e-3"), Fraction("1e-4")),
        )
    )
    align = Curve((Piece("cosine", "tokens", 0, 0, sizes[2], Fraction("1e-4"), Fraction("1e-5")),))
    warm = 100 if divisor == 1 else 5
    top = Fraction("1e-4")
    total = sizes[4] + sizes[5] + sizes[6]
    start = batches[4].tokens_before(warm)

    def anneal(before: int) -> Curve:
        down = Piece("linear", "tokens", 0, start - before, total - before, top, Fraction(0))
        if before:
            return Curve((down,))
        up = Piece("linear", "steps", 0, 0, warm, floor, top)
        return Curve((up, Piece("linear", "tokens", warm, start, total, top, Fraction(0))))

    curves = [pretrain, towers, align, constant(floor)]
    curves += [anneal(0), anneal(sizes[4]), anneal(sizes[4] + sizes[5])]
    towers_names = ("vit", "text_tower", "captioner")
    three = ("llm", "vit", "projector")
    trained = [("llm",), towers_names, ("vit", "projector"), three, three, three, three]
    at = dict(zip(NAMES, steps, strict=True))

    def end(stage: str) -> Start:
        return Start(stage, at[stage], True)

    inits: list[Mapping[str, Start]] = [
        {"llm": Start(None)},
        {n: Start("siglip" if n != "captioner" else "tiny-lm") for n in towers_names},
        {"llm": end("text"), "projector": Start(None), "vit": end("vit-coca")},
        {"llm": end("text"), "projector": end("vit-align"), "vit": end("vit-align")},
        {n: end("joint") for n in sorted(three)},
        {n: end("cooldown") for n in sorted(three)},
        {n: end("long-32k") for n in sorted(three)},
    ]
    mixtures = _mixtures(batches, steps, sizes)
    bases = [50_000, None, 50_000, 50_000, 50_000, 800_000, 800_000]
    return tuple(
        Stage(
            name=name,
            init=inits[i],
            train=trained[i],
            count="vit" if name == "vit-coca" else "llm",
            budget=Budget(str(sizes[i]), sizes[i]),
            steps=steps[i],
            batch=batches[i],
            mixture=mixtures[i],
            lr=dict.fromkeys(trained[i], curves[i]),
            rides={module: Ride("some", name, 0, 0) for module in trained[i]},
            optimizer={m: OptimizerRule("muon", {"weight_decay": 0.1}) for m in trained[i]},
            loss=(
                {"siglip": constant(1), "caption": constant(2)}
                if name == "vit-coca"
                else {"next_token": constant(1)}
            ),
            settings=(
                {"llm/router.bias_rate": constant(Fraction(0 if i > 3 else "1e-3"))}
                if "llm" in trained[i]
                else {}
            ),
            rope={} if (base := bases[i]) is None else {"llm": Rope(Fraction(base))},
            packing="best-fit",
            seed=0,
            own_seed=False,
        )
        for i, name in enumerate(NAMES)
    )


def _mixtures(batches: list[Batch], steps: list[int], sizes: list[int]) -> list[Mixture]:
    def leaves(shares: Mapping[str, str]) -> tuple[Node, ...]:
        return tuple(Node(n, constant(Fraction(x)), n) for n, x in sorted(shares.items()))

    mixtures: list[Mixture] = []

    def add(*roots: Node) -> None:
        i = len(mixtures)
        mixtures.append(Mixture(roots, batches[i], steps[i], sizes[i]))

    add(*leaves(TEXT))
    add(*leaves(IMAGES))
    add(*leaves(IMAGES))
    begin = sizes[3] // 20
    first = batches[3].step_at_tokens(begin)
    zero, most = Fraction(0), Fraction("0.4")
    ramp = Curve(
        (
            Piece("constant", "tokens", 0, 0, begin, zero, zero),
            Piece("linear", "tokens", first, begin, sizes[3], zero, most),
        )
    )
    add(Node("multimodal", ramp, None, leaves(IMAGES)), Node("text", None, None, leaves(TEXT)))
    images = Node("multimodal", constant(most), None, leaves({"hq-mm": "1"}))
    add(images, Node("text", None, None, leaves(TEXT)))
    for i in (4, 5):
        long = Node(
            "long",
            constant(Fraction("0.25")),
            None,
            leaves({"long-video": ".4", "long-text": ".6"}),
        )
        add(long, Node("short", None, None, mixtures[i].end_roots()))
    return mixtures
