# Everything here sets itself up: a bare Python >= 3.11 is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LVEF := $(BIN)/python -m lvef
DEMO := data/demo
THREADS ?= $(shell nproc 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(THREADS)

.PHONY: help install demo benchmark test test-slow lint bench clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## make a virtual environment and install the package with its tools

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install  ## phantom, pre-training, two models trained, tested and used: under 15 minutes on 2 cores
	$(BIN)/python tests/demo.py $(DEMO)

benchmark: install  ## the standard phantom benchmark: hours on 2 cores
	$(LVEF) phantom --root data/benchmark --num_videos 2900 --seed 0
	$(LVEF) pretrain --output weights/phantom_resnet50.safetensors
	$(LVEF) table --root data/benchmark --output results/pretrained \
		--weights weights/phantom_resnet50.safetensors
	$(LVEF) table --root data/benchmark --output results/random

test: install  ## the tests, in minutes
	$(BIN)/python -m pytest

test-slow: install  ## the tests that train and measure
	$(BIN)/python -m pytest -m slow

lint: install  ## ruff and mypy
	$(BIN)/ruff check lvef tests
	$(BIN)/ruff format --check lvef tests
	$(BIN)/mypy

bench: install  ## measure speed against named alternatives
	$(BIN)/python tests/benchmarks/decoding.py
	$(BIN)/python tests/benchmarks/phantoms.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) data/demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
