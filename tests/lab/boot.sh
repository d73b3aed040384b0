#!/bin/sh
# Before systemd boots, or in it: the package is installed, with a station on the null backend that is enabled.
set -eu
dpkg --install lacquer_1.deb
mkdir -p /etc/lacquer/chains '/etc/systemd/system/lacquer@.service.d'
# Small chains: the virtual machine is emulated.
echo 'nodes: [{gain: {id: level, gain: -3 dB}}]' >/etc/lacquer/chains/first.yaml
echo 'nodes: [{gain: {id: level, gain: -6 dB}}]' >/etc/lacquer/chains/second.yaml
cat >/etc/lacquer/studio.yaml <<EOT
name: Lab
audio: {backend: null, null: {block: 4800}}
chains: [chains/first.yaml, chains/second.yaml]
start: last
control: {osc: {listen: "127.0.0.1:9000"}}
EOT
echo 'audio: {backend: nul}' >/etc/lacquer/bad.yaml
printf '[Service]\nWatchdogSec=5\n' >'/etc/systemd/system/lacquer@.service.d/lab.conf'
systemctl enable lacquer@studio
