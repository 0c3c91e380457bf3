# make test   everything CI runs: lints, unit tests, integration tests (installs what is missing)
# make check  formatting, lints, documentation, licences
# make agreement  Debian's rules here and in the real SpamAssassin, every difference listed
# make test-rspamd4  the plug-in in Rspamd 4 of Debian's testing (as root)
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

.PHONY: test test-rspamd4 check bench curve run tools lint fuzz agreement ablation deb sbom test-packages

test: tools lint
	cargo nextest run --locked --cargo-profile ci

check: lint
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items $(PROFILE)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --config .cargo/deny.toml --log-level error check bans licenses sources

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets $(PROFILE) -- -D warnings

# What is measured is what is shipped.
MEASURED := release
bench:
	@command -v valgrind >/dev/null || $(MAKE) --no-print-directory tools
	cargo bench --locked --profile $(MEASURED) --bench scan
	benches/ratio.sh "$$(cargo bench --locked --profile $(MEASURED) --bench scan --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"

# Latency and size of the embedded store over millions of messages: half an hour.
MESSAGES := 5000000
curve:
	cargo bench --locked --profile $(MEASURED) --bench store -- $(MESSAGES)

agreement: tools
	cargo nextest run --locked --cargo-profile ci --no-capture agreement

ablation:
	cargo nextest run --locked --cargo-profile ci --no-capture ablation

run:
	cargo run --release

# The proofs with Rspamd once more with version 4, unpacked into a folder of its own. Tests that are
# told of it by CALSPAMD_RSPAMD run its programs in there, so their files lie there too.
RSPAMD4 := $(CURDIR)/target/rspamd4
test-rspamd4: tools
	@command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap
	@[ -e $(RSPAMD4)/etc/hosts ] || { rm -rf $(RSPAMD4) && \
		debootstrap --variant=minbase --include=rspamd testing $(RSPAMD4) && \
		echo "127.0.0.1 localhost" >$(RSPAMD4)/etc/hosts; }
	TMPDIR=$(RSPAMD4)/tmp CALSPAMD_RSPAMD=$(RSPAMD4) cargo nextest run --locked --cargo-profile ci -E 'test(/^rspamd::/) or test(/^dialect::rspamc::/) or test(postfix::rspamd)'

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
# Redis, a Prometheus, systemd's tools, strace, Schemathesis, curl and openssl for TLS, OpenSSL's headers for Rspamd's client for Rust, which is built with a
# lock file of its own, and Node.js for Haraka and its plug-ins, which npm fetches as package-lock.json
# has them. Mail programs: Postfix with a milter, Python's client for spamd, and Exim, which is unpacked
# beside them because Debian lets no two mail systems be installed. Postfix comes without a
# configuration, so nobody starts it, and neither are the others started (RUNLEVEL).
tools:
	@missing=; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v valgrind >/dev/null || missing="$$missing valgrind"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v unbound >/dev/null || [ -x /usr/sbin/unbound ] || missing="$$missing unbound"; \
	command -v rbldnsd >/dev/null || [ -x /usr/sbin/rbldnsd ] || missing="$$missing rbldnsd"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	command -v rspamadm >/dev/null || missing="$$missing rspamd"; \
	command -v spamassassin >/dev/null || missing="$$missing spamassassin"; \
	command -v spamc >/dev/null || missing="$$missing spamc"; \
	command -v spamd >/dev/null || [ -x /usr/sbin/spamd ] || missing="$$missing spamd"; \
	command -v perlcritic >/dev/null || missing="$$missing libperl-critic-perl"; \
	dpkg -s perl-doc >/dev/null 2>&1 || missing="$$missing perl-doc"; \
	command -v amavisd >/dev/null || [ -x /usr/sbin/amavisd ] || missing="$$missing amavisd-new"; \
	command -v rspamc >/dev/null || missing="$$missing rspamd"; \
	[ -x /usr/sbin/postfix ] || missing="$$missing postfix"; \
	[ -x /usr/sbin/spamass-milter ] || missing="$$missing spamass-milter"; \
	[ -e /usr/lib/x86_64-linux-gnu/libspf2.so.2 ] || missing="$$missing libmariadb3 libidn12 libspf2-2 libpq5 libldap-2.5-0 libgnutls-dane0 libperl5.36"; \
	python3 -m ensurepip --version >/dev/null 2>&1 || missing="$$missing python3-venv"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	[ -e /usr/include/openssl/ssl.h ] || missing="$$missing libssl-dev pkg-config"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && \
			echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections && \
			RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
		else echo "install these packages first: $$missing"; exit 1; fi; \
	fi
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	@rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
	@id Debian-exim >/dev/null 2>&1 || useradd --system --user-group --no-create-home --shell /usr/sbin/nologin Debian-exim
	@[ -x target/programs/exim/usr/sbin/exim4 ] || { mkdir -p target/programs && cd target/programs && \
		apt-get download -qq exim4-daemon-heavy && dpkg -x exim4-daemon-heavy_*.deb exim && rm exim4-daemon-heavy_*.deb; }
	@for one in python:requirements deploy:requirements-deploy openapi:requirements-openapi; do \
		folder=target/clients/$${one%:*}; list=tests/clients/python/$${one#*:}.txt; \
		[ $$folder/done -nt $$list ] || { python3 -m venv $$folder && \
			$$folder/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $$list && \
			touch $$folder/done; } || exit 1; \
	done
	@cargo build --quiet --manifest-path tests/clients/rust/Cargo.toml --locked --features blocking --bin blocking
	@cargo build --quiet --manifest-path tests/clients/rust/Cargo.toml --locked --features pooled --bin pooled
	@cd tests/clients/npm && [ node_modules/.package-lock.json -nt package-lock.json ] || \
		npm ci --ignore-scripts --omit=optional --no-audit --no-fund

# Ten minutes of each fuzz target; cargo-fuzz takes flags that only a nightly compiler knows.
SECONDS := 600
TARGETS =
fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $(or $(TARGETS),$$(cargo fuzz list --fuzz-dir fuzz)); do \
		seeds=; for folder in fuzz/seeds/$$target tests/messages/spam tests/messages/ham tests/messages/broken; do \
			case $$target/$$folder in message/*|calendar/*|scan/*|*/fuzz/*) ;; *) continue ;; esac; \
			if [ -d $$folder ]; then seeds="$$seeds $$folder"; fi; done; \
		mkdir -p fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target $$seeds -- -max_total_time=$(SECONDS) -timeout=20 || exit 1; \
	done
