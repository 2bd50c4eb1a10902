# The course's commands. They need make and Python 3.11 to 3.13, nothing else; paths are relative, so that the course
# may lie in a folder with spaces or letters of any language in its name.

.DEFAULT_GOAL := help
.PHONY: help lab test lint notebooks site catalogues bench clean test-unit test-nbval test-jax test-site test-browser \
        test-colab test-oldest test-newest .venv .venv-jax .venv-site .venv-browser

PY := .venv/bin/python
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg --nbval-cell-timeout=300
# Two files or notebooks at a time: much of TensorFlow's time is tracing, which keeps one core busy.
TWO := -n 2 --dist loadfile

help:
	@echo "make lab        set up .venv if need be and open the course in JupyterLab"
	@echo "make test       set up the environments if need be; lint, unit tests, JAX, the site, every notebook run and compared"
	@echo "make lint       check style and spelling"
	@echo "make notebooks  write the tasks of the lessons from the solutions, execute the committed notebooks in place, and"
	@echo "                write FIND_YOUR_ERROR.md from them"
	@echo "make site       make of the committed notebooks and texts a site to read, in build/site"
	@echo "make catalogues LANGUAGE=de  write what is to be translated into site/locale/de"
	@echo "make bench      measure and print the timings of benchmarks/ as one table"
	@echo "make clean      remove .venv and those beside it, build/ and caches"
	@echo
	@echo "Parts of make test: make test-unit, make test-jax, make test-site, make test-nbval. And beyond it:"
	@echo "make test-browser  use the course and its site in a real browser"
	@echo "make test-colab    run every notebook as Colab does, on the versions that Colab ships"
	@echo "make test-oldest   the same on the oldest versions that pyproject.toml allows"
	@echo "make test-newest   the same on the newest that there are"

# These names are no files, so this runs every time; when the environment is good it takes a fraction of a second.
# `make lab PYTHON=...` prefers that one. A name on PATH may be too old, or a shim with nothing behind it: each is tried.
.venv .venv-jax .venv-site .venv-browser:
	@for name in $(PYTHON) python3.12 python3.13 python3.11 python3 python; do \
	    if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then \
	        exec "$$name" tools/setup_venv.py $@; \
	    fi; \
	done; \
	echo "Python 3.11, 3.12 or 3.13 was not found (python3 here: $$(python3 --version 2>/dev/null || echo none)): install one, then run make again." >&2; \
	exit 1

# Jupyter refuses to run as root unless told; the token stays on, and only this computer can connect.
lab: .venv
	@echo "If no browser opens, copy the address with 127.0.0.1 and ?token= that appears below into one."
	@allow=; if [ "$$(id -u)" = 0 ]; then allow=--allow-root; fi; \
	exec $(PY) -m jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. $$allow notebooks/00_start_here.ipynb

# The environments are set up side by side. The unit tests find `.venv-jax` and run what `test-jax` runs.
test:
	@$(MAKE) --no-print-directory -j 3 .venv .venv-jax .venv-site
	@$(MAKE) --no-print-directory lint test-unit test-site test-nbval
	@echo "All of it passed: style, unit tests, training on JAX, the site, notebooks."

lint: .venv
	@echo "== style and spelling"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m codespell_lib

# In the order that tests/conftest.py gives them, the longest file first.
test-unit: .venv
	@echo "== unit tests, static notebook tests, and training on JAX where .venv-jax is"
	@$(PY) -m pytest $(TWO) --no-loadscope-reorder

test-jax: .venv-jax
	@echo "== loss, training and detection on JAX, without TensorFlow"
	@KERAS_BACKEND=jax .venv-jax/bin/python -m pytest tests/test_backends.py

test-nbval: .venv
	@echo "== every notebook, run from top to bottom, each output compared with the committed one"
	@$(PY) -m pytest $(TWO) $(NBVAL) notebooks

test-site: .venv-site
	@echo "== the site, in English and in a language that is only begun"
	@.venv-site/bin/python -m pytest tests/site

# The tests drive Chromium from an environment of their own; the course runs in `.venv`, as for its readers.
test-browser: .venv .venv-browser site
	@echo "== lesson, slider, task and the site in a real browser"
	@.venv-browser/bin/python -m pytest -v tests/browser

# The versions to test are what was installed, so an environment of the newest is made anew.
test-newest: PREPARE = rm -rf .venv-newest
test-colab test-oldest test-newest: .venv
	@$(PREPARE)
	@$(PY) tools/check_versions.py $(@:test-%=%)

notebooks: .venv
	@$(PY) tools/make_tasks.py
	@$(PY) tools/build_notebooks.py
	@$(PY) tools/find_your_error.py

site: .venv-site
	@.venv-site/bin/python tools/build_site.py

# A shell may have a variable of this name for other ends: only what the command line says counts.
catalogues: .venv-site
	@.venv-site/bin/python tools/build_site.py --catalogues "$(if $(filter command,$(origin LANGUAGE)),$(LANGUAGE))"

bench: .venv
	@$(PY) -m benchmarks.all

clean:
	rm -rf .venv .venv-* build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
