# What the scripts of the lab share: waiting for what must happen, and looking at the station.

wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
    limit=$(($(uptime_s) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(uptime_s)" -lt "$limit" ] || fail "in vain: $what"
        sleep 0.2
    done
    echo "ok: $what"
}
# The clock on the wall is set in here.
uptime_s() { cut -d. -f1 /proc/uptime; }
fail() {
    echo "$*"
    systemctl status lacquer@studio --no-pager || true
    journalctl -u 'lacquer@*' --no-pager | tail -40
    exit 1
}
ctl() { lacquer ctl "$@"; }
pid() { systemctl show -p MainPID --value lacquer@studio; }
says() { systemctl status lacquer@studio --no-pager | grep -q "Status: \"$1"; }
is() { [ "$(ctl "$1" "$2" | tail -1)" = "$3" ]; }
callbacks() { ctl status | awk '$1 == "/status/load_histogram" {for (i = 2; i <= NF; i++) sum += $i; print sum}'; }
has_played() { [ "$(callbacks)" -gt "$1" ]; }
# The same process goes on: its callback runs for longer than the watchdog would wait.
goes_on() { # WHAT
    wait_for 60 "$1" has_played $(($(callbacks) + 70))
    [ "$(pid)" = "$playing" ] || fail "it was started again"
    [ "$(systemctl show -p NRestarts --value lacquer@studio)" = "$restarts" ] || fail "it was started again"
}
watch_it() { playing=$(pid); restarts=$(systemctl show -p NRestarts --value lacquer@studio); }
