#!/bin/sh
# Real music: every file of Debian's wesnoth-1.16-music (Ogg Vorbis of many encoders) is read, to the frame as libvorbis
# reads it (ogginfo's length is that of the granule positions; ffmpeg before 7.1 leaves in what is trimmed at the start).
# Some 150 MB are fetched into FOLDER, once. Wants the command:
#   cargo build --release -p lacquer && tests/lab/music.sh target/release/lacquer [FOLDER]
set -eu
here=$(dirname "$(realpath "$0")")
"$here/../setup" ffmpeg vorbis-tools
lacquer=$(realpath "${1:?which lacquer}")
folder=${2:-${TMPDIR:-/tmp}/lacquer-music}
mkdir -p "$folder"
cd "$folder"
ls wesnoth-1.16-music_*.deb >/dev/null 2>&1 || apt-get download wesnoth-1.16-music
[ -d music ] || dpkg-deb -x wesnoth-1.16-music_*.deb music
failed=0 count=0
for file in $(find music -name '*.ogg' | sort); do
    count=$((count + 1))
    if ! found=$("$lacquer" meter --json --strict "$file" 2>said); then
        echo "refused: $(cat said)"
        failed=$((failed + 1))
        continue
    fi
    ours=$(echo "$found" | awk '/"rate":/ {rate = $2 + 0} /"seconds":/ {seconds = $2 + 0} END {printf "%.0f", rate * seconds}')
    channels=$(ffprobe -v error -show_entries stream=channels -of csv=p=0 "$file")
    theirs=$(($(oggdec -Q -R -o - "$file" | wc -c) / 2 / channels))
    ffmpeg=$(($(ffmpeg -nostdin -v error -i "$file" -f s16le -ac 1 - | wc -c) / 2))
    line="$(basename "$file"): $ours frames, oggdec $theirs, ffmpeg $ffmpeg"
    if [ "$ours" = "$theirs" ]; then echo "ok: $line"; else echo "differs: $line"; failed=$((failed + 1)); fi
done
echo "$count files, $failed of them not read to the frame"
[ "$count" -gt 0 ] && [ "$failed" = 0 ]
