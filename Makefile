# Everything a fresh machine needs: `make demo` shows the product, `make test` checks it. Each makes its own virtual
# environment; PYTHON chooses the interpreter (3.10 to 3.13).
PYTHON ?= python3
# PyTorch is needed by the tests of train/ and export/ only. On Linux the default index gives its CUDA build of several
# GB; name a CPU-only index to avoid that:  make test TORCH_INDEX=<URL>
TORCH_INDEX ?=
TORCH = torch==2.13.0

DEMO_ENV = .venv-demo
TEST_ENV = .venv-test
PIN = -c .ci/constraints.txt
# cython-lint calls pycodestyle, and the tests of the native build call cmake and ninja, by name.
IN_TEST_ENV = PATH="$(CURDIR)/$(TEST_ENV)/bin:$$PATH"

.PHONY: demo test lint soak soak-service clean

demo: $(DEMO_ENV)/.ready
	$(DEMO_ENV)/bin/qcface demo --output demo_output

# Two processes: the native libraries of training and of the SDK's optional parts (vector server, OpenVINO, FFmpeg) need
# not share one. One OpenMP thread: on busy machines the tiny networks of the tests are many times slower with two.
test: $(TEST_ENV)/.ready lint
	$(IN_TEST_ENV) python -m pytest --ignore=tests/train --ignore=tests/export
	$(IN_TEST_ENV) OMP_NUM_THREADS=1 python -m pytest tests/train tests/export

lint: $(TEST_ENV)/.ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(IN_TEST_ENV) cython-lint native
	$(TEST_ENV)/bin/lint-imports
	$(TEST_ENV)/bin/mypy
	$(IN_TEST_ENV) stubtest qcface_sdk._native.align qcface_sdk._native.detect qcface_sdk._native.match

# Long, and not part of the tests: 100,000 frames of a door whose camera breaks 50 times, and the service through kills
# of its broker and of itself.
soak: soak-service
	$(TEST_ENV)/bin/python tests/soak/door.py

soak-service: $(TEST_ENV)/.ready
	$(TEST_ENV)/bin/python tests/soak/service.py

SOURCES = pyproject.toml .ci/constraints.txt $(wildcard native/* native/*/*)

$(DEMO_ENV)/.ready: $(SOURCES) $(shell find sdk -type f -not -name '*.pyc')
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/pip install -q $(PIN) ".[demo]"
	touch $@

$(TEST_ENV)/.ready: $(SOURCES)
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/pip install -q $(PIN) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(TEST_ENV)/bin/pip install -q $(PIN) scikit-build-core cython cython-cmake cmake ninja
	$(TEST_ENV)/bin/pip install -q $(PIN) --no-build-isolation -e ".[train,export,qat,openvino,camera,server,milvus,demo,dev]"
	touch $@

clean:
	rm -rf $(DEMO_ENV) $(TEST_ENV) build demo_output
