# Two commands do everything on a fresh machine: `make bench` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# glibc gives the memory of large activations back at every step; taking it again costs more than
# what is measured. Both sides of every ratio keep theirs.
KEEP_MEMORY := MALLOC_TRIM_THRESHOLD_=2000000000 MALLOC_MMAP_THRESHOLD_=2000000000

# Several tests at a time, one on each of up to four cores; those of a file in one process.
PYTEST := $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
          $(if $(COVERAGE),--cov=prunebench --cov-report=xml --cov-report=term:skip-covered)

# Hundreds of modules would be compiled anew by each process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench board test test-slow test-all lint docs lowest package ui leaderboard screenshots perf clean

bench: $(READY)            ## run the quick suite on real images; ends with a leaderboard
	$(BIN)/prunebench run benchmarks/quick.yaml

test: $(READY)             ## the fast tests
	$(PYTEST) -m "not slow and not sweep"

test-slow: $(READY)        ## the slow tests too; what a change must pass
	$(PYTEST) -m "not sweep"

test-all: $(READY)         ## the sweeps too, over every network, method and input of a kind
	$(PYTEST)

lint: $(READY)             ## the same checks as in CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

docs: $(READY)             ## the documentation site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lowest:                    ## the quick suite on the lowest versions that pyproject.toml allows
	bash tools/try_lowest.sh

package: $(READY)          ## wheel and sdist, checked, and the wheel tried in an empty environment
	bash tools/try_package.sh $(BIN)

# The board's suites, the most important first. An exit of 1 tells of failed cells, which stop nothing.
# Latency is timed at the end, alone, and not behind all other processes.
BOARD := fashion-mnist fashion-mnist-trained-longer cifar10 cifar10-trained-longer \
         thesis thesis-relu2 thesis-trained-longer tinyimagenet10 tinyimagenet10-trained-longer

board: $(READY)            ## run what is missing of the board's suites, at the lowest priority: days
	for suite in $(BOARD); do \
	  nice -n 19 $(BIN)/prunebench run benchmarks/board/$$suite.yaml --jobs 1 \
	    --where 'metric != "latency"' || [ $$? -eq 1 ] || exit 2; \
	done
	for suite in $(BOARD); do \
	  $(BIN)/prunebench run benchmarks/board/$$suite.yaml --jobs 1 || [ $$? -eq 1 ] || exit 2; \
	done

ui: $(READY)               ## MLflow on the embedded store
	$(BIN)/prunebench ui

leaderboard: $(READY)      ## regenerate the published board, its pictures and its site
	$(BIN)/prunebench leaderboard --results leaderboard/results --out leaderboard --readme README.md

screenshots: leaderboard   ## take the README's pictures of the site; needs Chromium
	$(BIN)/python leaderboard/screenshots/take.py

perf: $(READY)             ## how fast the suite itself is, as ratios: benchmarks/perf/README.md
	$(KEEP_MEMORY) $(BIN)/pytest benchmarks/perf -p no:cacheprovider --table benchmarks/perf/README.md

clean:                     ## remove the environment, the store and caches
	rm -rf $(VENV) .prunebench .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PruneBench needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --upgrade --quiet pip
	$(BIN)/python -m pip install --quiet --progress-bar on --editable '.[dev]'
	touch $@
