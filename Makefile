# Every target makes what it needs, from an empty environment on. Settings come from the environment: see README.md.
.DEFAULT_GOAL := run
.PHONY: run test test-spark check bench bench-serving bench-batch
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/requirements.installed
SPARK := .venv/spark.installed
FEAST := benchmarks/.venv-feast/requirements.installed
REQUIREMENTS := requirements.txt requirements-dev.txt constraints.txt
# PATH: what is started by name (granian, celery) is the .venv's.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# The type checker reads the settings module and connects to nothing.
UNUSED := DATABASE_URL=postgresql://unused/unused REDIS_URL=redis://unused SECRET_KEY=unused ALLOWED_HOSTS=unused

run: $(READY)
	@$(RUN) exec $(BIN)/python -m featurehub.devserver.run

test: $(READY)
	@$(RUN) $(BIN)/python -m pytest $(ARGS)

test-spark: $(SPARK)
	@$(RUN) $(BIN)/python -m pytest tests/spark $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(UNUSED) $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(RUN) $(BIN)/python -m pytest -q tests/features/serving/test_budgets.py

bench: $(READY) $(FEAST)
	@$(RUN) $(BIN)/python -m benchmarks $(ARGS)

bench-serving: $(READY) $(FEAST)
	@$(RUN) $(BIN)/python -m benchmarks serving in_process growth feast_workload $(ARGS)

bench-batch: $(SPARK)
	@$(RUN) $(BIN)/python -m benchmarks batch engines $(ARGS)

$(SPARK): $(READY) requirements-spark.txt
	@echo "Installing Spark into .venv (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-spark.txt -c constraints.txt
	@touch $@

$(FEAST): benchmarks/requirements.txt benchmarks/constraints.txt
	@echo "Making benchmarks/.venv-feast and installing Feast, the peer (once, about two minutes)"
	@$(PYTHON) -m venv benchmarks/.venv-feast
	@benchmarks/.venv-feast/bin/python -m pip install --quiet --disable-pip-version-check \
		-r benchmarks/requirements.txt -c benchmarks/constraints.txt
	@touch $@

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "FeatureHub needs Python 3.11 or newer as $(PYTHON): install it, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Making .venv and installing the requirements (once, about a minute)"
	@$(PYTHON) -m venv .venv || \
		{ echo "$(PYTHON) cannot make a virtual environment: on Debian, install python3-venv." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@
