# Everything a fresh machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run demo test check bench faults texts lock

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tillwire needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "this Python cannot make virtual environments: on Debian or Ubuntu run 'apt install python3-venv'" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	@exec $(BIN)/tillwire serve

demo: setup
	@exec $(BIN)/tillwire demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

bench: setup
	$(BIN)/python -m bench

# The long form of the fault tests; resumable, stop it at will.
faults: setup
	$(BIN)/python -m bench.faults

# Collect the texts of the pages for translators, and bring the catalogues that are here up to date.
TEXTS := app/web/translations
texts: setup
	@mkdir -p $(TEXTS)
	$(BIN)/pybabel -q extract -F babel.cfg -k _l -k lazy_gettext --omit-header --no-location --sort-output -o $(TEXTS)/messages.pot .
	@test -z "$(wildcard $(TEXTS)/*/LC_MESSAGES/*.po)" || $(BIN)/pybabel -q update -i $(TEXTS)/messages.pot -d $(TEXTS)
	@test -z "$(wildcard $(TEXTS)/*/LC_MESSAGES/*.po)" || $(BIN)/pybabel -q compile -d $(TEXTS)

# After changing pyproject.toml; needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml -o requirements.lock
