#!/bin/sh
# In a machine with ALSA's sequencer and its virtual MIDI card (snd-virmidi): a controller is heard and lit through
# midir, taken away, and found again. Run in a folder with the lacquer command and the repository's configs.
set -eu

port=9777
card=$(sed -n 's/^ *\([0-9]*\) \[VirMIDI.*/\1/p' /proc/asound/cards)
[ -n "$card" ] || { echo "no VirMIDI card" >&2; exit 1; }
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

cat >"$work/chain.yaml" <<EOF
nodes:
  - eq: {id: tone, bands: [{freq: 100 Hz}]}
  - compressor: {id: glue}
EOF
cat >"$work/box.yaml" <<EOF
name: box
device: "*VirMIDI $card-0*"
controls:
  - {cc: 0, to: /node/tone/band/1/gain}
  - {cc: 32, as: toggle, light: true, to: /node/tone/enabled}
EOF
cat >"$work/station.yaml" <<EOF
name: Lab
audio: {backend: none, none: {block: 4800}}
chains: [chain.yaml]
control: {osc: {listen: "127.0.0.1:$port"}, midi: [box.yaml]}
EOF
XDG_STATE_HOME=$work ./lacquer run "$work/station.yaml" 2>"$work/log" &

ctl() { ./lacquer ctl --to "127.0.0.1:$port" "$@"; }
wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
    limit=$(($(date +%s) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$limit" ] || { echo "in vain: $what" >&2; cat "$work/log" >&2; exit 1; }
        sleep 0.1
    done
    echo "ok: $what"
}
logged() { [ "$(grep -c "$1" "$work/log")" -ge "$2" ]; }
at() { ctl get "$1" | grep -qx -- "$1 $2"; }
# The kernel leaves a status out that is the same as before.
shown() { grep -q "$1" "$work/shown"; }

plays() { # what the controller does and shows, each time that it is there
    amidi -d -p "hw:$card,0" >"$work/shown" &
    dump=$!
    for value in 00 10 20 30 40 50 60 70 7F; do amidi -p "hw:$card,0" -S "B0 00 $value"; done
    wait_for 10 "the fader at its top" at /norm/tone/band/1/gain 1
    for value in 70 60 50 40 30 20 10 00; do amidi -p "hw:$card,0" -S "B0 00 $value"; done
    wait_for 10 "the fader at its bottom" at /norm/tone/band/1/gain 0
    ctl set /node/tone/enabled false >/dev/null
    wait_for 10 "the light goes out" shown 2000
    amidi -p "hw:$card,0" -S "B0 20 7F B0 20 00"
    wait_for 10 "the button" at /node/tone/enabled true
    wait_for 10 "the light is on" shown 207F
    kill $dump
}

wait_for 20 "the controller is found" logged "with the map box" 1
plays
echo snd_virmidi.0 >/sys/bus/platform/drivers/snd_virmidi/unbind
wait_for 20 "it is missed" logged "disconnected; retrying" 1
echo snd_virmidi.0 >/sys/bus/platform/drivers/snd_virmidi/bind
wait_for 20 "it is found again" logged "with the map box" 2
card=$(sed -n 's/^ *\([0-9]*\) \[VirMIDI.*/\1/p' /proc/asound/cards)
plays
echo "all well"
