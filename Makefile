# Every target makes what it needs, from an empty environment on. Settings come from the environment: see
# docs/contract.md.
# The sentence behind ## is what `make help` prints.
.DEFAULT_GOAL := run
.PHONY: help run test test-quick test-weather test-faults test-spark test-clients drill check check-deploy try-image \
	release fix lock docs bench bench-serving bench-batch
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/requirements.installed
SPARK := $(VENV)/spark.installed
DEPLOY := .venv-deploy/requirements.installed
DOCS := .venv-docs/requirements.installed
FEAST := benchmarks/.venv-feast/requirements.installed
REQUIREMENTS := requirements.txt requirements-dev.txt requirements-tracing.txt constraints.txt
# PATH: what is started by name (granian, celery) is the .venv's.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# The type checker reads the settings module and connects to nothing.
UNUSED := DATABASE_URL=postgresql://unused/unused REDIS_URL=redis://unused SECRET_KEY=unused ALLOWED_HOSTS=unused \
	FEATUREHUB_TOMBSTONE_KEY=unused
# What can differ from one Python to another: parsing, error messages, floats. One server start, less than a minute.
QUICK := tests/features/formulas tests/features/engines/test_in_process.py tests/features/api/test_explanation.py \
	tests/features/tuning/test_score_preview.py tests/featurehub/lib tests/events/test_copy_text.py \
	tests/events/test_imports.py tests/test_exports.py

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Install for a Python what pip's arguments say. uv needs a fraction of pip's time and does not read pip's settings: it
# is given pip's index, and where it can't install, or is not there, pip does.
install = index=$${PIP_INDEX_URL:-$$($1 -m pip config get global.index-url 2>/dev/null)}; \
	env $${index:+"UV_DEFAULT_INDEX=$$index"} $(BIN)/uv pip install --quiet --python $1 $2 2>/dev/null || \
	$1 -m pip install --quiet --disable-pip-version-check $(filter-out --compile-bytecode,$2)

run: $(READY) ## Start everything on embedded servers: the web, a worker and beat (the default).
	@$(RUN) exec $(BIN)/python -m featurehub.devserver.run

# Tests run side by side on embedded servers, and one after the other on servers that DATABASE_URL names. What measures
# time runs alone afterwards. Coverage has a floor for the whole suite only: with ARGS a part of the tests runs, without
# coverage.
test: $(READY) ## Run the tests and print the coverage; ARGS="tests/events -x" runs those only.
ifdef ARGS
	@$(RUN) $(BIN)/python -m pytest $(ARGS)
else
	@status=0; \
	$(RUN) $(BIN)/python -m pytest -n $(if $(DATABASE_URL),0,2) --dist loadfile -m "not alone" \
		--cov --cov-report= --cov-fail-under=0 || status=1; \
	$(RUN) $(BIN)/python -m pytest -m alone --cov --cov-append || status=1; \
	exit $$status
endif

test-weather: ## Let reads go on through slow clients and frozen and killed servers; four minutes, on a quiet machine.
	@WEATHER=1 $(MAKE) test ARGS="-s tests/e2e/test_weather.py"

test-faults: ## Kill, freeze and fill processes and servers under writes and reads; ARGS="-k Valkey" tries some faults.
	@FAULTS=1 $(MAKE) test ARGS="-s tests/faults $(ARGS)"

# A virtual environment for each version: .venv-3.12.1
test-quick: ## Run the tests that can differ from one Python to another; PYTHON=python3.13 names the Python.
	@$(MAKE) test ARGS="-q $(QUICK)" \
		VENV=.venv-$$($(PYTHON) -c 'import platform; print(platform.python_version())')

test-spark: $(SPARK) ## Run the tests of the Spark engine; the first time it installs Spark.
	@$(RUN) $(BIN)/python -m pytest tests/spark $(ARGS)

test-clients: $(READY) ## Build the clients, and run their tests, installed from the packages, on a server of their own.
	@$(RUN) $(BIN)/python -m tests.clients.run $(ARGS)

drill: ## Restore a backup into an empty database, and compare the reads with those before: deploy/backup-drill.sh.
	@$(MAKE) test ARGS="-q tests/test_backup_drill.py"

