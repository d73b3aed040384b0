#!/bin/sh
# Before systemd boots: the unit is installed as the README says, for a station on the null backend, and enabled.
set -eu
useradd --system --user-group --groups audio --home-dir /var/lib/lacquer --shell /usr/sbin/nologin lacquer
install -Dm755 lacquer /usr/local/bin/lacquer
install -Dm644 -t /etc/systemd/system 'lacquer@.service'
mkdir -p /etc/lacquer/chains '/etc/systemd/system/lacquer@.service.d'
# Small chains: the machine is emulated.
echo 'nodes: [{gain: {id: level, gain: -3 dB}}]' >/etc/lacquer/chains/first.yaml
echo 'nodes: [{gain: {id: level, gain: -6 dB}}]' >/etc/lacquer/chains/second.yaml
cat >/etc/lacquer/studio.yaml <<EOF
name: Lab
audio: {backend: null, null: {block: 4800}}
chains: [chains/first.yaml, chains/second.yaml]
start: last
control: {osc: {listen: "127.0.0.1:9000"}}
EOF
echo 'audio: {backend: nul}' >/etc/lacquer/bad.yaml
printf '[Service]\nWatchdogSec=5\n' >'/etc/systemd/system/lacquer@.service.d/lab.conf'
systemctl enable lacquer@studio
