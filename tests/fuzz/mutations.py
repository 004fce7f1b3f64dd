"""Mutations: what a tired, a hurried or a hostile person does to a plan, one by one

A mutation takes a random generator and a plan, as a tree or as a text, and returns another one.
"""

import re
from collections.abc import Callable
from random import Random

from curriculum.check.advice import ADVICE
from curriculum.check.rules import RULES
from fuzz.corpus import (
    NUMBERS,
    UNITS,
    WORDS,
    any_text,
    drawn,
    garbage,
    keys,
    leaves,
    trees,
    values_by_key,
)
from fuzz.trees import Leaf, Many, Table, Tree, changed, walk
from fuzz.trees import Path as Place

_NUMBER = re.compile(r"([-+]?[0-9][0-9_.,]*(?:e[-+]?[0-9]+)?)(.*)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_./%@+-]+")
_BYTES = "{}[]:,-#&*!|>%@'\"`?~a0 \t\n\r\x00\x07\x1b\x7f\x85\ufeff\u2028\U0001f525"


def _places(tree: Tree, kind: type[Tree] | tuple[type[Tree], ...]) -> list[Place]:
    return [path for path, node in walk(tree) if isinstance(node, kind)]


def _of_entries(
    chance: Random, tree: Tree, change: Callable[[list[tuple[str, Tree]], int], None]
) -> Tree:
    """Change the entries of some mapping, around one of them."""
    tables = [path for path, node in walk(tree) if isinstance(node, Table) and node.entries]
    if not tables:
        return tree

    def edited(node: Tree) -> Tree:
        assert isinstance(node, Table)
        entries = list(node.entries)
        change(entries, chance.randrange(len(entries)))
        return node._replace(entries=tuple(entries))

    return changed(tree, chance.choice(tables), edited)


def _of_leaf(chance: Random, tree: Tree, change: Callable[[str], str]) -> Tree:
    """Change the text of some scalar."""
    places = _places(tree, Leaf)
    if not places:
        return tree

    def edited(node: Tree) -> Tree:
        assert isinstance(node, Leaf)
        return node._replace(text=change(node.text))

    return changed(tree, chance.choice(places), edited)


def _at(tree: Tree, path: Place) -> Tree:
    return next(node for place, node in walk(tree) if place == path)


# On the tree


def key_dropped(chance: Random, tree: Tree) -> Tree:
    return _of_entries(chance, tree, lambda entries, at: entries.__delitem__(at))


def key_doubled(chance: Random, tree: Tree) -> Tree:
    def doubled(entries: list[tuple[str, Tree]], at: int) -> None:
        entries.insert(chance.randrange(len(entries)), (entries[at][0], chance.choice(entries)[1]))

    return _of_entries(chance, tree, doubled)


def key_renamed(chance: Random, tree: Tree) -> Tree:
    def renamed(entries: list[tuple[str, Tree]], at: int) -> None:
        entries[at] = (chance.choice(keys()), entries[at][1])

    return _of_entries(chance, tree, renamed)


def key_misspelt(chance: Random, tree: Tree) -> Tree:
    def misspelt(entries: list[tuple[str, Tree]], at: int) -> None:
        entries[at] = (_misspelt(chance, entries[at][0]), entries[at][1])

    return _of_entries(chance, tree, misspelt)


def key_added(chance: Random, tree: Tree) -> Tree:
    def added(entries: list[tuple[str, Tree]], at: int) -> None:
        key = chance.choice(keys())
        entries.insert(at, (key, _some_value(chance, key)))

    return _of_entries(chance, tree, added)


def key_dotted(chance: Random, tree: Tree) -> Tree:
    """Reach below a key with a dotted one."""

    def reached(entries: list[tuple[str, Tree]], at: int) -> None:
        below = chance.choice(keys())
        end = chance.choice(("", "[0]", "[9]", f".{chance.choice(keys())}", "."))
        entries.append((f"{entries[at][0]}.{below}{end}", _some_value(chance, below)))

    return _of_entries(chance, tree, reached)


def value_of_same_key(chance: Random, tree: Tree) -> Tree:
    """Put what another plan says at the same key."""

    def replaced(entries: list[tuple[str, Tree]], at: int) -> None:
        key = entries[at][0]
        entries[at] = (key, _some_value(chance, key))

    return _of_entries(chance, tree, replaced)


def entries_shuffled(chance: Random, tree: Tree) -> Tree:
    return _of_entries(chance, tree, lambda entries, _: chance.shuffle(entries))


def values_swapped(chance: Random, tree: Tree) -> Tree:
    places = _places(tree, (Leaf, Many, Table))[1:]
    if not places:
        return tree
    one, other = chance.choice(places), chance.choice(places)
    if one[: len(other)] == other or other[: len(one)] == one:
        return tree
    first, second = _at(tree, one), _at(tree, other)
    return changed(changed(tree, one, lambda _: second), other, lambda _: first)


