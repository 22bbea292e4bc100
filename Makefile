# Needs Python 3.11 or newer, git, make and the package registry; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv

RUN := $(VENV)/bin/python
SOURCES := pyproject.toml $(shell find src -type f -not -path '*/__pycache__/*')

.PHONY: demo test lint bench clean

demo: $(VENV)/installed   ## encode and decode the sample photograph, and compare: see demo/
	$(RUN) -m scripts.demo

test: $(VENV)/installed-test   ## the whole suite
	$(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/installed-lint   ## style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/installed-bench   ## quality and speed, on $$CALOTYPE_ASSETS/data/kodak: see benchmarks/results/
	$(RUN) -m benchmarks.quality
	$(RUN) -m benchmarks.speed

clean:
	rm -rf $(VENV) demo build dist

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Calotype needs Python 3.11 or newer: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/installed: $(SOURCES) | $(VENV)/created
	$(RUN) -m pip install --quiet --disable-pip-version-check .
	touch $@

$(VENV)/installed-%: $(SOURCES) | $(VENV)/created
	$(RUN) -m pip install --quiet --disable-pip-version-check '.[$*]'
	touch $@
