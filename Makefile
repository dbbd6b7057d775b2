# Each of these may be the first command in a fresh clone: what it needs, it installs into .venv.
#   make chat     the chat page in the browser          MODEL=/path/to/checkpoint QUANTIZE=int4 HOST=127.0.0.1 PORT=7860
#                 FORMATS=bf16,fp8,int4 to switch between; the demo model has them all
#   make lab      JupyterLab on the notebooks           HOST=127.0.0.1 PORT=8888
#   make test     linters, import contract, all tests   ARGS="-k router" JOBS=2
#   make quick    the tests that need neither a browser nor more than five seconds
#   make clients  LangChain and lm-eval against the server; installs both
#   make format   let ruff lay out and mend the code
#   make bench    the benchmarks of the model core
#   make gpu      all that a CUDA card has to show: the tests marked gpu, then the benchmarks and their goals
#   make kernels-check   compile every Triton kernel for three generations of cards; needs no card
#   make install  only install; make install-test adds the test tools
#   make clean    remove .venv and every cache
# PYTHON=python3.12 chooses the interpreter (3.11 or newer). On Linux the package index holds PyTorch
# with CUDA, some gigabytes; TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the small CPU build.

MODEL ?= demo
HOST ?= 127.0.0.1
JOBS ?= 2
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$python; break; }; done)

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --disable-pip-version-check --no-input --constraint constraints.txt

# $(call step,what is done,command): say it, do it, name it when it fails
define step
@echo "==> $(1)"
@$(2) || { echo "make: could not $(1); the reason stands above. Nothing is marked as installed: \
mend it and give the same command again." >&2; exit 1; }
endef

.PHONY: help chat lab test quick lint test-js clients format bench gpu kernels-check install install-test clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

chat: PORT ?= 7860
chat: install
	@$(RUN) -m apps.chat --model "$(MODEL)" $(if $(QUANTIZE),--quantize "$(QUANTIZE)") \
		$(if $(FORMATS),--formats "$(FORMATS)") --host "$(HOST)" --port "$(PORT)"

# no news, no update check, no extension catalogue: nothing leaves the machine
lab: PORT ?= 8888
lab: install
	@$(RUN) -m jupyterlab --ServerApp.root_dir="$(CURDIR)/notebooks" \
		--ServerApp.ip="$(HOST)" --ServerApp.port="$(PORT)" \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
		--LabApp.extension_manager=readonly $(if $(filter 0,$(shell id -u)),--allow-root)

test: lint test-js
	@.ci/chromium
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

quick: install-test
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile -m "not slow and not browser" $(ARGS)

lint: install-test
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(VENV)/bin/lint-imports

test-js:
	@files=$$(find tests -name '*.test.mjs'); \
	if [ -z "$$files" ]; then exit 0; \
	elif command -v node >/dev/null; then node --test $$files; \
	else echo "node is not installed: left out $$files; the browser tests still run the view."; fi

clients: $(VENV)/installed-clients
	@$(RUN) -m pytest -W default tests/clients $(ARGS)

format: install-test
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

bench: install-test
	@$(RUN) -m benchmarks.core $(ARGS)

gpu: install-test
	@$(RUN) -m pytest -m gpu
	@$(RUN) -m benchmarks.goals --device cuda $(ARGS)

kernels-check: install
	@$(RUN) -m benchmarks.compile_kernels $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

install: $(VENV)/installed
install-test: $(VENV)/installed-test

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.11 or newer. Install one (on Debian and Ubuntu: \
	apt-get install python3 python3-venv) or name one: make chat PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: PYTHON=$(PYTHON) is not \
	a Python 3.11 or newer." >&2; exit 1; }
	$(call step,make a virtual environment in $(VENV) with $(PYTHON),$(PYTHON) -m venv $(VENV))
	@touch $@

# PyTorch goes first and alone, so that no other package chooses its build
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/created
	$(call step,install PyTorch,$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) setuptools torch)
	$(call step,install the workbench,$(PIP) --no-build-isolation --editable .)
	$(call step,keep JupyterLab from asking whether it may fetch news,$(RUN) -m jupyterlab.labextensions disable \
		--level=sys_prefix @jupyterlab/apputils-extension:announcements)
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(call step,install the test tools,$(PIP) --no-build-isolation --editable '.[test]')
	@touch $@

$(VENV)/installed-clients: $(VENV)/installed-test
	$(call step,install the clients,$(PIP) --no-build-isolation --editable '.[clients]')
	@touch $@
