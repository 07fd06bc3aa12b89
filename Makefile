# Two commands do everything: `make run` (the main job) and `make test`. Both install what they need first. `make check` is for while you work.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export EVERGREEN_HOME ?= $(CURDIR)/var
export PYTHONPATH := $(CURDIR):$(CURDIR)/plugins
# byte code is compiled once, at installing: without it every task process would compile the libraries again
unexport PYTHONDONTWRITEBYTECODE
UV_VERSION := $(shell sed -n 's/^uv==//p' requirements.txt)
READY := $(VENV)/.ready
# the command `evergreen` and `activate` hold this folder's path: after the clone was moved both are written again
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

.PHONY: run serve test check bench setup lock clean lint env schemas test-times

run: setup  ## the main job through the real scheduler; ONCE=1 stops everything afterwards, PORT=n chooses the UI's port
	@$(BIN)/python -m tools.run $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

serve: setup  ## the same Airflow over what is declared, without the main job, until Ctrl-C; PORT=n as above
	@$(BIN)/python -m tools.serve $(if $(PORT),--port $(PORT))

test: $(READY)  ## style, docstrings, types, contracts, every test that this machine can run, and the list of those that it could not
	@$(BIN)/python -m tools.checks

check: $(READY)  ## the same for what the working tree changed since SINCE (default: HEAD), in two minutes
	@$(BIN)/python -m tools.checks --changed $(if $(SINCE),--since $(SINCE))

test-times: $(READY)  ## measure what each file's tests take, which orders them and says what `make check` has time for
	@EVERGREEN_TEST_TIMES=tests/seconds.json $(BIN)/python -m tools.checks

bench: setup  ## every benchmark, beside the plain script that does the same
	@for name in parse night ingest gate train score history inbox watcher armed exactly_once calendar drift drift_statistics estimates canaries; do $(BIN)/python -m benchmarks.$$name || exit 1; done

setup: $(READY)  ## virtual environment, pinned dependencies, the command `evergreen`, databases, landing zone; safe to repeat
	@$(BIN)/evergreen prepare
	@$(BIN)/python -m tools.landing_zone $(EVERGREEN_HOME)/landing

$(READY): $(VENV)/.installed pyproject.toml
	@$(BIN)/python -m venv --without-pip $(VENV)
	@$(BIN)/uv pip install --quiet --offline --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@echo $(CURDIR) > $@

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Evergreen needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V). Say: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "relocatable = true" >> $(VENV)/pyvenv.cfg  # for uv, as by `uv venv --relocatable`: the packages' commands outlive a move
	@echo "Installing $$(grep -c == requirements.txt) pinned packages into $(VENV) (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode requirements.txt
	@touch $@

lint: $(READY)  ## style, docstrings, types and import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/pydoclint --quiet include/evergreen plugins dags
	@$(BIN)/mypy
	@$(BIN)/lint-imports

env:  ## secrets for docker-compose.yaml in .env, unless it is there; needs Python alone
	@$(PYTHON) -m tools.dotenv

schemas: $(READY)  ## the JSON Schemas that editors complete the YAML files with, and the guide that lists their keys
	@$(BIN)/python -m include.evergreen.config.schema
	@$(BIN)/python -m include.evergreen.config.reference

lock: $(READY)  ## resolve requirements.in again
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" requirements.in -o requirements.txt

clean:  ## forget all state: databases, storage, Airflow's home; the environment stays
	rm -rf $(EVERGREEN_HOME)
