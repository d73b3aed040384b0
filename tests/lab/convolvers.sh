#!/bin/sh
# What 10 s of impulse cost here, in ffmpeg's afir and in jconvolver, on the same material: seconds of processor time for
# 30 s of audio at 48 kHz, less what it takes to start. Wants ffmpeg, jackd2 and jconvolver (Debian), and the daemon:
#   cargo build --release -p lacquer && tests/lab/convolvers.sh target/release/lacquer
set -eu
lacquer=$(realpath "${1:?which lacquer}")
cd "$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
noise() { ffmpeg -nostdin -v error -f lavfi -i "anoisesrc=r=48000:c=pink:a=0.02:s=$1:d=$2" -ac 1 -c:a pcm_f32le "$3"; }
for side in 1 2 3 4; do noise $side 10 $side.wav; done
join() { ffmpeg -nostdin -v error $1 -filter_complex "amerge=inputs=$2" -c:a pcm_f32le "$3"; }
join "-i 1.wav -i 4.wav" 2 stereo.wav
join "-i 1.wav -i 2.wav -i 3.wav -i 4.wav" 4 true-stereo.wav
noise 5 30 mono.wav
join "-i mono.wav -i mono.wav" 2 programme.wav

echo "offline, seconds for 30 s of programme"
timed() { name=$1; shift; /usr/bin/env bash -c 'TIMEFORMAT="%U s  '"$name"'"; time "$@" >/dev/null 2>&1' - "$@"; }
timed "ffmpeg that only reads" ffmpeg -nostdin -threads 1 -i programme.wav -f null -
for options in minp=64:maxp=8192:precision=double minp=64:maxp=8192:precision=float; do
    timed "afir, stereo, $options" ffmpeg -nostdin -threads 1 -filter_complex_threads 1 -i programme.wav \
        -i stereo.wav -filter_complex "[0:a][1:a]afir=gtype=none:$options" -f null -
done
printf '/convolver/new 2 2 64 480000\n' | tee jc-stereo.conf >jc-true-stereo.conf
for side in 1 2; do echo "/impulse/read $side $side 1 0 0 0 $side stereo.wav" >>jc-stereo.conf; done
printf '/impulse/read %s 1 0 0 0 %s true-stereo.wav\n' '1 1' 1 '1 2' 2 '2 1' 3 '2 2' 4 >>jc-true-stereo.conf
for kind in stereo true-stereo; do
    printf 'nodes: [{convolver: {impulse: %s.wav}}]\n' $kind >$kind.yaml
    timed "fconvolver (32 bits), $kind" fconvolver jc-$kind.conf programme.wav out.wav
    timed "lacquer (64 bits), $kind" "$lacquer" render --chain $kind.yaml programme.wav out-$kind.wav
done

echo "on jackd's dummy driver at 64 frames, processor time of 20 s in per cent of one core"
export JACK_NO_AUDIO_RESERVATION=1 JACK_DEFAULT_SERVER=convolvers-$$
jackd -d dummy -r 48000 -p 64 >jackd.log 2>&1 &
sleep 2
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
measure() {
    name=$1; shift
    "$@" >"$name.log" 2>&1 &
    pid=$!
    sleep 15
    before=$(ticks $pid)
    sleep 20
    echo "$(( ($(ticks $pid) - before) * 100 / ($(getconf CLK_TCK) * 2) ))e-1 %  $name"
    kill $pid
    wait $pid 2>/dev/null || true
}
for kind in stereo true-stereo; do
    printf 'name: convolvers\naudio: {backend: jack, inputs: {programme: 2}, outputs: {master: 2}}\nchains: [%s.yaml]\n' \
        $kind >station-$kind.yaml
    measure "lacquer, $kind" env STATE_DIRECTORY="$PWD" "$lacquer" run station-$kind.yaml
    measure "jconvolver, $kind" jconvolver -N jc jc-$kind.conf
done
