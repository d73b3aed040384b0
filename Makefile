# Lacquer: everything that is done with it. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
# Where the command that is installed was built.
BUILT ?= target/release
# Where zsh looks for completions, below share/zsh.
ZSH ?= site-functions
# Of the Debian package: where it goes, its version, and who answers for it (by DEBFULLNAME and DEBEMAIL).
DEB ?= target/debian/
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)-1
MAINTAINER ?= $(or $(DEBFULLNAME),The Lacquer developers) <$(or $(DEBEMAIL),lacquer@localhost)>
# Whether systemd can wait for the end of a reload: from 253 on.
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
	CARGO="$(CARGO)" tests/run
	@$(MAKE) --no-print-directory bench-counts

# Two packages of the development build, the second of a higher version, and the scripts that use them.
target/lab: setup
	$(CARGO) build --workspace
	install -D -t target/lab target/debug/lacquer tests/lab/*.sh
	for number in 1 2; do $(MAKE) --no-print-directory --silent deb BUILT=target/debug \
		VERSION=0.0.0~lab$$number DEB=target/lab/lacquer_$$number.deb DEB_FLAGS=--fast || exit; done

test-box: target/lab ## a systemd of its own, in a container: the unit, the Debian package (root)
	LAB_BOOT=boot.sh tests/lab/box target/lab sh package.sh

test-lab: test-box ## the same, and in a machine of its own: the boot, its clock, MIDI on a real ALSA sequencer (root; boots QEMU)
	tests/lab/vm target/lab sh midi.sh
	tests/lab/vm target/lab sh cpal.sh
	LAB_BOOT=boot.sh tests/lab/vm target/lab sh unit.sh

test-fresh: ## a bare Debian with nothing but Rust and make: what is committed sounds and is tested there (root; half an hour)
	tests/lab/fresh

bench: setup ## measure: each node type, a chain, a swap; the station live, beside jackd
	@tests/setup jackd2
	$(CARGO) bench --package lacquer-graph --package lacquer --benches
	$(CARGO) build --release --package lacquer
	$(CARGO) bench --package lacquer-tests --benches

# The development build, which the tests have built already.
bench-counts: setup-test ## count instructions; 3 % more than approved fails; APPROVE=1 renews graph/benches/counts.txt
	$(if $(APPROVE),LACQUER_APPROVE=1 )$(CARGO) bench --profile dev --workspace --bench counts

golden: setup-test ## rewrite the approved texts and schemas; look at the diff
	$(CARGO) build --workspace
	LACQUER_APPROVE=1 $(CARGO) test --package lacquer-tests --test configs --test graph --test house --test sessions --test touchosc

golden-audio: setup-test ## rewrite the approved sound in tests/golden/audio; look at the diff
	LACQUER_APPROVE=1 $(CARGO) test --package lacquer-tests --test golden

doc: setup ## the documentation of the code
	$(CARGO) doc --workspace --no-deps

deny: ## licences, advisories and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install cargo-deny"; exit 1; }
	$(CARGO) deny check

# Only where nothing was built yet, and never under sudo: what cargo writes would be root's.
target/release/lacquer:
	@test -z "$$SUDO_USER" || { echo "run make first, without sudo" >&2; exit 1; }
	@$(MAKE) build

install: $(BUILT)/lacquer ## install what was built under PREFIX (and DESTDIR)
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
		"for stations at boot, now run:" "  systemd-sysusers $(PREFIX)/lib/sysusers.d/lacquer.conf" \
		"  systemd-tmpfiles --create $(PREFIX)/lib/tmpfiles.d/lacquer.conf" "  systemctl daemon-reload"; fi

uninstall: ## take it away again; stations in /etc/lacquer stay
	rm -f $(TO)/bin/lacquer $(TO)/lib/systemd/*/lacquer@.service $(TO)/lib/sysusers.d/lacquer.conf $(TO)/lib/tmpfiles.d/lacquer.conf
	rm -f $(TO)/share/man/man1/lacquer*.1 $(TO)/share/man/man5/lacquer-*.5 $(TO)/share/bash-completion/completions/lacquer
	rm -f $(TO)/share/zsh/site-functions/_lacquer $(TO)/share/fish/vendor_completions.d/lacquer.fish
	rm -f $(addsuffix /notify-reload.conf,$(DROP_INS))
	rm -rf $(TO)/share/lacquer $(TO)/share/doc/lacquer

deb: $(if $(filter target/release,$(BUILT)),build) ## a Debian package in target/debian; BUILT=target/debug for a quick one
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

clean: ## remove what was built
	$(CARGO) clean
