## make lab     set up .venv once, fetch the default models and data, open JupyterLab
## make test    the same set-up and the tools for it, then every check: style, layers, types,
##              unit tests, notebooks
## make masters  run the notebooks and store them with their outputs (after a change to them)
## make test-browser   JupyterLab in a headless Chromium (apt-get install chromium chromium-driver)
## make test-versions  the unit tests with the lowest and the newest packages allowed (long)
## make site    the executed course and labkit's reference as pages under build/site/, to read with
##              the network off
## make zh      the notebooks and assignments with Chinese text, in notebooks/zh/ and assignments/zh/;
##              make lab LABKIT_LANG=zh opens those, with hints, figures and widgets in Chinese
## make run     run every notebook without a window; pages land in build/
## make ledger  the papers' claims against data/reference: data/claims.json, docs/claims.md and the
##              table in README.md, after new results
## make speed   labkit against PEFT on this machine's CPU, which should be quiet, in bf16 and in fp32,
##              as far as docs/speed/ does not hold it yet; the tables in docs/speed.md and docs/gpu.md
## make lint    style, layers and types only
## make lock    take the newest allowed releases and write requirements.lock anew
## make clean   remove .venv, build/ and caches (fetched models and data stay)
##
## Another Python:  make lab PYTHON=/path/to/python3.12

# No tool is called by an absolute path, so the checkout's folder may have spaces in its name.
VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/installed-in
# The masters, or in a student's package the assignments.
BOOKS := $(firstword $(wildcard notebooks assignments) notebooks)
INSTALL := $(PY) -m pip install --disable-pip-version-check -c requirements.lock

.PHONY: help lab zh test test-browser test-versions site run masters ledger speed lint lock clean assets
.NOTPARALLEL:

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

