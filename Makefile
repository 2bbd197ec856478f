# Everything a fresh machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run demo test test-postgresql check bench faults texts lock

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

# TESTS=tests/services is a part of them, here and below.
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)

# Once more on PostgreSQL with a broker, what stands on a database: all other tests would only repeat themselves.
test-postgresql: setup
	TEST_DATABASE=postgresql TEST_BROKER_URL="$${TEST_BROKER_URL:-amqp://guest:guest@127.0.0.1:5672/%2F}" \
		$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m database $(TESTS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

bench: setup
	$(BIN)/python -m bench

# The long form of the fault tests, see docs/faults.md; resumable, stop it at will. As root it throws more.
faults: setup
	$(BIN)/python -m bench.faults --mode told --rounds 500 --size 10
	$(BIN)/python -m bench.faults --rounds 1200

# Collect the texts of the pages for translators, and bring the catalogues that are here up to date.
TEXTS := app/web/translations
texts: setup
	@mkdir -p $(TEXTS)
	$(BIN)/pybabel -q extract -F babel.cfg -k _l -k lazy_gettext -k mark --omit-header --no-location --sort-output -o $(TEXTS)/messages.pot .
	@test -z "$(wildcard $(TEXTS)/*/LC_MESSAGES/*.po)" || $(BIN)/pybabel -q update --no-fuzzy-matching --ignore-obsolete -w 110 -i $(TEXTS)/messages.pot -d $(TEXTS)
	@test -z "$(wildcard $(TEXTS)/*/LC_MESSAGES/*.po)" || $(BIN)/pybabel -q compile -d $(TEXTS)

# After changing pyproject.toml; needs uv. The second lock is the image's: the same versions, without what tests need.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra image --constraints requirements.lock pyproject.toml -o deploy/requirements.lock
