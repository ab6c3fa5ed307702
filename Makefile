# Everything here works on a fresh machine: what is missing is installed into .venv first.
# With an active virtual environment that one is used instead; VENV=folder names another.

PYTHON ?= python3
VENV ?= $(or $(VIRTUAL_ENV),.venv)
ARGS ?=

PY := $(VENV)/bin/python
# Stamps carry this clone's name, so that an environment shared by two clones is installed for each.
CLONE := $(shell pwd | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.toolkit-$(CLONE)
INSTALLED_DEV := $(VENV)/.toolkit-dev-$(CLONE)
INSTALLED_CLAS := $(VENV)/.toolkit-clas-$(CLONE)
INSTALLED_DOCS := $(VENV)/.toolkit-docs-$(CLONE)
INSTALLED_ONNX := $(VENV)/.toolkit-onnx-$(CLONE)
PIP := $(PY) -m pip --disable-pip-version-check
# Paddle and OpenCV exist in several builds: those that are already there are kept.
MISSING = $(shell $(PY) -c "from importlib.util import find_spec as f; print(*(e for m, e in (('paddle', 'cpu'), ('cv2', 'opencv')) if not f(m)), sep=',')")
EXTRAS = fast$(if $(MISSING),$(comma)$(MISSING))
comma := ,
CODE := toolkit tools tests docs benchmarks setup.py

.DEFAULT_GOAL := help
.PHONY: help quickstart install dev test real slow zoo clas check lint style types format docs bench clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(INSTALLED) ## train, compare, export and predict on real handwritten digits; needs no data and no weights
	$(PY) tools/train.py -c configs/quickstart.yaml $(ARGS)

install: $(INSTALLED) ## install the toolkit

dev: $(INSTALLED_DEV) ## install the toolkit and what its development needs

test: $(INSTALLED_DEV) ## the fast tests
	$(PY) -m pytest -n auto $(ARGS)

real: $(INSTALLED_DEV) ## of the fast tests those on real images and weights (TOOLKIT_ASSETS, or ../shared/assets)
	$(PY) -m pytest -n auto -m "assets and not slow and not zoo and not gpu" $(ARGS)

slow: $(INSTALLED_DEV) ## the slow tests, on real images and weights where they are at hand
	$(PY) -m pytest -m "slow and not zoo and not gpu" $(ARGS)

zoo: $(INSTALLED_DEV) ## the contract of every network of Paddle's zoo (a quarter of an hour)
	$(PY) -m pytest -m "zoo and not gpu" $(ARGS)

clas: $(INSTALLED_CLAS) ## install PaddleClas and test its networks, a small one of every family
	$(PY) -m pytest tests/zoo/test_clas.py $(ARGS)

check: lint test ## format, lint, types and the fast tests

lint: style types ## format, lint and types

style: $(INSTALLED_DEV)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m ruff check $(CODE)

types: $(INSTALLED_DEV)
	$(PY) -m mypy

format: $(INSTALLED_DEV) ## format the code and fix what can be fixed automatically
	$(PY) -m ruff check --fix-only $(CODE)
	$(PY) -m ruff format $(CODE)

# mkdocs-material's notice on the future of MkDocs is for those who choose it, not for those who read the pages.
docs: $(INSTALLED_DOCS) ## build the site of the documentation in build/docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(ARGS)
	@echo "open build/docs/index.html"

# What each case compares, and how long it takes: benchmarks/README.md. ARGS="--only linear_probe --without keras"
bench: $(INSTALLED_ONNX) ## time the toolkit beside PyTorch, Keras and plain Paddle, each in an environment of its own
	$(PY) benchmarks/run.py $(ARGS)

clean: ## remove caches and build products (runs, data and .venv stay)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find toolkit tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Paddle needs Python 3.10 or newer: say so before pip does in its own words.
define NEW_ENOUGH
import sys
found = '.'.join(map(str, sys.version_info[:3]))
if sys.version_info < (3, 10):
    sys.exit(f'Python 3.10 or newer is needed; {sys.executable} is {found}. Name one: make PYTHON=python3.11 ...')
endef
export NEW_ENOUGH

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed. Name another: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c "$$NEW_ENOUGH"
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): setup.py pyproject.toml | $(PY)
	@$(PY) -c "$$NEW_ENOUGH"
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip
	@echo "installing the toolkit into $(VENV) (the first time downloads about 300 MB)"
	$(PIP) install -e ".[$(EXTRAS),onnx]"
	@touch $@

$(INSTALLED_DEV): setup.py pyproject.toml | $(PY)
	@$(PY) -c "$$NEW_ENOUGH"
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip
	@echo "installing the toolkit and its development tools into $(VENV) (the first time downloads about 300 MB)"
	$(PIP) install -e ".[dev,$(EXTRAS)]"
	@touch $(INSTALLED) $@

# PaddleClas's own pins cannot be met: see setup.py.
$(INSTALLED_CLAS): $(INSTALLED_DEV)
	$(PIP) install -e ".[clas]"
	$(PIP) install --no-deps paddleclas==2.6.0
	@touch $@

$(INSTALLED_DOCS): setup.py pyproject.toml | $(PY)
	@$(PY) -c "$$NEW_ENOUGH"
	$(PIP) install -e ".[docs]"
	@touch $@

$(INSTALLED_ONNX): $(INSTALLED)
	$(PIP) install -e ".[onnx,fast]"
	@touch $@
