# make test   everything CI runs: lints, unit tests, integration tests (installs what is missing)
# make check  formatting, lints, documentation, licences
# make agreement  Debian's rules here and in the real SpamAssassin, every difference listed
# make ablation  what stays flagged of the spam fixtures without any one rule
# make bench  times by stage, and the ratio of a scan to the bare parse in instructions
# make curve  latency and size of the store over five million messages
# make run    the service with its defaults on 127.0.0.1:11380
# make deb    the Debian package, in target/packages
# make sbom   what the program is made of (CycloneDX), in target/packages
# make test-packages  the Debian package on a bare Debian 12, the container image, a minute of
#             Prometheus; as root, half an hour

# One build profile for all of it: optimised like the release, quick to compile.
PROFILE := --profile ci

.PHONY: test check bench curve run tools lint fuzz agreement ablation deb sbom test-packages

test: tools lint
	cargo nextest run --locked --cargo-profile ci

check: lint
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items $(PROFILE)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --config .cargo/deny.toml --log-level error check bans licenses sources

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets $(PROFILE) -- -D warnings

bench:
	@command -v valgrind >/dev/null || $(MAKE) --no-print-directory tools
	cargo bench --locked $(PROFILE) --bench scan
	benches/ratio.sh "$$(cargo bench --locked $(PROFILE) --bench scan --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"

# Latency and size of the embedded store over millions of messages: half an hour.
MESSAGES := 5000000
curve:
	cargo bench --locked $(PROFILE) --bench store -- $(MESSAGES)

agreement: tools
	cargo nextest run --locked --cargo-profile ci --no-capture agreement

ablation:
	cargo nextest run --locked --cargo-profile ci --no-capture ablation

run:
	cargo run --release

# The package has the regex library compiled in, as the container image has.
DEB_PROFILE := release
DEB_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1-1/p' Cargo.toml | head -n 1)
DEB_OUT = target/packages/calspamd_$(DEB_VERSION).deb
deb: export PCRE2_SYS_STATIC := 1
deb:
	@command -v cargo-deb >/dev/null || cargo install --locked cargo-deb
	cargo build --locked --profile $(DEB_PROFILE) --bin calspamd
	rm -rf target/packages/man target/packages/completions
	mkdir -p target/packages/man target/packages/completions
	target/$(DEB_PROFILE)/calspamd docs man target/packages/man
	target/$(DEB_PROFILE)/calspamd docs completions bash >target/packages/completions/calspamd
	target/$(DEB_PROFILE)/calspamd docs completions zsh >target/packages/completions/_calspamd
	target/$(DEB_PROFILE)/calspamd docs completions fish >target/packages/completions/calspamd.fish
	cargo deb --no-build --no-dbgsym --profile $(DEB_PROFILE) --deb-version $(DEB_VERSION) -o $(DEB_OUT)

sbom:
	@command -v cargo-cyclonedx >/dev/null || cargo install --locked cargo-cyclonedx
	mkdir -p target/packages
	cargo cyclonedx --format json --describe binaries --no-build-deps --target x86_64-unknown-linux-gnu
	mv calspamd*.cdx.json target/packages/calspamd.cdx.json

# What test needs besides tools; buildah and debootstrap want to be root.
test-packages: tools
	@missing=; \
	command -v debootstrap >/dev/null || missing="$$missing debootstrap"; \
	command -v buildah >/dev/null || missing="$$missing buildah"; \
	command -v systemd-nspawn >/dev/null || missing="$$missing systemd-container"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi
	tests/packages/run.sh deb
	tests/packages/run.sh image
	CALSPAMD_SCRAPE_SECONDS=60 cargo nextest run --locked --cargo-profile ci -E 'test(a_real_prometheus)'

# What the tests need besides Rust: a C compiler for PCRE2, the test runner, the scanners that read
# what `calspamd rules export` writes, servers of DNS lists, Python for the broken one of the lab, a
# Redis, a Prometheus, and systemd's tools.
tools:
	@missing=; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v valgrind >/dev/null || missing="$$missing valgrind"; \
	command -v unbound >/dev/null || [ -x /usr/sbin/unbound ] || missing="$$missing unbound"; \
	command -v rbldnsd >/dev/null || [ -x /usr/sbin/rbldnsd ] || missing="$$missing rbldnsd"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	command -v rspamadm >/dev/null || missing="$$missing rspamd"; \
	command -v spamassassin >/dev/null || missing="$$missing spamassassin"; \
	command -v spamc >/dev/null || missing="$$missing spamc"; \
	command -v rspamc >/dev/null || missing="$$missing rspamd"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	python3 -m ensurepip --version >/dev/null 2>&1 || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
		else echo "install these packages first: $$missing"; exit 1; fi; \
	fi
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	@rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
	@[ target/clients/deploy/done -nt tests/clients/python/requirements-deploy.txt ] || { \
		python3 -m venv target/clients/deploy && \
		target/clients/deploy/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/clients/python/requirements-deploy.txt && \
		touch target/clients/deploy/done; }

# Ten minutes of each fuzz target; cargo-fuzz takes flags that only a nightly compiler knows.
SECONDS := 600
TARGETS =
fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $(or $(TARGETS),$$(cargo fuzz list --fuzz-dir fuzz)); do \
		seeds=; for folder in fuzz/seeds/$$target tests/messages/spam tests/messages/ham tests/messages/broken; do \
			case $$target/$$folder in rules/tests*|meta/tests*|attachment/tests*) continue ;; esac; \
			if [ -d $$folder ]; then seeds="$$seeds $$folder"; fi; done; \
		mkdir -p fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target $$seeds -- -max_total_time=$(SECONDS) -timeout=20 || exit 1; \
	done