# The stamp names the folder it was made in: in a copied or moved checkout the environment's own
# paths lead elsewhere, so it is made anew. The same goes for one whose Python is gone.
ifneq ($(shell [ -x $(PY) ] && cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml requirements.lock
	@[ -x $(PY) ] && [ "$$(cat $@ 2>/dev/null)" = "$$(pwd -P)" ] || { $(call make_venv,$(VENV)); }
	$(INSTALL) -e .
	@pwd -P > $@

# Running a candidate is the only sure test: a version manager's stand-in may lead nowhere, and
# Debian's own Python lacks ensurepip until python3-venv is there.
define make_venv
for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3) ''; do \
	"$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
		2>/dev/null && break; \
done; \
if [ -z "$$python" ]; then \
	echo "No Python 3.11 or newer with venv was found$(if $(PYTHON), at $(PYTHON)): install one" \
		"(python.org; on Debian and Ubuntu also python3-venv) and call make again." >&2; \
	exit 1; \
fi; \
echo "Making $(1) with $$("$$python" --version)"; \
"$$python" -m venv --clear $(1)
endef

assets: $(STAMP)
	@$(PY) -m labkit assets fetch

# The notebook's kernel is "python3": the environment's own goes before one of the user's account.
lab run masters test test-browser: export JUPYTER_PREFER_ENV_PATH := 1

CHINESE := $(filter zh,$(LABKIT_LANG))

# The address, and not the file, is what is opened: so the printed one leads to the notebook too,
# and the file browser shows the whole course.
lab: assets $(CHINESE)
	@set --; \
	[ "$$(id -u)" != 0 ] || set -- "$$@" --allow-root; \
	[ "$$(uname)" = Darwin ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || set -- "$$@" --no-browser; \
	exec $(PY) -m jupyterlab "$$@" --LabApp.default_url=/lab/tree/$(BOOKS)$(CHINESE:%=/%)/01_hard_prompt.ipynb

zh: $(STAMP)
	@$(PY) -m labkit.course.language.translation

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -r {} +

# ---- for maintainers ----

TOOLS := $(VENV)/installed-tools

# What checks the project, and a reader of the course does without: ruff, mypy, nbgrader, Ray.
$(TOOLS): $(STAMP)
	$(INSTALL) -e ".[dev]"
	@touch $@

heading = @printf '\n== %s\n' $(1)

lint: $(TOOLS)
	$(call heading,'Style: ruff check')
	@$(PY) -m ruff check .
	$(call heading,'Format: ruff format')
	@$(PY) -m ruff format --check .
	$(call heading,'Layers: import-linter')
	@$(VENV)/bin/lint-imports --no-logo
	$(call heading,'Types: mypy')
	@$(PY) -m mypy

# Several processes of one thread each are faster than one of several; four fit into 8 GiB.
SIDE_BY_SIDE := -n auto --maxprocesses 4
# Submissions that fill the machine, and workers that would not start beside them.
HOSTILE := tests/test_hostile_submissions.py
PROCESSES := tests/test_engines.py
comma := ,

test: export LABKIT_PROFILE := small
test masters run: export LABKIT_LANG := en
test: assets lint
	$(call heading,'Unit tests')
	@OMP_NUM_THREADS=1 $(PY) -m pytest $(SIDE_BY_SIDE) --dist loadfile \
		--ignore $(HOSTILE) --ignore $(PROCESSES) tests
	$(call heading,'Tests that starve others$(comma) one after the other')
	@OMP_NUM_THREADS=1 $(PY) -m pytest $(HOSTILE) $(PROCESSES)
	$(call heading,'Notebooks: each cell run again and compared with its stored output')
	@OMP_NUM_THREADS=1 $(PY) -m pytest $(SIDE_BY_SIDE) --dist loadscope \
		--nbval --nbval-current-env --nbval-cell-timeout=600 --ignore notebooks/zh notebooks

# Minutes long. ONLY=quick is the part that CI runs; what went wrong is seen in build/browser/.
test-browser: export LABKIT_PROFILE := small
test-browser: assets $(TOOLS)
	@$(PY) -c 'import latex2mathml, pdoc, selenium' 2>/dev/null || $(INSTALL) -e ".[browser,site]"
	@$(PY) -m pytest tests/browser -m "browser$(if $(ONLY), and $(ONLY))"

# Half an hour; one part with ONLY=lowest or ONLY=newest. With a PYTHON, the newest run on that one.
# With GPU_BUILDS=1, torch is taken as a build for GPUs where pip's indexes offer no other.
test-versions: assets
	@$(PY) tests/versions.py $(if $(ONLY),--only $(ONLY)) $(if $(PYTHON),--python "$(PYTHON)") \
		$(if $(GPU_BUILDS),--gpu-builds)

site: $(STAMP)
	@$(PY) -c 'import latex2mathml, pdoc' 2>/dev/null || $(INSTALL) -e ".[site]"
	@$(PY) -m labkit.course.pages.reference build/site/reference
	@$(PY) -m labkit.course.pages.site build/site

# A notebook that fails does not keep the others from being run; the masters are not written to.
run: assets
	@failed=; \
	for notebook in notebooks/*.ipynb; do \
		printf '\n== %s\n' "$$notebook"; start=$$(date +%s); \
		$(PY) -m nbconvert --to html --execute --output-dir build "$$notebook" \
			|| failed="$$failed $$notebook"; \
		echo "$$(($$(date +%s) - start)) seconds"; \
	done; \
	[ -z "$$failed" ] || { echo "Failed:$$failed" >&2; exit 1; }

masters: assets
	@$(PY) -m labkit.course.pages.execution notebooks/*.ipynb

ledger: $(STAMP)
	@$(PY) -m labkit.experiments.ledger

# What is in the folders is not measured again.
speed: assets
	@failed=; \
	for precision in bfloat16 float32; do \
		LABKIT_DTYPE=$$precision $(PY) -m labkit bench all --device cpu --out docs/speed/$$precision \
			|| failed=1; \
	done; \
	$(PY) -m labkit.benchmarks.document && [ -z "$$failed" ]

# torch stays: which build a machine can have is decided by hand, and a newer one may pull in CUDA.
lock:
	@mkdir -p build && grep -E '^(torch|soupsieve)==' requirements.lock > build/kept.lock
	@$(call make_venv,build/lock)
	build/lock/bin/python -m pip install --disable-pip-version-check -c build/kept.lock -e ".[dev,browser,site]"
	@{ grep '^#' requirements.lock; \
	   build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable \
	   | sed 's/+.*//' | grep -viE '^(nvidia|cuda|triton)'; } > build/requirements.lock
	@mv build/requirements.lock requirements.lock && rm -r build/lock build/kept.lock
	@echo 'requirements.lock is written: now make test, then commit it.'
