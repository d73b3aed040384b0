#!/bin/sh
# The unit for users, under a service manager of a user's own, as logind starts one for whoever lingers.
set -eu
. ./words.sh

useradd --create-home engineer
run=/run/user/$(id -u engineer)
install -d -o engineer -m 700 "$run"
as_user() { runuser -u engineer -- env "XDG_RUNTIME_DIR=$run" "$@"; }
config=/home/engineer/.config/lacquer
as_user mkdir -p "$config"
echo 'nodes: [{gain: {id: level, gain: -3 dB}}]' >"$config/first.yaml"
cat >"$config/booth.yaml" <<EOT
name: Booth
audio: {backend: none, none: {block: 4800}}
chains: [first.yaml]
control: {osc: {listen: "127.0.0.1:9001"}}
EOT
echo 'audio: {backend: nul}' >"$config/bad.yaml"
systemd-run --quiet --unit=engineer --uid=engineer --property=Delegate=yes --setenv="XDG_RUNTIME_DIR=$run" \
    /lib/systemd/systemd --user
user() { as_user systemctl --user "$@"; }
wait_for 20 "the user's service manager answers" user is-active default.target
as_user systemd-analyze --user verify --man=no --recursive-errors=no lacquer@booth.service
user enable --now lacquer@booth || { user status lacquer@booth --no-pager; exit 1; }
booth() { user status lacquer@booth --no-pager | grep -q "Status: \"$1"; }
wait_for 20 "a user's station plays" booth "on air: first"
user reload lacquer@booth
wait_for 10 "it is reloaded" booth "on air: first; files read again"
if user start lacquer@bad; then fail "a bad station was started"; fi
[ "$(user show -p ExecMainStatus --value lacquer@bad)" = 78 ] || fail "a bad station did not end with 78"
user disable --now lacquer@booth
[ "$(user show -p Result --value lacquer@booth)" = success ] || fail "the user's station did not end well"
systemctl stop engineer
userdel --remove engineer
echo "ok: a user's station"
