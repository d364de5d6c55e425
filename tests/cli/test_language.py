"""The command line speaks one language: also where the words are those of the library it stands on."""

import importlib
import inspect

import click
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.cli.words import WORDS, translate_library, translated
from upswing.core import i18n
from upswing.core.i18n import use_locale


def test_every_word_listed_is_one_of_the_library():
    source = "".join(
        inspect.getsource(importlib.import_module(f"click.{name}"))
        for name in ("core", "decorators", "exceptions", "formatting", "parser", "types")
    )
    assert [w.message for w in WORDS if repr(w.message)[1:-1].replace("\\'", "'") not in source] == []


def test_the_library_asks_our_catalogue(monkeypatch):
    class Loud:
        def gettext(self, message):
            return message.upper() if message in ("Usage:", "Options") else message

    _register()
    translate_library()
    monkeypatch.setattr(i18n, "_catalogue", lambda locale: Loud())
    shown = CliRunner().invoke(cli, ["funnel", "--help"]).output
    assert "USAGE:" in shown
    assert "OPTIONS:" in shown


def test_numbers_choose_the_form():
    translate_library()
    with use_locale("en"):
        assert click.core.ngettext("one", "many", 1) == "one"
        assert click.core.ngettext("one", "many", 2) == "many"
        assert translated("no such sentence") == "no such sentence"
