"""Trees and derived metrics: formulas against Python's own arithmetic, and every mistake at its place."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.errors import DefinitionError, Problems, UsageError
from upswing.spec.definitions import Definitions
from upswing.spec.formula import Formula
from upswing.spec.metric import MetricDefinition, MetricTarget, in_order
from upswing.spec.tree import TreeDefinition, check_trees, require_sound

METRICS = """\
kind: metric
name: users
type: simple
numerator: {event: "*", agg: users}
---
kind: metric
name: revenue
type: simple
unit: money
numerator: {event: pay, agg: sum, of: amount}
---
kind: metric
name: share
type: proportion
numerator: {event: pay}
"""

names = st.sampled_from(["a", "b", "c"])
numbers = st.integers(0, 9)
formulas = st.recursive(
    st.one_of(names, numbers.map(str)),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/×÷−"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"-({t})"),
    ),
    max_leaves=8,
)


def check(tmp_path, body):
    (tmp_path / "upswing.yml").write_text("schema: 1\n")
    (tmp_path / "metrics.yml").write_text(METRICS)
    (tmp_path / "tree.yml").write_text(body)
    definitions = Definitions.load(tmp_path)
    assert not definitions.problems.errors, list(definitions.problems)
    found = Problems()
    check_trees(definitions, found)
    return definitions, [str(p) for p in found]


@given(formulas, numbers, numbers, numbers)
def test_a_formula_is_what_python_says_it_is(written, a, b, c):
    values = {"a": a, "b": b, "c": c}
    plain = written.replace("×", "*").replace("÷", "/").replace("−", "-")
    exact = {name: Fraction(value) for name, value in values.items()}
    try:
        formula = Formula.parse(written)
    except DefinitionError:
        assert not any(name in written for name in values)  # only a formula of numbers alone is refused
        return
    try:
        expected = eval(plain, {}, exact)
    except ZeroDivisionError:
        expected = None
    found = formula.value(values)
    shown_again = Formula.parse(formula.shown).value(values)
    if expected is None:
        assert found is None
        assert shown_again is None
    else:
        assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
        assert shown_again == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("written", ["", "1 +", "a ** 2", "f(a)", "a.b", "a if b else c", "'a'", "1 + 2", "a" * 500])
def test_what_is_no_formula_is_refused(written):
    with pytest.raises(DefinitionError) as error:
        Formula.parse(written)
    assert error.value.code == "UP013"


def test_a_name_without_a_value_has_no_result():
    assert Formula.parse("a + b").value({"a": 1, "b": None}) is None
    assert Formula.parse("a / (b - b)").divisors() == ("b",)


def test_a_sound_tree_has_no_problems(tmp_path):
    body = (
        "kind: tree\nname: t\nnorth_star: revenue\nnodes:\n  revenue: {is: users × per_user}\n"
        "  per_user: {is: share × 12}\n  users: {stage: acquisition, drivers: [share]}\n"
    )
    definitions, found = check(tmp_path, body)
    assert found == []
    tree = definitions.get("tree", "t", TreeDefinition)
    assert tree.order == ("revenue", "users", "per_user", "share")
    assert tree.depth("share") == 2


@pytest.mark.parametrize(
    ("nodes", "place", "code", "words"),
    [
        ("  a: {is: b + 1}\n  b: {is: a × 2}\n", "tree.yml:5:11", "UP205", "a → b → a"),
        ("  a: {is: a + 1}\n", "tree.yml:5:11", "UP205", "a → a"),
        ("  a: {is: users × shar}\n", "tree.yml:5:11", "UP201", "did you mean 'share'"),
        ("  a: {is: users}\n  uesrs: {stage: retention}\n", "tree.yml:6:3", "UP201", "did you mean 'users'"),
        ("  a: {is: users, drivers: [reveneu]}\n", "tree.yml:5:28", "UP201", "did you mean 'revenue'"),
        ("  a: {is: users + revenue}\n", "tree.yml:5:11", "UP420", "mixes units"),
        ("  a: {is: revenue × revenue}\n", "tree.yml:5:11", "UP420", "mixes units"),
        ("  a: {is: share}\n  share: {is: revenue ÷ users}\n", "tree.yml:6:15", "UP420", "money"),
    ],
)
def test_every_mistake_of_a_tree_has_its_place(tmp_path, nodes, place, code, words):
    definitions, found = check(tmp_path, "kind: tree\nname: t\nnorth_star: a\nnodes:\n" + nodes)
    assert any(line.startswith(place) and code in line and words in line for line in found), found
    with pytest.raises(DefinitionError):
        require_sound(definitions)


@pytest.mark.parametrize(
    ("formula", "place", "code"),
    [
        ("x / 2", "tree.yml:4:13", "UP205"),
        ("users / nothing", "tree.yml:4:13", "UP201"),
        ("users + revenue", "tree.yml:4:13", "UP420"),
    ],
)
def test_every_mistake_of_a_derived_metric_has_its_place(tmp_path, formula, place, code):
    _, found = check(tmp_path, f"kind: metric\nname: x\ntype: derived\nexpression: {formula}\n")
    assert [line.split(" ")[1] for line in found] == [code]
    assert found[0].startswith(place)


def test_units_of_products_and_quotients():
    units = {"users": "count", "rate": "ratio", "revenue": "money", "wait": "seconds", "n": "number"}
    for written, unit in [
        ("users × rate", "count"), ("revenue / users", "money"), ("revenue / revenue", "ratio"), ("users / users", "ratio"),
        ("users × revenue", "money"), ("wait / users", "seconds"), ("users + n", "count"), ("rate × rate", "ratio"),
    ]:  # fmt: skip
        assert Formula.parse(written).unit(units) == unit, written


def metric(name, **body):
    return MetricDefinition.model_validate({"name": name, **body})


def test_what_a_derived_metric_needs_comes_before_it():
    known = {
        "z": metric("z", type="derived", expression="y + x"),
        "y": metric("y", type="derived", expression="x × 2"),
        "x": metric("x", type="simple", numerator={"event": "pay"}),
    }
    assert [m.name for m in in_order([known["z"]], known)] == ["x", "y", "z"]
    with pytest.raises(UsageError):
        in_order([known["y"]], {})


def test_a_target_is_a_value_a_date_or_a_line():
    flat, dated = MetricTarget(value=5), MetricTarget(value=5, by=date(2026, 3, 1))
    assert (flat.wanted(date(2020, 1, 1)), dated.wanted(date(2026, 2, 28)), dated.wanted(date(2026, 3, 1))) == (
        5,
        None,
        5,
    )
    line = MetricTarget(value=30, by=date(2026, 1, 31), since=date(2026, 1, 1), from_value=0)
    assert line.wanted(date(2026, 1, 16)) == pytest.approx(15)
    with pytest.raises(ValueError, match="together"):
        MetricTarget(value=1, since=date(2026, 1, 1))
    with pytest.raises(ValueError, match="better"):
        metric("x", type="simple", numerator={"event": "pay"}, targets=[{"value": 1}])
