//! Ogg Vorbis whose pages begin elsewhere than at 0: trimmed, cut out, recorded from a broadcast; and with pages missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use lacquer::media::{Accept, Depth, Source};

use super::{Folder, drain, ffmpeg, message, read, refusal, run, sines, write};

/// A page, as its bytes.
type Page = Vec<u8>;

fn pages(bytes: &[u8]) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let lacing = 27 + usize::from(rest[26]);
        let size = lacing + rest[27..lacing].iter().map(|value| usize::from(*value)).sum::<usize>();
        pages.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    pages
}

fn granule(page: &Page) -> i64 {
    i64::from_le_bytes(page[6..14].try_into().unwrap())
}

/// The checksum of a page, bit by bit.
fn seal(page: &mut Page) {
    page[22..26].fill(0);
    let mut sum = 0u32;
    for byte in page.iter() {
        sum ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
        }
    }
    page[22..26].copy_from_slice(&sum.to_le_bytes());
}

/// The pages with audio on them that many frames later.
fn later(pages: &[Page], frames: i64) -> Vec<Page> {
    let mut pages = pages.to_vec();
    for page in pages.iter_mut().filter(|page| granule(page) > 0) {
        let to = granule(page) + frames;
        page[6..14].copy_from_slice(&to.to_le_bytes());
        seal(page);
    }
    pages
}

fn save(path: &Path, pages: &[Page]) {
    fs::write(path, pages.concat()).unwrap();
}

/// What is read, of a file that is whole.
fn whole(path: &Path) -> Vec<Vec<f64>> {
    let mut source = Source::open_as(path, Accept::Whole).unwrap_or_else(|error| panic!("{error}"));
    let promised = source.frames();
    let audio = drain(&mut source).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(promised, Some(audio[0].len() as u64), "{}", path.display());
    assert!(source.warnings().is_empty());
    audio
}

fn from(audio: &[Vec<f64>], frame: usize) -> Vec<Vec<f64>> {
    audio.iter().map(|plane| plane[frame..].to_vec()).collect()
}

/// A stream of 200,001 frames on many pages.
fn stream(folder: &Folder) -> Vec<Page> {
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 200_001)).unwrap();
    let made = ["-i", "source.wav", "-c:a", "libvorbis", "-q:a", "4", "-page_duration", "200000", "a.ogg"];
    ffmpeg(&made, folder);
    let pages = pages(&fs::read(folder.at("a.ogg")).unwrap());
    assert!(pages.len() > 12);
    pages
}

#[test]
fn what_lies_before_the_start_of_a_vorbis_stream_is_trimmed() {
    let folder = Folder::new("ogg-trim");
    let (made, path) = (stream(&folder), folder.at("b.ogg"));
    let audio = whole(&folder.at("a.ogg"));
    assert_eq!(audio[0].len(), 200_001);
    let first = granule(made.iter().find(|page| granule(page) > 0).unwrap());
    for frames in [1, 128, 500, first] {
        save(&path, &later(&made, -frames));
        assert!(whole(&path) == from(&audio, frames as usize), "{frames}");
    }
    // A stream that starts at a later time has no silence before it.
    for frames in [1, 100_000, 1 << 40] {
        save(&path, &later(&made, frames));
        assert!(whole(&path) == audio, "{frames}");
    }
    // As libvorbis decodes it: its own tool trims so too.
    save(&path, &later(&made, -128));
    let out =
        Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&path).args(["-f", "f64le", "-"]).output();
    let theirs = out.expect("ffmpeg: installed by make test").stdout;
    let theirs: Vec<f64> = theirs.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    // ffmpeg up to 7 leaves in what is trimmed at the start.
    let ours = whole(&path);
    let off = theirs.len() / 2 - ours[0].len();
    assert!(off == 0 || off == 128, "{off}");
    for (at, sample) in theirs.iter().skip(2 * off).enumerate() {
        assert!((sample - ours[at % 2][at / 2]).abs() < 1e-5, "{at}");
    }
}

/// As in most of wesnoth's music: the first packet of audio on the page of the last header, at position 0, and what follows
/// begins before that.
#[test]
fn a_first_packet_on_the_page_of_the_headers_is_no_start() {
    let folder = Folder::new("ogg-first");
    let (made, path) = (stream(&folder), folder.at("b.ogg"));
    let audio = whole(&folder.at("a.ogg"));
    let first = made.iter().position(|page| granule(page) > 0).unwrap();
    // The first packet is short; its lacing value moves to the page before, with its bytes.
    let mut pages = later(&made, -128);
    let page = pages[first].clone();
    let (count, size) = (page[26], usize::from(page[27]));
    assert!(size < 255, "a packet of one piece");
    let body = 27 + usize::from(count);
    let mut head = pages[first - 1].clone();
    head[26] += 1;
    head.insert(27 + usize::from(head[26]) - 1, page[27]);
    head.extend(&page[body..body + size]);
    let rest = [&page[..26], &[count - 1], &page[28..body], &page[body + size..]].concat();
    (pages[first - 1], pages[first]) = (head, rest);
    pages[first - 1..=first].iter_mut().for_each(seal);
    save(&path, &pages);
    assert!(whole(&path) == from(&audio, 128));
}

