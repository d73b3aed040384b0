#!/bin/sh
# As a service of a booted systemd: the station that was enabled plays, is reloaded, hangs, is started again and goes on.
set -eu

wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
    limit=$(($(date +%s) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$limit" ] || { echo "in vain: $what"; journalctl -u 'lacquer@*' --no-pager | tail -40; exit 1; }
        sleep 0.2
    done
    echo "ok: $what"
}
ctl() { lacquer ctl "$@"; }
pid() { systemctl show -p MainPID --value lacquer@studio; }
says() { systemctl status lacquer@studio --no-pager | grep -q "Status: \"$1\""; }
is() { [ "$(ctl "$1" "$2" | tail -1)" = "$3" ]; }
anew() { now=$(pid); [ "$now" != "$old" ] && [ "$now" != 0 ] && ctl status; }

wait_for 60 "the station that was enabled plays after the boot" systemctl is-active lacquer@studio
wait_for 10 "its status says what is on air" says "on air: first"
ctl set /node/level/gain '-4 dB'
ctl swap second
wait_for 10 "another chain" says "on air: second"
ctl bypass true
sleep 1
systemctl reload lacquer@studio
echo 'nodes: [{gain: {gian: 1}}]' >/etc/lacquer/chains/second.yaml
if systemctl reload lacquer@studio; then echo "a bad reload was not told"; exit 1; fi
echo "ok: a reload with a mistake fails, and what is on air plays on"
echo 'nodes: [{gain: {id: level, gain: -6 dB}}]' >/etc/lacquer/chains/second.yaml
old=$(pid)
kill -STOP "$old"
wait_for 60 "the watchdog ends what hangs, and it is started again" anew
wait_for 20 "what was on air is on air again" is get /swap "/swap second"
ctl bypass | grep -q "/bypass true"
if systemctl start lacquer@bad; then echo "a bad station was started"; exit 1; fi
sleep 4
[ "$(systemctl show -p ExecMainStatus --value lacquer@bad)" = 78 ]
[ "$(systemctl show -p NRestarts --value lacquer@bad)" = 0 ]
echo "ok: a bad station is not started again and again"
systemctl stop lacquer@studio
[ "$(systemctl show -p Result --value lacquer@studio)" = success ]
echo "all well"
