# make demo    the main job on real files, on this machine alone
# make test    every test
# make check   what CI runs: tests, formatting, lints, docs, dependencies
# make bench   figures, as ratios in one run; PARTS='csv known-objects' for some of them

CARGO ?= cargo
WORKSPACE = --workspace --exclude gristmill-builtin

.PHONY: demo test check bench fmt lint doc deny

demo:
	@.ci/setup build
	@echo 'building; the first time takes some minutes'
	@$(CARGO) build --quiet $(WORKSPACE) --bins
	@$(CARGO) run --quiet --bin demo

test:
	@.ci/setup test
	$(CARGO) build $(WORKSPACE) --bins
	$(CARGO) test $(WORKSPACE)
	$(CARGO) test -p gristmill-builtin --lib

check: test fmt lint doc deny

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy $(WORKSPACE) --all-targets -- -D warnings
	$(CARGO) clippy -p gristmill-builtin --lib --tests -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(WORKSPACE) --no-deps --document-private-items

deny:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked --quiet --debug cargo-deny
	$(CARGO) deny --workspace check bans licenses sources
	@$(CARGO) deny --workspace check advisories || echo 'advisories: not reachable, or see above'

bench:
	@.ci/setup bench
	@$(CARGO) build --quiet --release $(WORKSPACE) --bins
	@$(CARGO) run --quiet --release --bin bench -- $(PARTS)
