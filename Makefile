# A fresh machine needs Python 3.11 or newer, make and git; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 7
USERS ?= 200000
DIR ?= demo
SERVE ?= 1

.PHONY: demo test lint bench messages clients constraints clean

demo: $(VENV)/.installed ## simulate a product, import it, analyse it, write demo/report.html, then serve its pages (SERVE=0: do not)
	$(BIN)/upswing demo --seed $(SEED) --users $(USERS) --dir $(DIR)
	@if [ "$(SERVE)" != 0 ]; then $(BIN)/upswing serve --workspace $(DIR); \
	else echo "look around: $(BIN)/upswing serve --workspace $(DIR)"; fi

test: $(VENV)/.dev ## every test, on both cores
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.dev ## style, types, imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## side by side with peers; SIZES="1 20 100" in millions of events
	$(BIN)/python -m bench $(SIZES)

messages: $(VENV)/.dev ## collect sentences, update and compile the catalogues
	$(BIN)/pybabel -q extract -k text -F babel.cfg --omit-header --no-location --sort-output --no-wrap -o src/upswing/locale/upswing.pot src/upswing
	$(BIN)/pybabel -q update -D upswing -i src/upswing/locale/upswing.pot -d src/upswing/locale -l zh_CN --no-fuzzy-matching --no-wrap
	$(BIN)/python -c "from babel.messages import mofile, pofile; from pathlib import Path; p = Path('src/upswing/locale/zh_CN/LC_MESSAGES/upswing.po'); mofile.write_mo(p.with_suffix('.mo').open('wb'), pofile.read_po(p.open('rb'), locale='zh_CN'))" # the compile command takes a per cent sign for a format

clients: tests/clients/node_modules/.installed tests/web/node_modules/.installed ## JavaScript that tests drive: intake clients, axe
%/node_modules/.installed: %/package.json
	npm install --prefix $* --no-package-lock --no-audit --no-fund --silent
	touch $@

constraints: $(VENV)/.dev ## pin what is installed now, without addresses
	$(BIN)/pip freeze --exclude-editable | grep -v ' @ ' > constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[web]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,bench]"
	touch $(VENV)/.installed $@
