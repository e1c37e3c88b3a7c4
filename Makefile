# Everything here sets itself up: a bare Python >= 3.11 is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LVEF := $(BIN)/python -m lvef
THREADS ?= $(shell nproc 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(THREADS)

.PHONY: help install demo benchmark weights test test-slow lint help-pages bench bench-quick clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## make a virtual environment and install the package with its tools

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install  ## phantom, pre-training, two models trained, tested and used: under 15 minutes on 2 cores
	$(LVEF) phantom --root data/demo --num_videos 500 --seed 0
	$(LVEF) pretrain --output weights/demo_resnet50.safetensors --num_images 12000 \
		--max_minutes 6
	$(LVEF) table --root data/demo --output results/demo --experiments '[esf_cls, edf_esf_mlp]' \
		--weights weights/demo_resnet50.safetensors --max_epochs 8
	$(LVEF) predict --config configs/edf_esf_mlp.yaml --config configs/phantom.yaml \
		--data.root data/demo --trainer.default_root_dir results/demo
	@echo "PHANTOM demo done. Data: data/demo; runs, predictions and table.md: results/demo;"
	@echo "curves: $(BIN)/tensorboard --logdir results/demo"

benchmark: install  ## the standard phantom benchmark: long on 2 cores
	$(LVEF) phantom --root data/benchmark --num_videos 2900 --seed 0
	$(LVEF) pretrain --output weights/phantom_resnet50.safetensors --num_images 27000
	$(LVEF) table --root data/benchmark --output results/pretrained \
		--weights weights/phantom_resnet50.safetensors --max_epochs 6
	$(LVEF) table --root data/benchmark --output results/random --max_epochs 6

test: install  ## the tests, in minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: install  ## the tests that train and measure
	$(BIN)/python -m pytest -m slow

lint: install  ## ruff and mypy
	$(BIN)/ruff check lvef tests
	$(BIN)/ruff format --check lvef tests
	$(BIN)/mypy

help-pages: install  ## write what `--help` of each command prints, after an option or its text changed
	$(BIN)/python -m lvef.cli.write_help

bench: install  ## measure speed against named alternatives, a line a claim; every repeat in bench.json
	$(BIN)/python tests/benchmarks/bench.py --threads $(THREADS) --json bench.json

bench-quick: install  ## the same on less, under 10 minutes on 2 cores
	$(BIN)/python tests/benchmarks/bench.py --quick --threads $(THREADS) --json bench.json

weights: install  ## train segmenters to ship: for an accelerator; hours on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m lvef.pretraining.segmenter_training judges --output results/segmenter/judges
	$(BIN)/python -m lvef.pretraining.segmenter_training final --output results/segmenter \
		--judges results/segmenter/judges
	@echo "Choose by results/segmenter/results.jsonl (solid), then:"
	@echo "  $(LVEF) weights --output lvef/weights/lv_seg.safetensors --ckpt_path results/segmenter/NAME.safetensors"

clean:  ## remove what the other targets made
	rm -rf $(VENV) data/demo results/demo weights/demo_resnet50.safetensors build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
