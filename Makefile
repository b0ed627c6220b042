# make run    builds Matron and starts it, with no configuration at all
# make test   lint and all tests
# make fuzz   fuzz targets, five minutes each
#
# Everything lands in target/; `make clean` removes it.

export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Both packages are named, so that what measures the server is built of the same.
RELEASE := tools/cargo release build --release --locked -p matron-server -p spec-tests

.PHONY: run build setup lint test bench soak crash power fuzz clients deb image complement-image clean

run: build
	MATRON_CONFIG="$${MATRON_CONFIG-}" $(TARGET)/release/matron

build: setup
	$(RELEASE) --bin matron

setup:
	@tools/setup

lint: setup
	cargo fmt --all --check
	tools/cargo dev clippy --locked --workspace --all-targets -- -D warnings
	tools/deny

test: lint
	tools/cargo dev test --locked --workspace

# The figures, as one table (or some: ARGS="send sync"). The store that they need is filled once and kept: docs/benchmarks.md.
bench: setup
	$(RELEASE) --bin matron --bin bench
	$(TARGET)/release/bench $(ARGS)

# A working day: 200 messages a second among 1,000 who are there, for two hours (or ARGS="--hours 0.5"): docs/benchmarks.md.
soak: setup
	$(RELEASE) --bin matron --bin bench --bin soak
	$(TARGET)/release/bench --fill
	$(TARGET)/release/soak $(ARGS)

# kill -9 under load, 50 times (or ARGS=20).
crash: setup
	tools/cargo dev test --locked --workspace --no-run
	$(TARGET)/debug/crash $(ARGS)

# The power fails under load, 200 times (or ARGS=20); needs root and /dev/fuse.
# ARGS=--deaf: syncs do nothing, and the losses must be found.
power: setup
	tools/cargo dev test --locked --workspace --no-run
	$(TARGET)/debug/power $(ARGS)

# Every fuzz target for five minutes (or SECONDS=60, or TARGETS="pdu http"); needs a nightly compiler and cargo-fuzz.
SECONDS ?= 300
fuzz: setup
	tools/fuzz $(SECONDS) $(TARGETS)

# Real clients' journeys (or some: ARGS=nio), against the build that the tests use: asked for in their way,
# nothing is built twice.
clients:
	@tools/setup clients
	tools/cargo dev test --locked --workspace --no-run
	MATRON_BIN="$(abspath $(TARGET))/debug/matron" spec-tests/clients/run $(ARGS)

# A package for Debian and Ubuntu, in target/debian.
deb: build
	tools/deb

# The image that docker-compose.yml starts.
image:
	docker build -f deploy/Dockerfile -t matron:latest .

complement-image: build
	cp $(TARGET)/release/matron spec-tests/complement/matron
	docker build -t matron-complement:latest spec-tests/complement
	rm spec-tests/complement/matron

clean:
	cargo clean
