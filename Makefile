# Everything runs in .venv, made on first use from constraints.txt (the lock).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLONE ?=
PRECEDENTS ?=
OUT ?= out/demo
SWEEP ?= out/sweep
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint types unit docs pictures clean bench-sweep bench-ngram bench-run bench-train

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes the first time, torch is large"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[run]' \
		|| echo "Some packages that submissions import are not built for this machine; their runs will name them"
	@touch $@

demo: $(STAMP) ## audit the bundled submission end to end and say where the report is
	$(BIN)/golf-audit demo --out $(OUT)

test: lint types unit ## lint, types and every test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m reports.rule_pages --check

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2

docs: $(STAMP) ## regenerate the rule pages and build the documentation site in out/site
	$(BIN)/python -m reports.rule_pages
	$(BIN)/python -m reports.site --out out/site

pictures: $(STAMP) ## CLONE=path/to/bare/clone [SWEEP=folder of a sweep, made if missing]: the pictures of the documentation, from real audits
	-$(BIN)/golf-audit check --repo $(CLONE) --commit 7141d2af5 --out out/pictures -q
	test -e $(SWEEP)/index.html || $(BIN)/golf-audit sweep --repo $(CLONE) --all --no-run --out $(SWEEP) -q || test $$? -ne 2
	$(BIN)/python -m reports.site.shots --report out/pictures/report.html --queue $(SWEEP)/index.html

bench-sweep: $(STAMP) ## CLONE=path/to/bare/clone ARGS="--heads 40 --jobs 1 --profile" for the time by stage
	$(BIN)/python tests/benchmarks/bench_sweep.py --repo $(CLONE) $(ARGS)

bench-run: $(STAMP) ## CLONE=path/to/bare/clone PRECEDENTS=path/to/precedents.jsonl
	$(BIN)/python -m tests.benchmarks.bench_run --repo $(CLONE) $(if $(PRECEDENTS),--precedents $(PRECEDENTS))

bench-ngram: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_ngram.py $(ARGS)

bench-train: OMP_NUM_THREADS = 2
bench-train: $(STAMP) ## ARGS="--baseline CLONE" to compare with the challenge's own script, which takes longer
	$(BIN)/python tests/benchmarks/bench_train.py $(ARGS)

clean:
	rm -rf $(VENV) build out *.egg-info
