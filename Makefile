# It needs Python 3.11 or newer, git, make and the package registry; everything else is installed in $(VENV).
PYTHON ?= python3
VENV ?= .venv

RUN := $(VENV)/bin/python
PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(RUN) -m pytest --numprocesses auto --dist worksteal
# "make lint docs test EXTRA=dev" installs everything once, instead of what each of them needs.
EXTRA ?=
# What "make test" adds to pytest: "make test COVERAGE=1" measures, and fails below the floor of pyproject.toml.
COVERAGE_OPTIONS := $(if $(COVERAGE),--cov --cov-report=term:skip-covered)
# "yes" where the browser's decoder can be built: with npm, and Node 20.12 or newer.
NODE := $(shell command -v npm >/dev/null 2>&1 && node -p "const [a, b] = process.versions.node.split('.').map(Number); a > 20 || (a === 20 && b >= 12) ? 'yes' : ''" 2>/dev/null)

.PHONY: demo dev check quick test lint docs links matrix package web bench clean

demo: $(VENV)/installed-compare   ## encode and decode the sample photograph, and compare: see demo/
	$(RUN) -m scripts.demo

dev: $(VENV)/installed-dev   ## an editable install with everything that work on Calotype needs

check: $(VENV)/installed-$(or $(EXTRA),check) $(VENV)/installed-$(or $(EXTRA),lint)   ## lint, and the quick tests
	+$(MAKE) --no-print-directory --jobs=2 lint quick

quick: $(VENV)/installed-$(or $(EXTRA),check)   ## the quick tests of what the default install runs
	$(PYTEST) -p no:schemathesis -m 'not slow and not extra'

test: $(VENV)/installed-$(or $(EXTRA),test) $(if $(NODE),web)   ## every test; those of the browser's decoder need npm
	$(PYTEST) $(COVERAGE_OPTIONS)

lint: $(VENV)/installed-$(or $(EXTRA),lint)   ## style, types and dead code
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m vulture

docs: $(VENV)/installed-$(or $(EXTRA),docs)   ## the documentation as a site: build/site/docs/index.html; warnings are errors
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going --nitpicky -c docs . build/site

links: $(VENV)/installed-docs   ## check every web address that the documentation links to
	$(RUN) -m sphinx --quiet -b linkcheck -c docs . build/links

matrix:   ## the quick tests on every supported Python that is installed, and with the oldest supported packages
	$(PYTHON) -m scripts.matrix

web: web-decoder/node_modules/.package-lock.json   ## the browser's decoder: web-decoder/dist, and what the package takes of it
	npm run --silent --prefix web-decoder check
	npm run --silent --prefix web-decoder build

package: web $(VENV)/installed-dev   ## wheel and sdist in dist/, built, checked and tried in fresh environments
	rm -rf dist
	$(RUN) -m build
	$(RUN) -m twine check --strict dist/*
	$(RUN) -m scripts.try_package dist

bench: $(VENV)/installed-bench   ## quality and speed, on the pictures of $$CALOTYPE_ASSETS: see benchmarks/results/
	$(RUN) -m benchmarks.quality
	$(RUN) -m benchmarks.speed

clean:
	rm -rf $(VENV) demo build dist web-decoder/dist web-decoder/build web-decoder/node_modules src/calotype/browser/decoder

web-decoder/node_modules/.package-lock.json: web-decoder/package-lock.json
	npm ci --silent --no-audit --no-fund --prefix web-decoder
	touch $@

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Calotype needs Python 3.11 or newer: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

# Installs are editable: a change of the sources needs no new one. The wheel has tests of its own.
$(VENV)/installed: pyproject.toml | $(VENV)/created
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/installed-%: pyproject.toml constraints.txt | $(VENV)/created
	$(PIP_INSTALL) --editable '.[$*]'
	touch $@
