"""Formatting: the meaning stays, every comment stays, the order is one, and doing it twice changes nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from upswing.spec.formatting import formatted

BLOCKS = {
    "kind": "kind: funnel",
    "name": "name: buy",
    "label": "label: {en: Buying, zh: 购买}",
    "steps": "steps:\n  # first\n  - {event: view}\n  - event: pay  # money\n    where:\n      - {expr: \"amount > 1 # no comment\"}",
    "window": "window: 7d",
    "order": "order: strict",
    "note": "description: |\n  two\n\n  lines # of text",
}  # fmt: skip
ORDER = ["kind", "name", "label", "note", "steps", "window", "order"]


def read(source):
    return list(YAML(typ="safe", pure=True).load_all(source))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.permutations(sorted(BLOCKS)), min_size=1, max_size=2),
    st.lists(st.sampled_from(["", "# above", "# a\n# b", "\n# apart"]), min_size=14, max_size=14),
    st.sampled_from(["", "# the file\n\n", "---\n"]),
    st.sampled_from(["\n", "   \n\n"]),
)
def test_nothing_is_lost(orders, comments, head, tail):
    documents = []
    for d, order in enumerate(orders):
        lines = []
        for i, key in enumerate(order):
            comment = comments[7 * d + i]
            lines += [comment.replace("a", f"a{d}{i}")] if comment else []
            lines.append(BLOCKS[key] + "  " * (i % 2))
        documents.append("\n".join(lines))
    source = head + "\n---\n".join(documents) + tail
    made = formatted(source)
    assert read(made) == read(source)
    comments_of = lambda text: sorted(line.strip() for line in text.splitlines() if line.strip().startswith("#"))  # noqa: E731
    assert comments_of(made) == comments_of(source)
    for document in read(made):
        keys = ["note" if k == "description" else k for k in document]
        assert keys == ORDER
    assert formatted(made) == made
    if not any(line.startswith("  lines") and line != line.rstrip() for line in source.splitlines()):
        assert not any(line != line.rstrip() for line in made.splitlines())


def test_what_cannot_be_parsed_stays_as_it_is():
    for source in ("a: [1\n", "", "- 1\n- 2\n", "{kind: funnel, name: x}\n", "a: 1\na: 2\n", "# only a comment\n"):
        assert read_or_none(formatted(source)) == read_or_none(source)


def read_or_none(source):
    try:
        return read(source)
    except Exception:
        return source