def value_of_anywhere(chance: Random, tree: Tree) -> Tree:
    from_tree = chance.choice(trees())
    value = _at(from_tree, chance.choice(_places(from_tree, (Leaf, Many, Table))))
    return changed(tree, chance.choice(_places(tree, (Leaf, Many, Table))), lambda _: value)


def value_garbled(chance: Random, tree: Tree) -> Tree:
    path = chance.choice(_places(tree, (Leaf, Leaf, Many, Table)))
    return changed(tree, path, lambda _: garbage(chance))


def leaf_of_another(chance: Random, tree: Tree) -> Tree:
    return _of_leaf(chance, tree, lambda _: chance.choice(leaves()).text)


def leaf_of_the_same_plan(chance: Random, tree: Tree) -> Tree:
    """Name another stage, source or module: parents that come later, replays of oneself."""
    own = [node.text for _, node in walk(tree) if isinstance(node, Leaf)]
    names = [key for _, node in walk(tree) if isinstance(node, Table) for key, _ in node.entries]
    return _of_leaf(chance, tree, lambda _: chance.choice((*own, *names) or ("x",)))


def number_to_extreme(chance: Random, tree: Tree) -> Tree:
    numbers = [p for p, n in walk(tree) if isinstance(n, Leaf) and _NUMBER.fullmatch(n.text)]
    if not numbers:
        return tree
    return changed(tree, chance.choice(numbers), lambda _: Leaf(chance.choice(NUMBERS)))


def number_moved(chance: Random, tree: Tree) -> Tree:
    """Multiply a number, or change its unit."""

    def moved(text: str) -> str:
        found = _NUMBER.fullmatch(text)
        if found is None:
            return text
        number, unit = found.groups()
        if chance.random() < 0.5:
            return number + chance.choice(UNITS)
        try:
            by = chance.choice((0.001, 0.1, 0.5, 0.999, 1.001, 2, 3, 10, 1000, 1e9))
            return f"{float(number.replace('_', '').replace(',', '')) * by:.6g}{unit}"
        except ValueError:
            return text

    return _of_leaf(chance, tree, moved)


def stage_moved(chance: Random, tree: Tree) -> Tree:
    """Remove, copy, rename or exchange stages, or names of any other list of the plan."""
    if not isinstance(tree, Table):
        return tree
    several = [i for i, (_, v) in enumerate(tree.entries) if isinstance(v, Table) and v.entries]
    if not several:
        return tree
    stages = [i for i in several if tree.entries[i][0] == "stages"]
    at = stages[0] if stages and chance.random() < 0.7 else chance.choice(several)

    def moved(node: Tree) -> Tree:
        assert isinstance(node, Table)
        entries = list(node.entries)
        i, j = chance.randrange(len(entries)), chance.randrange(len(entries))
        match chance.randrange(5):
            case 0:
                del entries[i]
            case 1:
                entries.append((f"copy-{chance.randrange(3)}", entries[i][1]))
            case 2:
                entries[i], entries[j] = (
                    (entries[i][0], entries[j][1]),
                    (entries[j][0], entries[i][1]),
                )
            case 3:
                entries[i] = (_misspelt(chance, entries[i][0]), entries[i][1])
            case _:
                chance.shuffle(entries)
        return node._replace(entries=tuple(entries))

    return changed(tree, (at,), moved)


def wrapped(chance: Random, tree: Tree) -> Tree:
    path = chance.choice(_places(tree, (Leaf, Many, Table)))
    key = chance.choice(keys())

    def inside(node: Tree) -> Tree:
        return chance.choice(
            (
                Many((node,)),
                Many((node, node)),
                Many((node, garbage(chance)), "!conflict"),
                Table(((key, node),)),
                node._replace(tag=chance.choice(("!assumed", "!derived", "!conflict", "!x", ""))),
            )
        )

    return changed(tree, path, inside)


def unwrapped(chance: Random, tree: Tree) -> Tree:
    """Put one thing that a list or mapping holds in its place."""
    full = [path for path, node in walk(tree) if path and not isinstance(node, Leaf)]
    if not full:
        return tree
    path = chance.choice(full)
    node = _at(tree, path)
    inner = node.items if isinstance(node, Many) else [v for _, v in getattr(node, "entries", ())]
    return changed(tree, path, lambda _: chance.choice(inner)) if inner else tree


def deep(chance: Random, tree: Tree) -> Tree:
    """Nest something as deep as a reader goes, and deeper."""
    places = _places(tree, (Leaf, Many, Table))
    if max(map(len, places)) > 60:  # once is enough for any reader, and twice too much for ours
        return tree
    path = chance.choice(places)
    node = _at(tree, path)
    key = chance.choice(("of", "a", "extends", chance.choice(keys())))
    for _ in range(chance.choice((5, 20, 31, 55, 62, 63, 64, 65, 300))):
        node = Table(((key, node),)) if chance.random() < 0.7 else Many((node,))
    return changed(tree, path, lambda _: node)


