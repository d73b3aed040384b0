# Build, test, install and package Lacquer. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
# The folder of the built command, for `make install`.
BUILT ?= target/release
# zsh's folder for completions, below share/zsh.
ZSH ?= site-functions
# The Debian package: its folder, version and maintainer (from DEBFULLNAME and DEBEMAIL).
DEB ?= target/debian/
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)-1
MAINTAINER ?= $(or $(DEBFULLNAME),The Lacquer developers) <$(or $(DEBEMAIL),lacquer@localhost)>
# Incremental builds inline less: instruction counts, tests and CI use one build that does not depend on what was built before.
export CARGO_INCREMENTAL := 0
# Whether systemd can wait for the end of a reload: 253 and later.
NOTIFY_RELOAD ?= $(shell systemctl --version 2>/dev/null | awk 'NR == 1 {print ($$2 >= 253) ? "yes" : "no"}')

BUILD_PACKAGES = pkg-config libjack-jackd2-dev libasound2-dev
TEST_PACKAGES = $(BUILD_PACKAGES) jackd2 liblo-tools flac ffmpeg sox python3-venv node:nodejs npm:npm \
	systemd man:man-db dbus rtkit polkitd pipewire pipewire-alsa pipewire-bin pipewire-jack wireplumber \
	pulseaudio:pipewire-pulse chromium:chromium valgrind