check: $(READY) ## Check format, lint, types, import contracts, migrations and the budgets of the endpoints.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(UNUSED) $(BIN)/mypy
	cd clients/python && $(CURDIR)/$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(RUN) $(BIN)/python -m pytest -q tests/features/serving/test_budgets.py

check-deploy: $(DEPLOY) ## Check the Dockerfile, compose.yaml and the chart, without a container engine.
	.venv-deploy/bin/hadolint Dockerfile
	.venv-deploy/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	.venv-deploy/bin/python deploy/check_deploy.py

try-image: $(READY) ## Run the steps of the image and all of its programs, read-only, in a clean folder; as root on Linux.
	@IMAGE=1 $(MAKE) test ARGS="-q -s tests/test_image.py"

release: $(DEPLOY) ## Fill dist/ with what is published of the version that the tag of HEAD names, its SBOM and hashes.
	@.venv-deploy/bin/python deploy/release.py $(ARGS)

fix: $(READY) ## Format the code and apply the safe fixes of the linter.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Only what POSIX needs; for each of the Pythons, whichever one runs this.
lock: $(READY) ## Write requirements.lock: what production installs, by hash; after each change of requirements.txt.
	$(BIN)/uv pip compile requirements.txt --constraints constraints.txt --output-file requirements.lock --quiet \
		--generate-hashes --universal --python-version 3.11 --no-annotate --no-emit-package colorama \
		--custom-compile-command "make lock"

# The site needs the code's commands and settings, which $(BIN)/python knows, and MkDocs, which has a place of its own.
docs: $(READY) $(DOCS) ## Build the docs site into .local/site; every warning is an error.
	@NO_MKDOCS_2_WARNING=1 FEATUREHUB_PYTHON="$(CURDIR)/$(BIN)/python" .venv-docs/bin/mkdocs build --strict --quiet $(ARGS)
	@echo "The site is in .local/site"

bench: $(READY) $(FEAST) ## Run all benchmarks beside their floors and peers; BENCH_SCALE=10 makes them short.
	@$(RUN) $(BIN)/python -m benchmarks $(ARGS)

bench-serving: $(READY) $(FEAST) ## Run the benchmarks of the read path.
	@$(RUN) $(BIN)/python -m benchmarks serving in_process observation growth feast_workload $(ARGS)

bench-batch: $(SPARK) ## Run the benchmarks of the batch engines, Spark among them.
	@$(RUN) $(BIN)/python -m benchmarks batch engines $(ARGS)

$(SPARK): $(READY) requirements-spark.txt
	@echo "Installing Spark into $(VENV) (once, a minute or two)"
	@$(call install,$(BIN)/python,-r requirements-spark.txt -c constraints.txt)
	@touch $@

$(DEPLOY): deploy/requirements.txt deploy/constraints.txt
	@echo "Making .venv-deploy and installing what checks deployments (once, about a minute)"
	@$(PYTHON) -m venv .venv-deploy
	@$(call install,.venv-deploy/bin/python,-r deploy/requirements.txt -c deploy/constraints.txt)
	@touch $@

$(DOCS): docs/requirements.txt docs/constraints.txt
	@echo "Making .venv-docs and installing MkDocs (once, about half a minute)"
	@$(PYTHON) -m venv .venv-docs
	@$(call install,.venv-docs/bin/python,-r docs/requirements.txt -c docs/constraints.txt)
	@touch $@

$(FEAST): benchmarks/requirements.txt benchmarks/constraints.txt
	@echo "Making benchmarks/.venv-feast and installing Feast, the peer (once, about two minutes)"
	@$(PYTHON) -m venv benchmarks/.venv-feast
	@$(call install,benchmarks/.venv-feast/bin/python,-r benchmarks/requirements.txt -c benchmarks/constraints.txt)
	@touch $@

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || \
		{ echo "FeatureHub needs Python 3.11 to 3.14 as $(PYTHON): install one, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Making $(VENV) and installing the requirements (once, a minute or two)"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment: on Debian, install python3-venv." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv -c constraints.txt
	@$(call install,$(BIN)/python,--compile-bytecode -r requirements-dev.txt -c constraints.txt)
	@touch $@