def wide(chance: Random, tree: Tree) -> Tree:
    """Repeat what a list or mapping holds, many times."""
    full = [path for path, node in walk(tree) if path and not isinstance(node, Leaf)]
    if not full:
        return tree
    times = chance.choice((2, 10, 50, 300))

    def repeated(node: Tree) -> Tree:
        if isinstance(node, Many):
            return node._replace(items=(node.items * times)[:3000])
        assert isinstance(node, Table)
        many = tuple((f"{key}-{i}", value) for i in range(times) for key, value in node.entries)
        return node._replace(entries=(*node.entries, *many[:3000]))

    return changed(tree, chance.choice(full), repeated)


def all_numbers(chance: Random, tree: Tree) -> Tree:
    """Put one number in place of every so many."""
    new = Leaf(chance.choice(NUMBERS))
    share = chance.choice((0.02, 0.1, 0.5))
    for path, node in list(walk(tree)):
        if isinstance(node, Leaf) and _NUMBER.fullmatch(node.text) and chance.random() < share:
            tree = changed(tree, path, lambda _: new)
    return tree


def _some_value(chance: Random, key: str) -> Tree:
    known = values_by_key().get(key, ())
    if known and chance.random() < 0.6:
        return chance.choice(known)
    return drawn(chance, key)


def _misspelt(chance: Random, word: str) -> str:
    at = chance.randrange(len(word) + 1)
    letter = chance.choice("abcdefgst_-/. 0A\u00e9\x1b")
    return chance.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            word.upper(),
            word.replace("_", "-"),
        )
    )


TreeMutation = Callable[[Random, Tree], Tree]
OF_TREES: tuple[TreeMutation, ...] = (
    key_dropped, key_doubled, key_renamed, key_misspelt, key_added, key_dotted, value_of_same_key,
    value_of_same_key, value_of_same_key, entries_shuffled, values_swapped, value_of_anywhere,
    value_garbled, leaf_of_another, leaf_of_the_same_plan, leaf_of_the_same_plan,
    number_to_extreme, number_to_extreme, number_moved, number_moved, stage_moved, stage_moved,
    wrapped, unwrapped, deep, wide, all_numbers,
)  # fmt: skip


# On the text


def characters_changed(chance: Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    new = chance.choice(_BYTES)
    return chance.choice((text[:at] + new + text[at:], text[:at] + new + text[at + 1 :]))


def text_cut(chance: Random, text: str) -> str:
    one, other = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    return chance.choice((text[:one], text[one:], text[:one] + text[other:], text[one:other]))


def words_swapped(chance: Random, text: str) -> str:
    words = list(_TOKEN.finditer(text))
    if len(words) < 2:
        return text
    one, other = sorted(chance.sample(words, 2), key=lambda found: found.start())
    between = text[one.end() : other.start()]
    return text[: one.start()] + other[0] + between + one[0] + text[other.end() :]


def word_replaced(chance: Random, text: str) -> str:
    words = list(_TOKEN.finditer(text))
    if not words:
        return text
    word = chance.choice(words)
    new = chance.choice((*NUMBERS, *WORDS, chance.choice(leaves()).text))
    return text[: word.start()] + new + text[word.end() :]


def lines_moved(chance: Random, text: str) -> str:
    lines = text.split("\n")
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            del lines[i]
        case 1:
            lines.insert(j, lines[i])
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case 3:
            lines[i] = " " * chance.choice((1, 2, 4)) + lines[i]
        case 4:
            lines[i] = lines[i].removeprefix("  ")
        case _:
            lines.insert(j, chance.choice(any_text(chance).split("\n")))
    return "\n".join(lines)


def line_ends_changed(chance: Random, text: str) -> str:
    return text.replace(
        "\n", chance.choice(("\r\n", "\r", "\x85", "\u2028", "\n\n", " \n", "\t\n"))
    )


def something_allowed(chance: Random, text: str) -> str:
    """Write a comment that silences a rule, or does not."""
    rule = chance.choice((*(r.code for r in (*RULES, *ADVICE)), "rule", "", "seed"))
    reason = chance.choice((" it is so", " it is so", "", " \x1b[31m", ": #"))
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    comment = f"# curriculum: allow {rule}{reason}"
    if chance.random() < 0.5:
        lines[at] += f"  {comment}"
    else:
        lines.insert(at, " " * chance.choice((0, 2, 4)) + comment)
    return "\n".join(lines)


TextMutation = Callable[[Random, str], str]
OF_TEXTS: tuple[TextMutation, ...] = (
    characters_changed, characters_changed, text_cut, words_swapped, words_swapped, word_replaced,
    word_replaced, word_replaced, lines_moved, lines_moved, lines_moved, line_ends_changed,
    something_allowed,
)  # fmt: skip