#[test]
fn a_copy_cut_out_of_a_vorbis_stream_is_read() {
    let folder = Folder::new("ogg-copy");
    stream(&folder);
    let audio = whole(&folder.at("a.ogg"));
    ffmpeg(&["-ss", "1.5", "-i", "a.ogg", "-c", "copy", "b.ogg"], &folder);
    ffmpeg(&["-ss", "1.5", "-t", "1", "-i", "a.ogg", "-c", "copy", "c.ogg"], &folder);
    // To the frame where it was cut, for what lies before is on its first page and is trimmed.
    let tail = from(&audio, 66_150);
    let copy = whole(&folder.at("b.ogg"));
    assert!(copy[0].len() == tail[0].len(), "{} {}", copy[0].len(), tail[0].len());
    assert!(copy == tail);
    let copy = whole(&folder.at("c.ogg"));
    assert!(copy[0] == tail[0][..copy[0].len()] && copy[0].len() >= 44_100, "{}", copy[0].len());
}

#[test]
fn a_recorded_broadcast_is_read_from_where_it_begins() {
    let folder = Folder::new("ogg-broadcast");
    let (made, path) = (stream(&folder), folder.at("b.ogg"));
    let audio = whole(&folder.at("a.ogg"));
    let headers = made.iter().take_while(|page| granule(page) == 0).count();
    let broadcast = [&made[..headers], &made[headers + 3..]].concat();
    save(&path, &broadcast);
    let read = whole(&path);
    let length = read[0].len();
    assert!(length > 100_000 && length < 190_000);
    // The first block overlaps with one that was not sent.
    assert!(from(&read, 2_048) == from(&audio, 200_001 - length + 2_048));
}

#[test]
fn a_vorbis_stream_with_a_part_missing_is_refused() {
    let folder = Folder::new("ogg-broken");
    let (made, path) = (stream(&folder), folder.at("b.ogg"));
    let with = |change: &dyn Fn(&mut Vec<Page>)| {
        let mut pages = made.clone();
        change(&mut pages);
        save(&path, &pages);
    };
    let broken = "part of the data is broken or missing";
    let last = made.len() - 1;
    for at in [5, 8, last - 1] {
        with(&|pages| _ = pages.remove(at));
        assert!(message(&path).contains(broken), "page {at} missing");
        with(&|pages| pages[at][200] ^= 4);
        assert!(message(&path).contains(broken), "page {at} broken");
        with(&|pages| pages.swap(at, at - 1));
        assert!(message(&path).contains(broken), "page {at} at another place");
    }
    with(&|pages| pages[6].extend(b"something"));
    assert!(message(&path).contains(broken));
    with(&|pages| {
        let later = granule(&pages[6]) + 64;
        pages[6][6..14].copy_from_slice(&later.to_le_bytes());
        seal(&mut pages[6]);
    });
    assert!(message(&path).contains("granule positions do not match the audio"));
    // Nothing ends it: it is cut off, between two pages or within one.
    with(&|pages| _ = pages.pop());
    assert!(refusal(&path).contains("truncated after"));
    with(&|pages| pages[last].truncate(40));
    assert!(refusal(&path).contains("truncated after"));
    // One stream after another.
    with(&|pages| pages.extend(later(&made, 0)));
    assert!(message(&path).contains("a second stream starts in the file"));
    // What follows the end is no part of it.
    with(&|pages| pages[last].extend([b"TAG".to_vec(), vec![b' '; 125]].concat()));
    assert_eq!(whole(&path)[0].len(), 200_001);
}

#[test]
fn a_vorbis_stream_of_one_page_is_read() {
    let folder = Folder::new("ogg-short");
    for frames in [1, 63, 64, 1_000, 5_000] {
        write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(1, frames)).unwrap();
        ffmpeg(&["-i", "source.wav", "-c:a", "libvorbis", "a.ogg"], &folder);
        assert_eq!(whole(&folder.at("a.ogg"))[0].len(), frames);
    }
}

#[test]
fn flac_in_ogg_is_read_too() {
    let folder = Folder::new("ogg-flac");
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 50_000)).unwrap();
    run("flac", &["--ogg", "-s", "-f", "source.wav", "-o", "a.ogg"], &folder);
    assert!(read(&folder.at("a.ogg")).unwrap().0 == read(&folder.at("source.wav")).unwrap().0);
}
