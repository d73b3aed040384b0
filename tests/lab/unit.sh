#!/bin/sh
# As a service of a booted systemd: the station that was enabled plays, is reloaded, hangs, is started again and goes on.
set -eu
. ./words.sh

anew() { now=$(pid); [ "$now" != "$old" ] && [ "$now" != 0 ] && ctl status; }
noted() { journalctl -u lacquer@studio -o json --no-pager | grep "\"MESSAGE\":\"$1" | grep -q "$2"; }
step() { date -s "@$(($(date +%s) + $1))"; }

wait_for 60 "the station that was enabled plays after the boot" systemctl is-active lacquer@studio
wait_for 10 "its status says what is on air" says 'on air: first"'
systemd-analyze verify --man=no --recursive-errors=no lacquer@studio.service
systemd-analyze security --threshold=18 --no-pager lacquer@studio.service | tail -1
ctl set /node/level/gain '-4 dB'
ctl swap second
wait_for 10 "another chain" says 'on air: second"'
wait_for 10 "the journal has fields to search by" noted "second is on air" '"CHAIN":"second"'
wait_for 10 "and the station in each line" noted "second is on air" '"STATION":"Lab"'
ctl bypass true
sleep 1

type=notify
[ "$(systemctl --version | awk 'NR == 1 {print int($2)}')" -lt 253 ] || type=notify-reload
[ "$(systemctl show -p Type --value lacquer@studio)" = $type ] || fail "not of type $type"
watch_it
systemctl reload lacquer@studio
wait_for 10 "a reload says what came of it" says "on air: second; files read again"
echo 'nodes: [{gain: {gian: 1}}]' >/etc/lacquer/chains/second.yaml
if systemctl reload lacquer@studio; then fail "a bad reload was not told"; fi
goes_on "a reload with a mistake fails, and what is on air plays on"
kill -HUP "$playing"
wait_for 10 "so does a signal, and the status says why" says "on air: second; reload failed, running chain unchanged"
echo 'nodes: [{gain: {id: level, gain: -6 dB}}]' >/etc/lacquer/chains/second.yaml

# A disk that hangs: a file system in user space that nobody serves.
[ -c /dev/fuse ] || mknod /dev/fuse c 10 229
if (exec 9<>/dev/fuse) 2>/dev/null; then
    exec 9<>/dev/fuse
    mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other hanging /etc/lacquer/chains
    kill -HUP "$playing"
    goes_on "a disk that hangs stops neither the programme nor the watchdog"
    wait_for 30 "and the status says what waited for it" says "on air: second; reload failed, running chain unchanged: reading"
    umount -l /etc/lacquer/chains
    exec 9>&-
    systemctl reload lacquer@studio
    goes_on "once it answers again, files are read from it"
else
    echo "not tested: a disk that hangs, for there is no FUSE here"
fi

if ! systemd-detect-virt --quiet --container; then
    # That it started shows that it may open the card; that it may not open this is the unit's doing.
    [ "$(stat -c %a /dev/ttyS1)" = 666 ]
    journalctl -u lacquer@studio --no-pager | grep -q "/dev/ttyS1: Operation not permitted" || fail "no device is refused"
    echo "ok: of the devices it may open ALSA's"
    # The clock of this machine is its own.
    step 3600
    goes_on "the clock is set an hour forward, and it plays on"
    step -3600
    goes_on "the clock is set an hour back, and it plays on"
fi

kill -STOP "$playing"
sleep 1
kill -CONT "$playing"
wait_for 10 "what it missed is in the journal, with a number" noted ".* xruns since the start" '"XRUNS":"[1-9]'
old=$playing
kill -STOP "$old"
wait_for 60 "the watchdog ends what hangs, and it is started again" anew
wait_for 20 "what was on air is on air again" is get /swap "/swap second"
ctl bypass | grep -q "/bypass true"
ctl bypass false
# A node that never comes back, as development builds have one: the process takes its own place, and systemd sees no end.
ctl swap trap
wait_for 10 "a chain with a trap" says 'on air: trap"'
watch_it
ctl set /node/trap/what loop
wait_for 30 "a node that hangs is out" is get /node/trap/enabled "/node/trap/enabled false"
goes_on "and the same process plays on"
ctl swap second
wait_for 10 "another chain" says 'on air: second"'
if systemctl start lacquer@bad; then fail "a bad station was started"; fi
# Else it would be auto-restart, until it is started again.
[ "$(systemctl show -p ExecMainStatus,SubState,NRestarts --value lacquer@bad | tr '\n' ' ')" = "0 78 failed " ] ||
    fail "$(systemctl show lacquer@bad | grep -E '^(ExecMainStatus|SubState|NRestarts)=')"
echo "ok: a bad station is not started again and again"
[ -n "$(find /var/log/lacquer -name '*.audit.log' -user lacquer)" ] || fail "no audit log in the folder for logs"
systemctl stop lacquer@studio
[ "$(systemctl show -p Result --value lacquer@studio)" = success ]
echo "ok: it ends"
