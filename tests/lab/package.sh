#!/bin/sh
# The Debian package in a booted systemd: installed, upgraded under a station that plays, removed, purged.
set -eu
. ./words.sh
export DEBIAN_FRONTEND=noninteractive

left() { find / -xdev \( -path /proc -o -path /sys -o -path /share -o -path /etc/systemd/system/lacquer@.service.d \) -prune \
    -o \( -name '*lacquer*' -o -lname '*lacquer*' \) -print | grep -v '/cgroup/' | sort; }

id lacquer
id -nG lacquer | grep -qw audio
sh unit.sh
sh user.sh

systemctl start lacquer@studio
wait_for 10 "it plays" has_played 10
watch_it
dpkg --install lacquer_2.deb | tee upgrade
grep -q "systemctl restart lacquer@studio.service" upgrade || fail "the upgrade did not say how to restart"
rm upgrade
goes_on "the upgrade leaves alone what plays"
[ "$(readlink "/proc/$playing/exe")" = "/usr/bin/lacquer (deleted)" ] || fail "it does not play with the version before"
systemctl restart lacquer@studio
wait_for 10 "after a restart the new version plays" has_played 10
[ "$(readlink "/proc/$(pid)/exe")" = /usr/bin/lacquer ] || fail "not the new version"

dpkg --remove lacquer
journalctl -u lacquer@studio --no-pager | tail -5 | grep -q "ending: fading out" || fail "it was not ended by fading out"
if systemctl is-active lacquer@studio; then fail "it plays without its package"; fi
if systemctl cat lacquer@studio 2>/dev/null; then fail "systemd still knows the unit"; fi
[ -d /var/lib/lacquer ] && [ -s /etc/lacquer/studio.yaml ] || fail "a removal takes away what stations kept"
echo "ok: a removal ends the stations and keeps what is theirs"
dpkg --purge lacquer | tee purge
grep -q "your stations in /etc/lacquer are not deleted" purge && grep -q "the user lacquer is not deleted" purge || fail "the purge does not say what is not deleted"
rm purge
[ "$(left)" = /etc/lacquer ] || fail "left after the purge: $(left)"
rm -r /etc/lacquer
dpkg --install lacquer_2.deb
dpkg --purge lacquer
[ -z "$(left)" ] || fail "left after the purge of a package that was not used: $(left)"
echo "ok: a purge leaves stations and the user, as it says, and nothing else"
echo "all well"
