#!/bin/sh
# In a machine with sound cards (snd-aloop, and a USB card of QEMU's): devices are listed, bits pass, formats are played, two cards
# with two clocks are joined, a card is unplugged and plugged again. Run in a folder with the lacquer command.
set -eu

port=9778
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
export XDG_STATE_HOME="$work"
echo 'nodes: [{gain: {id: level}}]' >"$work/chain.yaml"

ctl() { ./lacquer ctl --to "127.0.0.1:$port" "$@"; }
wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
    limit=$(($(date +%s) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$limit" ] || { echo "in vain: $what" >&2; cat "$work/log" >&2; ctl status >&2; exit 1; }
        sleep 0.1
    done
    echo "ok: $what"
}
plays() { # CPAL: a station with this section
    cat >"$work/station.yaml" <<EOF
name: Lab
audio: {backend: cpal, cpal: {$1, block: 4096}}
chains: [chain.yaml]
control: {osc: {listen: "127.0.0.1:$port"}}
EOF
    ./lacquer run "$work/station.yaml" 2>"$work/log" &
    station=$!
    wait_for 20 "on air: $1" grep -q "is on air" "$work/log"
}
ends() { kill "$station"; wait "$station" || true; }
says() { ctl status | grep -q "/status/$1"; }
logged() { [ "$(grep -c "$1" "$work/log")" -ge "$2" ]; }
same() { # the bits of some tenth of a second that went in came out
    perl -e 'local $/; open(F, "<", $_) && binmode(F) && push(@all, <F>) for @ARGV;
        for (1 .. 30) { exit 0 if index($all[1], substr($all[0], $_ * 38400, 19200)) >= 0 } exit 1' "$work/in.raw" "$work/out.raw"
}

./lacquer devices >"$work/devices"
for name in "^hw:CARD=Loopback,DEV=0  alsa" "^plughw:CARD=Loopback,DEV=0  alsa" "^hw:CARD=.*USB"; do
    grep -q "$name" "$work/devices" || { cat "$work/devices"; exit 1; }
done
echo "ok: the cards are listed"

head -c 1344000 /dev/urandom >"$work/in.raw"
plays 'device: "hw:CARD=Loopback,DEV=0", format: 16-bit'
says 'devices .*one clock'
arecord -q -D hw:Loopback,1,0 -t raw -f S16_LE -r 48000 -c 2 -d 12 "$work/out.raw" &
recorder=$!
aplay -q -D hw:Loopback,1,0 -t raw -f S16_LE -r 48000 -c 2 "$work/in.raw"
wait $recorder
same || { echo "the bits did not pass" >&2; ctl status; exit 1; }
echo "ok: the bits that went in came out"
ends
for format in 32-bit float 24-bit; do
    plays "device: \"hw:CARD=Loopback,DEV=0\", format: $format"
    says "devices .*, $format, .*, $format,"
    ends
done

plays 'input: "hw:CARD=Loopback,DEV=0", output: "*USB*"'
says 'devices .*two clocks'
wait_for 20 "two cards are joined" says "join running"
wait_for 20 "at nearly one rate" says "join_ratio \(1\.00\|0\.99[5-9]\|1$\)"
ctl set /node/level/gain '-7 dB' >/dev/null
card=$(dirname "$(find /sys/bus/usb/devices/*/ -maxdepth 1 -name product -exec grep -l -i audio {} +)")
echo 0 >"$card/authorized"
wait_for 20 "the card that was unplugged is missed" logged "session closed, retrying" 1
says 'audio waiting'
echo 1 >"$card/authorized"
wait_for 30 "it is found again" logged "is on air" 2
ctl get /node/level/gain | grep -q -- "-7"
says 'audio running'
ends
echo "all well"