NODES = graph/src/nodes/*.rs
TO = $(DESTDIR)$(PREFIX)
DROP_INS = $(TO)/lib/systemd/system/lacquer@.service.d $(TO)/lib/systemd/user/lacquer@.service.d

.DEFAULT_GOAL := build
.PHONY: help setup setup-test build demo test test-box test-lab test-fresh target/lab bench bench-counts golden golden-audio doc deny deb \
	install uninstall clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what the build needs (Debian, Ubuntu)
	@tests/setup $(BUILD_PACKAGES)

setup-test: ## install what the build and the tests need
	@tests/setup $(TEST_PACKAGES)
	@tests/clients/setup

build: setup ## build target/release/lacquer
	$(CARGO) build --release --package lacquer

demo: build ## play a synthetic programme through the streaming chain; no sound card needed
	@exec target/release/lacquer run configs/demo.yaml --report 5

test: setup-test ## run everything that CI runs
	$(CARGO) fmt --all --check
	rustfmt --check --edition 2024 $(NODES)
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) build --workspace
	CARGO="$(CARGO)" tests/run
	@$(MAKE) --no-print-directory bench-counts

# Two Debian packages of the development build, the second with a higher version, and the scripts that test them.
target/lab: setup
	$(CARGO) build --workspace
	install -D -t target/lab target/debug/lacquer tests/lab/*.sh
	for number in 1 2; do $(MAKE) --no-print-directory --silent deb BUILT=target/debug \
		VERSION=0.0.0~lab$$number DEB=target/lab/lacquer_$$number.deb DEB_FLAGS=--fast || exit; done

test-box: target/lab ## test the unit and the Debian package with systemd in a container (root)
	LAB_BOOT=boot.sh tests/lab/box target/lab sh package.sh

test-lab: test-box ## the same, and in a virtual machine: boot, clock changes, MIDI on ALSA, sound cards (root; needs QEMU)
	tests/lab/vm target/lab sh midi.sh
	tests/lab/vm target/lab sh cpal.sh
	LAB_BOOT=boot.sh tests/lab/vm target/lab sh unit.sh

test-fresh: ## build, play and test the last commit in a new Debian with only Rust and make (root; half an hour)
	tests/lab/fresh

bench: setup ## measure each node type, a chain, a swap, and a running station with jackd
	@tests/setup jackd2
	$(CARGO) bench --package lacquer-graph --package lacquer --benches
	$(CARGO) build --release --package lacquer
	$(CARGO) bench --package lacquer-tests --benches

# Uses the development build, which the tests have made already.
bench-counts: setup-test ## count instructions; fails at 3 % more than approved; APPROVE=1 writes graph/benches/counts.txt
	$(if $(APPROVE),LACQUER_APPROVE=1 )$(CARGO) bench --profile dev --workspace --bench counts

golden: setup-test ## rewrite the approved texts and schemas; review the diff
	$(CARGO) build --workspace
	LACQUER_APPROVE=1 $(CARGO) test --package lacquer-tests --test configs --test graph --test house --test sessions --test touchosc

golden-audio: setup-test ## rewrite the approved audio in tests/golden/audio; review the diff
	LACQUER_APPROVE=1 $(CARGO) test --package lacquer-tests --test golden

doc: setup ## build the documentation of the code
	$(CARGO) doc --workspace --no-deps

deny: ## check licences, advisories and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install cargo-deny"; exit 1; }
	$(CARGO) deny check

# Builds if there is no build yet, but never under sudo: the files that cargo writes would belong to root.
target/release/lacquer:
	@test -z "$$SUDO_USER" || { echo "run make first, without sudo" >&2; exit 1; }
	@$(MAKE) build

install: $(BUILT)/lacquer ## install the build under PREFIX (and DESTDIR)
	install -Dm755 $(BUILT)/lacquer $(TO)/bin/lacquer
	install -d $(addprefix $(TO)/share/lacquer/configs/,chains impulses midi touchosc)
	install -m644 configs/*.yaml configs/*.json $(TO)/share/lacquer/configs
	install -m644 configs/chains/*.yaml $(TO)/share/lacquer/configs/chains
	install -m644 configs/impulses/* $(TO)/share/lacquer/configs/impulses
	install -m644 configs/midi/*.yaml $(TO)/share/lacquer/configs/midi
	install -m644 configs/touchosc/*.tosc $(TO)/share/lacquer/configs/touchosc
	install -d $(TO)/lib/systemd/system $(TO)/lib/systemd/user
	sed 's|/usr/local|$(PREFIX)|g' systemd/lacquer@.service >$(TO)/lib/systemd/system/lacquer@.service
	sed 's|/usr/local|$(PREFIX)|g' systemd/user/lacquer@.service >$(TO)/lib/systemd/user/lacquer@.service
	sed 's|/usr/local|$(PREFIX)|g' systemd/notify-reload.conf >$(TO)/share/lacquer/notify-reload.conf
	chmod 644 $(TO)/lib/systemd/*/lacquer@.service $(TO)/share/lacquer/notify-reload.conf
	for at in $(DROP_INS); do rm -f $$at/notify-reload.conf; test "$(NOTIFY_RELOAD)" = yes || continue; \
		mkdir -p $$at && ln -s -t $$at ../../../../share/lacquer/notify-reload.conf; done
	install -Dm644 systemd/lacquer.sysusers $(TO)/lib/sysusers.d/lacquer.conf
	install -Dm644 systemd/lacquer.tmpfiles $(TO)/lib/tmpfiles.d/lacquer.conf
	$(BUILT)/lacquer generate target/generated
	install -Dm644 -t $(TO)/share/man/man1 target/generated/man1/*.1
	install -Dm644 -t $(TO)/share/man/man5 target/generated/man5/*.5
	install -Dm644 target/generated/completions/lacquer.bash $(TO)/share/bash-completion/completions/lacquer
	install -Dm644 -t $(TO)/share/zsh/$(ZSH) target/generated/completions/_lacquer
	install -Dm644 -t $(TO)/share/fish/vendor_completions.d target/generated/completions/lacquer.fish
	install -Dm644 -t $(TO)/share/doc/lacquer README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then printf '%s\n' "" \
		"to start stations at boot, now run:" "  systemd-sysusers $(PREFIX)/lib/sysusers.d/lacquer.conf" \
		"  systemd-tmpfiles --create $(PREFIX)/lib/tmpfiles.d/lacquer.conf" "  systemctl daemon-reload"; fi

uninstall: ## remove what `make install` installed; stations in /etc/lacquer are not deleted
	rm -f $(TO)/bin/lacquer $(TO)/lib/systemd/*/lacquer@.service $(TO)/lib/sysusers.d/lacquer.conf $(TO)/lib/tmpfiles.d/lacquer.conf
	rm -f $(TO)/share/man/man1/lacquer*.1 $(TO)/share/man/man5/lacquer-*.5 $(TO)/share/bash-completion/completions/lacquer
	rm -f $(TO)/share/zsh/site-functions/_lacquer $(TO)/share/fish/vendor_completions.d/lacquer.fish
	rm -f $(addsuffix /notify-reload.conf,$(DROP_INS))
	rm -rf $(TO)/share/lacquer $(TO)/share/doc/lacquer

deb: $(if $(filter target/release,$(BUILT)),build) ## make a Debian package in target/debian; BUILT=target/debug for a quick one
	@tests/setup dpkg-dev xz-utils
	@command -v cargo-deb >/dev/null || { echo "installing cargo-deb, which makes the package, by cargo"; \
		$(CARGO) install --quiet --locked --debug --no-default-features cargo-deb; }
	rm -rf target/deb
	$(MAKE) --no-print-directory install DESTDIR=target/deb/tree PREFIX=/usr NOTIFY_RELOAD=no ZSH=vendor-completions
	strip --strip-unneeded --remove-section=.comment target/deb/tree/usr/bin/lacquer
	rm target/deb/tree/usr/share/doc/lacquer/LICENSE-*
	printf 'lacquer (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
		"$(VERSION)" "$(MAINTAINER)" "$$(date -R -r CHANGELOG.md)" >target/deb/changelog
	$(CARGO) deb --quiet --package lacquer --no-build --no-strip --compress-system --deb-version "$(VERSION)" \
		--maintainer "$(MAINTAINER)" --output $(DEB) $(DEB_FLAGS)

clean: ## remove the build
	$(CARGO) clean
