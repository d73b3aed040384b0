#!/bin/sh
# Before systemd boots, or in it: the package is installed, with a station on the null backend that is enabled.
set -eu
dpkg --install lacquer_1.deb
mkdir -p /etc/lacquer/chains '/etc/systemd/system/lacquer@.service.d'
# Small chains: the virtual machine is emulated.
echo 'nodes: [{gain: {id: level, gain: -3 dB}}]' >/etc/lacquer/chains/first.yaml
echo 'nodes: [{gain: {id: level, gain: -6 dB}}]' >/etc/lacquer/chains/second.yaml
echo 'nodes: [{fault: {id: trap}}, {gain: {id: level}}]' >/etc/lacquer/chains/trap.yaml
cat >/etc/lacquer/studio.yaml <<EOT
name: Lab
audio: {backend: none, none: {block: 4800}}
chains: [chains/first.yaml, chains/second.yaml, chains/trap.yaml]
start: last
control: {osc: {listen: "127.0.0.1:9000"}}
EOT
echo 'audio: {backend: nul}' >/etc/lacquer/bad.yaml
printf '[Service]\nWatchdogSec=5\n' >'/etc/systemd/system/lacquer@.service.d/lab.conf'
card=/dev/snd/controlC0
if [ -e $card ]; then
    # The card as udev leaves it, and a device that all may write. The unit may open the one, and not the other.
    chgrp audio $card && chmod 660 $card
    chmod 666 /dev/ttyS1
    echo "ExecStartPre=/bin/sh -c ': <>$card; if (: >/dev/ttyS1); then exit 1; fi'" \
        >>'/etc/systemd/system/lacquer@.service.d/lab.conf'
fi
systemctl enable lacquer@studio
