"""A small plan as a tree, for tests that change one thing of it"""

from pathlib import Path
from typing import Any

import yaml

from curriculum.compile import Compiled, compile_file, compile_text
from curriculum.plan import Plan
from strategies import Tree, text_of

BASE: Tree = {
    "init": {"llm": "new"},
    "tokens": 64_000,  # 100 steps of 640 tokens
    "train": ["llm"],
    "optimizer": "adam",
    "loss": {"next_token": 1},
    "set": {"llm/router": {"bias_rate": "1e-3"}},
    "lr": "main",
    "seq_len": 64,
    "batch": {"seqs": 10},
    "packing": "best-fit",
    "rope": {"llm": {"base": "50_000"}},
    "mixture": {"a": ".75", "b": ".25"},
}
EYES: Tree = {
    **{k: v for k, v in BASE.items() if k not in ("set", "rope")},
    "init": {"vit": "new", "captioner": "new"},
    "count": "vit",
    "train": ["vit", "captioner"],
    "loss": {"caption": 1},
    "lr": "towers",
    "rope": "none",
}
WARM: Tree = {"shape": "linear", "from": 0, "to": "1e-3", "for": "10 steps"}


def tree(stages: Tree, **more: Any) -> Tree:
    """Return a plan of these stages; `more` replaces other keys of the plan."""
    return {
        "plan": "small",
        "modules": {
            "llm": {"preset": "moonlight-proxy"},
            "vit": {"preset": "moonvit-proxy"},
            "projector": {"preset": "pixel-shuffle-mlp-proxy"},
            "captioner": {"preset": "tiny-decoder-proxy"},
        },
        "optimizers": {"adam": {"kind": "adamw", "weight_decay": ".1"}},
        "sources": {
            "a": {"modality": "text", "tokens": "3M"},
            "b": {"modality": "text", "tokens": "1M"},
            "c": {"modality": "image-text", "tokens": "unknown"},
        },
        "schedules": {
            "main": [WARM, {"shape": "linear", "to": 0}],
            "towers": [WARM, {"shape": "constant"}],
        },
        "stages": stages,
        **more,
    }


def compiled(stages: Tree, **more: Any) -> Compiled:
    """Compile a plan of these stages."""
    return compile_text(text_of(tree(stages, **more)))


def plan_of(stages: Tree, **more: Any) -> Plan:
    """Compile a plan that is right."""
    return right(compiled(stages, **more))


def right(found: Compiled) -> Plan:
    """Return the plan, or show what was found."""
    assert found.plan is not None, [str(f) for f in found.findings]
    return found.plan


def rules_of(stages: Tree, **more: Any) -> list[str]:
    """Return the rules that a wrong plan breaks, in the order of their places."""
    found = compiled(stages, **more)
    assert found.plan is None
    assert all(f.span is not None and f.message for f in found.findings)
    return [f.rule for f in found.findings]


def message_of(stages: Tree, **more: Any) -> str:
    """Return the one finding of a plan, in words."""
    (found,) = compiled(stages, **more).findings
    return str(found)


def plan_in(folder: Path, overlay: str, stages: Tree, *settings: str, **more: Any) -> Compiled:
    """Compile an overlay over a plan of these stages."""
    (folder / "base.yaml").write_text(text_of(tree(stages, **more)))
    path = folder / "overlay.yaml"
    path.write_text(f"extends: base.yaml\n{overlay}")
    return compile_file(path, settings)


def untagged_yaml(text: str) -> Any:
    """Read YAML as editors do: tags are dropped, and a conflict is a list."""

    class Loader(yaml.SafeLoader):
        """YAML with the language's tags, which cover what they hold."""

    def untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        assert isinstance(node, yaml.ScalarNode)
        resolve: Any = loader.resolve
        plain = yaml.ScalarNode(resolve(yaml.ScalarNode, node.value, (True, False)), node.value)
        return loader.construct_object(plain)

    Loader.add_multi_constructor("!", untagged)
    return yaml.load(text, Loader)
