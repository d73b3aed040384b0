# Lacquer: everything that is done with it. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo

BUILD_PACKAGES = pkg-config libjack-jackd2-dev libasound2-dev
TEST_PACKAGES = $(BUILD_PACKAGES) jackd2 liblo-tools flac ffmpeg sox python3-venv node:nodejs npm:npm \
	dbus rtkit polkitd pipewire pipewire-alsa pipewire-bin pipewire-jack wireplumber
NODES = graph/src/nodes/*.rs

.DEFAULT_GOAL := build
.PHONY: help setup setup-test build demo test test-lab bench golden doc deny install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what the build needs (Debian, Ubuntu)
	@tests/setup $(BUILD_PACKAGES)

setup-test: ## install what the tests need as well
	@tests/setup $(TEST_PACKAGES)
	@tests/clients/setup

build: setup ## build the command: target/release/lacquer
	$(CARGO) build --release --package lacquer

demo: build ## play a made programme through the streaming chain: no sound card needed
	@exec target/release/lacquer run configs/demo.yaml --report 5

test: setup-test ## everything that CI checks
	$(CARGO) fmt --all --check
	rustfmt --check --edition 2024 $(NODES)
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) build --workspace
	$(CARGO) test --workspace

test-lab: setup ## what needs a machine of its own: systemd's boot, MIDI on a real ALSA sequencer (root; boots QEMU)
	$(CARGO) build --package lacquer
	install -D -t target/lab target/debug/lacquer tests/lab/*.sh systemd/lacquer@.service
	tests/lab/vm target/lab sh midi.sh
	tests/lab/vm target/lab sh cpal.sh
	LAB_BOOT=boot.sh tests/lab/vm target/lab sh unit.sh

bench: setup ## measure: each node type, a chain, a swap
	$(CARGO) bench --package lacquer-graph

golden: setup-test ## rewrite the approved texts and schemas; look at the diff
	$(CARGO) build --workspace
	LACQUER_APPROVE=1 $(CARGO) test --package lacquer-tests --test configs --test graph --test touchosc

doc: setup ## the documentation of the code
	$(CARGO) doc --workspace --no-deps

deny: ## licences, advisories and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install cargo-deny"; exit 1; }
	$(CARGO) deny check

# Only where nothing was built yet, and never under sudo: what cargo writes would be root's.
target/release/lacquer:
	@test -z "$$SUDO_USER" || { echo "run make first, without sudo" >&2; exit 1; }
	@$(MAKE) build

install: target/release/lacquer ## install what was built under PREFIX (and DESTDIR)
	install -Dm755 target/release/lacquer $(DESTDIR)$(PREFIX)/bin/lacquer
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/lacquer/configs/,chains midi touchosc)
	install -m644 configs/*.yaml configs/*.json $(DESTDIR)$(PREFIX)/share/lacquer/configs
	install -m644 configs/chains/*.yaml $(DESTDIR)$(PREFIX)/share/lacquer/configs/chains
	install -m644 configs/midi/*.yaml $(DESTDIR)$(PREFIX)/share/lacquer/configs/midi
	install -m644 configs/touchosc/*.tosc $(DESTDIR)$(PREFIX)/share/lacquer/configs/touchosc
	sed 's|/usr/local|$(PREFIX)|' systemd/lacquer@.service | \
		install -m644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/lacquer@.service
	sed 's|/usr/local|$(PREFIX)|' systemd/user/lacquer@.service | \
		install -Dm644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/user/lacquer@.service
	target/release/lacquer generate target/generated
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man1 target/generated/man1/*.1
	install -Dm644 target/generated/completions/lacquer.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lacquer
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions target/generated/completions/_lacquer
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d target/generated/completions/lacquer.fish
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/lacquer README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE

uninstall: ## take it away again; stations in /etc/lacquer stay
	rm -f $(DESTDIR)$(PREFIX)/bin/lacquer $(DESTDIR)$(PREFIX)/lib/systemd/*/lacquer@.service
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/lacquer*.1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lacquer
	rm -f $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lacquer $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lacquer.fish
	rm -rf $(DESTDIR)$(PREFIX)/share/lacquer $(DESTDIR)$(PREFIX)/share/doc/lacquer

clean: ## remove what was built
	$(CARGO) clean
