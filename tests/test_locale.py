"""Every sentence is translated, and every sentence can be: catalogue and source agree."""

from __future__ import annotations

import ast
import gettext
import re
import string
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import upswing
from upswing.core.i18n import text, use_locale

SOURCE = Path(upswing.__file__).parent
PO = SOURCE / "locale" / "zh_CN" / "LC_MESSAGES" / "upswing.po"
MO = PO.with_suffix(".mo")

# babel reads no calls inside an f-string before Python 3.12: such sentences stay English until the call moves out of it
UNSEEN = {"at character {n}"}
CLICKS_OWN = SOURCE / "cli" / "words.py"
"""click's own sentences, listed to be collected; click fills them."""
PASSED_ON = (SOURCE / "web" / "render.py", SOURCE / "report" / "html.py")
"""What templates call: their messages are collected from the templates."""

_HAN = r"[\u4e00-\u9fff]"
_ASCII_MARK = r"[,;:!?()'\".]"
_BESIDE_HAN = re.compile(rf"{_HAN}{_ASCII_MARK}|{_ASCII_MARK}{_HAN}")
_TYPED_SPACE = re.compile(rf"{_HAN} [A-Za-z0-9{{]|[A-Za-z0-9}}] {_HAN}")


@cache
def extracted() -> frozenset[str]:
    """Messages that the collecting command finds in the source and in the pages' templates."""
    methods = [("**.py", "python"), ("**.html", "jinja2")]
    found = extract_from_dir(SOURCE, methods, keywords={"text": None})
    return frozenset(str(message) for _, _, message, _, _ in found)


@cache
def translations() -> dict[str, str]:
    """Message → translation, as in the .po file."""
    with PO.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale="zh_CN") if m.id}


def placeholders(message: str) -> set[str]:
    """Names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def test_every_message_is_translated() -> None:
    assert len(extracted()) > 500  # the collection itself works
    assert sorted(m for m in extracted() - UNSEEN if not translations().get(m, "").strip()) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(set(translations()) - extracted() - UNSEEN) == []


def test_translations_keep_the_placeholders() -> None:
    wrong = {m: t for m, t in translations().items() if placeholders(m) != placeholders(t)}
    assert wrong == {}


def test_chinese_has_full_width_punctuation_and_no_typed_spaces() -> None:
    wrong = {m: t for m, t in translations().items() if _BESIDE_HAN.search(t) or _TYPED_SPACE.search(t)}
    assert wrong == {}


def test_header_survives() -> None:
    """Without its header the catalogue counts as unfinished: the compiler skips it and says so only aloud."""
    with PO.open("rb") as file:
        catalogue = read_po(file, locale="zh_CN")
    assert not catalogue.fuzzy
    assert "Content-Type: text/plain; charset=utf-8" in PO.read_text(encoding="utf-8")


def test_compiled_catalogue_is_current() -> None:
    buffer = BytesIO()
    with PO.open("rb") as file:
        write_mo(buffer, read_po(file, locale="zh_CN"))
    buffer.seek(0)
    with MO.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    fresh = gettext.GNUTranslations(buffer)
    for message in translations():
        assert compiled.gettext(message) == fresh.gettext(message) == translations()[message]
    assert len(_entries(compiled)) == len(_entries(fresh))


def test_sentences_change_with_the_language() -> None:
    sentence = text("{n} users", n=3)
    with use_locale("zh-CN"):
        assert str(sentence) == "3个用户"
    with use_locale("en"):
        assert str(sentence) == "3 users"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_calls_can_be_collected_and_filled(path: Path) -> None:
    for call in _text_calls(ast.parse(path.read_text(encoding="utf-8"))):
        place = f"{path.relative_to(SOURCE)}:{call.lineno}"
        assert len(call.args) == 1, place
        message = call.args[0]
        if path in PASSED_ON and isinstance(message, ast.Name):
            continue
        assert isinstance(message, ast.Constant), f"{place}: a message is a constant string"
        assert isinstance(message.value, str), f"{place}: a message is a constant string"
        assert message.value in extracted() | UNSEEN, f"{place}: not collected (inside an f-string?)"
        given = {k.arg for k in call.keywords if k.arg is not None}
        if path == CLICKS_OWN:
            assert not given, place
            continue
        splatted = any(k.arg is None for k in call.keywords)
        wanted = placeholders(message.value)
        assert given <= wanted if splatted else given == wanted, f"{place}: {wanted ^ given}"


def test_messages_of_templates_are_constants() -> None:
    for path in SOURCE.rglob("*.html"):
        for call in re.findall(r"\btext\((.)", path.read_text(encoding="utf-8")):
            assert call in "\"'", f"{path.name}: text({call}"


def test_what_babel_cannot_see_is_listed() -> None:
    messages = {
        call.args[0].value
        for path in SOURCE.rglob("*.py")
        for call in _text_calls(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call.args[0], ast.Constant)
    }
    assert messages - extracted() <= UNSEEN


def test_nothing_is_translated_while_modules_are_loaded() -> None:
    """A sentence rendered at import keeps the language of that moment. The command line alone knows its language then."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent.name != "cli"
        for node in _run_at_import(ast.parse(path.read_text(encoding="utf-8")))
        if _renders_text(node)
    ]
    assert found == []


def _text_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text":
            yield node


def _run_at_import(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions outside function bodies; decorators and defaults are evaluated at import, too."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            outside = [*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)]
            for part in outside:
                yield part
                yield from _run_at_import(part)
        elif not isinstance(child, ast.Lambda):
            if isinstance(child, ast.expr):
                yield child
            yield from _run_at_import(child)


def _renders_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str":
        return any(True for argument in node.args for _ in _text_calls(argument))
    return isinstance(node, ast.JoinedStr) and any(True for _ in _text_calls(node))


def _entries(catalogue: gettext.GNUTranslations) -> dict[str, str]:
    entries: dict[str, str] = vars(catalogue)["_catalog"]
    return entries
