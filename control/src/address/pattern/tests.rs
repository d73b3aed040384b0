//! Patterns against their specification, and against a matcher that is slow and plain.

use super::*;

fn fits(pattern: &str, address: &str) -> bool {
    Pattern::new(pattern).unwrap().matches(address)
}

/// Those of `addresses` that a pattern means.
fn meant<'a>(pattern: &str, addresses: &[&'a str]) -> Vec<&'a str> {
    addresses.iter().copied().filter(|address| fits(pattern, address)).collect()
}

#[test]
fn a_set_means_one_character_of_a_number() {
    let bands: Vec<String> = (1..=22).map(|band| format!("/node/tone/band/{band}/gain")).collect();
    let bands: Vec<&str> = bands.iter().map(String::as_str).collect();
    let meant = |which: &str| -> Vec<String> {
        let pattern = format!("/node/tone/band/{which}/gain");
        let meant = meant(&pattern, &bands).into_iter();
        meant.map(|address| address.split('/').nth(4).unwrap().to_owned()).collect()
    };
    assert_eq!(meant("[12]"), ["1", "2"]);
    assert_eq!(meant("[1-3]"), ["1", "2", "3"]);
    assert_eq!(meant("[!1]"), ["2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(meant("{1,11}"), ["1", "11"]);
    assert_eq!(meant("{11,1}"), ["1", "11"]);
    assert_eq!(meant("2?"), ["20", "21", "22"]);
    assert_eq!(meant("2*"), ["2", "20", "21", "22"]);
    assert_eq!(meant("[12]?").len(), 13);
    assert_eq!(meant("*").len(), 22);
    assert_eq!(meant("{1,2}{,1}"), ["1", "2", "11", "21"]);
}

#[test]
fn nothing_but_two_slashes_reaches_into_another_part() {
    let addresses =
        ["/node/tone/enabled", "/node/tone/band/1/gain", "/node/tone/band/1/enabled", "/node/glue/gain"];
    assert_eq!(meant("/node/[!z]", &addresses), [""; 0]);
    assert_eq!(meant("/node/[!-~]*", &addresses), [""; 0]);
    assert_eq!(meant("/node/*", &addresses), [""; 0]);
    assert_eq!(meant("/node/tone?enabled", &addresses), [""; 0]);
    assert_eq!(meant("/node/tone[.-0]enabled", &addresses), [""; 0]);
    assert_eq!(meant("/node/*/*", &addresses), ["/node/tone/enabled", "/node/glue/gain"]);
    assert_eq!(meant("//enabled", &addresses), ["/node/tone/enabled", "/node/tone/band/1/enabled"]);
    assert_eq!(meant("/node//gain", &addresses), ["/node/tone/band/1/gain", "/node/glue/gain"]);
    assert_eq!(meant("/node//enabled", &addresses), ["/node/tone/enabled", "/node/tone/band/1/enabled"]);
    assert_eq!(meant("//node//band//gain", &addresses), ["/node/tone/band/1/gain"]);
    assert_eq!(meant("/node/tone//enabled", &addresses), ["/node/tone/enabled", "/node/tone/band/1/enabled"]);
    assert_eq!(meant("//*", &addresses).len(), 4);
    // Whole parts: no end of one.
    assert_eq!(meant("//abled", &addresses), [""; 0]);
    assert_eq!(meant("/no//gain", &addresses), [""; 0]);
    assert_eq!(meant("/node/to//enabled", &addresses), [""; 0]);
}

#[test]
fn a_star_may_be_nothing() {
    for (pattern, address) in [
        ("/node/x/ceiling*", "/node/x/ceiling"),
        ("/node/g*", "/node/g"),
        ("/node/g*", "/node/glue"),
        ("/*n/x", "/n/x"),
        ("/a*b*c", "/abc"),
        ("/a**c", "/ac"),
        ("/{a*,b}", "/b"),
        ("/a{}b", "/ab"),
        ("/a{,}", "/a"),
        ("/*{,}*", "/abc"),
    ] {
        assert!(fits(pattern, address), "{pattern} {address}");
    }
    assert!(!fits("/g*e", "/g") && !fits("/node/*", "/node") && !fits("/*", ""));
}

#[test]
fn signs_that_stand_for_themselves() {
    for (set, one, other) in [
        ("[a-]", "a-", "b"),
        ("[-a]", "a-", "b"),
        ("[a!]", "a!", "b"),
        ("[!!]", "ab", "!"),
        ("[!a-]", "b", "a-"),
        ("[c-a]", "abc", "d-"),
        ("[a-c-e]", "abc-e", "d"),
        ("[*?{]", "*?{", "a"),
        ("[]", "", "a]"),
        ("[!]", "a]!", ""),
        ("[ä-ü]", "äöü", "azß"),
    ] {
        let pattern = Pattern::new(&format!("/{set}")).unwrap();
        for (signs, is_meant) in [(one, true), (other, false)] {
            for sign in signs.chars() {
                assert_eq!(pattern.matches(&format!("/{sign}")), is_meant, "{set} {sign}");
            }
        }
    }
    assert!(fits("/a]b}c,d!e-f", "/a]b}c,d!e-f"));
    assert!(!fits("/Node/glue", "/node/glue"), "capitals count");
    assert!(fits("/b?nd/*ö", "/bänd/schö") && fits("/{ä,öö}x", "/ööx"));
}

#[test]
fn a_slash_at_the_end_means_nothing() {
    for pattern in ["/node/*/gain", "/node/*/gain/", "/node/*/gain//"] {
        assert!(fits(pattern, "/node/a/gain") && fits(pattern, "/node/a/gain/"), "{pattern}");
        assert!(!fits(pattern, "/node/a/gain/b"));
    }
    assert!(is_pattern("/node//gain") && is_pattern("//gain") && is_pattern("/[a]"));
    assert!(!is_pattern("/node/gain") && !is_pattern("/node/gain/") && !is_pattern("/node/gain//"));
}

#[test]
fn what_does_not_end_is_no_pattern() {
    let why = |pattern: &str| Pattern::new(pattern).err();
    for pattern in ["/[", "/[abc", "/[!", "/a[b/c]", "/[a/b]"] {
        assert_eq!(why(pattern), Some(PatternError::Open('[', ']')), "{pattern}");
    }
    for pattern in ["/{", "/{a,b", "/{a/b}", "/a{b/c}"] {
        assert_eq!(why(pattern), Some(PatternError::Open('{', '}')), "{pattern}");
    }
    assert_eq!(why("/{a").unwrap().to_string(), "\"{\" without \"}\" before the next \"/\"");
    assert_eq!(why(&"/a".repeat(LONGEST / 2)), None);
    assert_eq!(why(&format!("{}b", "/a".repeat(LONGEST / 2))), Some(PatternError::Long));
    let long = format!("/{}*", "a".repeat(LONGEST - 2));
    assert!(fits(&long, &long[..LONGEST - 1]) && fits(&long, &format!("{}b", &long[..LONGEST - 1])));
    assert!(!fits(&long, &long[..LONGEST - 2]));
}

#[test]
fn a_beginning_may_be_shared() {
    let pattern = Pattern::new("/n*/{tone,t}//gain").unwrap();
    assert!(!pattern.within("/text").is_possible());
    for (beginning, rest, is_meant) in [
        ("/node", "/tone/band/1/gain", true),
        ("/node", "/t/gain/", true),
        ("/norm/tone", "/gain", true),
        ("/node", "/tune/gain", false),
        ("/text", "/tone/gain", false),
    ] {
        assert_eq!(pattern.within(beginning).matches(rest), is_meant, "{beginning} {rest}");
    }
}

/// Whether a pattern means an address, said as the specification says it and tried out in every way.
fn reference(pattern: &[char], address: &[char]) -> bool {
    let Some(sign) = pattern.first() else { return address.is_empty() };
    let rest = &pattern[1..];
    let is_of_part = |at: usize| address.get(at).is_some_and(|sign| *sign != '/');
    match sign {
        '/' if rest.first() == Some(&'/') => {
            let behind: Vec<char> = rest.iter().copied().skip_while(|sign| *sign == '/').collect();
            let starts = (0..address.len()).filter(|at| address[*at] == '/');
            address.first() == Some(&'/')
                && starts.into_iter().any(|start| reference(&behind, &address[start + 1..]))
        }
        '?' => is_of_part(0) && reference(rest, &address[1..]),
        '*' => reference(rest, address) || (is_of_part(0) && reference(pattern, &address[1..])),
        '[' => {
            let end = rest.iter().position(|sign| *sign == ']').unwrap();
            let (is_not, listed) = match &rest[..end] {
                ['!', listed @ ..] => (true, listed),
                listed => (false, listed),
            };
            is_of_part(0)
                && is_listed(listed, address[0]) != is_not
                && reference(&rest[end + 1..], &address[1..])
        }
        '{' => {
            let end = rest.iter().position(|sign| *sign == '}').unwrap();
            rest[..end]
                .split(|sign| *sign == ',')
                .any(|text| address.starts_with(text) && reference(&rest[end + 1..], &address[text.len()..]))
        }
        sign => address.first() == Some(sign) && reference(rest, &address[1..]),
    }
}

fn is_listed(listed: &[char], sign: char) -> bool {
    match listed {
        [] => false,
        [low, '-', high, rest @ ..] => {
            (*low.min(high)..=*low.max(high)).contains(&sign) || is_listed(rest, sign)
        }
        [one, rest @ ..] => *one == sign || is_listed(rest, sign),
    }
}

/// xorshift64*: the same run every time.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

#[test]
fn random_patterns_mean_what_the_plain_matcher_says() {
    const STRETCHES: [&str; 32] = [
        "a",
        "b",
        "c",
        "ab",
        "ä",
        "-",
        "/",
        "/",
        "/",
        "//",
        "?",
        "*",
        "*",
        "**",
        "[ab]",
        "[a-c]",
        "[!a]",
        "[!b-c]",
        "[c-a]",
        "[-a]",
        "[a-]",
        "[]",
        "[!]",
        "[ä-ö]",
        "{a,b}",
        "{ab,a}",
        "{a,ab,abc}",
        "{,a}",
        "{a,}",
        "{}",
        "{b,,ca}",
        "!",
    ];
    const LETTERS: [&str; 7] = ["a", "a", "b", "c", "ä", "-", "/"];
    let mut random = Random(12);
    let (mut met, mut tried) = (0, 0);
    for round in 0..40_000 {
        let count = 1 + random.below(if round % 8 == 0 { 16 } else { 6 });
        let pattern = (0..count).fold("/".to_owned(), |text, _| text + random.pick(&STRETCHES));
        let made = Pattern::new(&pattern).unwrap();
        let mut one_after_another = made.within("/a");
        let signs: Vec<char> = trimmed(&pattern).chars().collect();
        for _ in 0..4 {
            let mut address = "/".to_owned();
            for _ in 0..random.below(9) {
                let letter = random.pick(&LETTERS);
                if letter != "/" || !address.ends_with('/') {
                    address += letter;
                }
            }
            let plain: Vec<char> = trimmed(&address).chars().collect();
            let is_meant = reference(&signs, &plain);
            assert_eq!(made.matches(&address), is_meant, "{pattern} {address}");
            if let Some(rest) = address.strip_prefix("/a").filter(|rest| *rest != "/") {
                assert_eq!(one_after_another.matches(rest), is_meant, "{pattern} {address}");
            }
            let cut = address.char_indices().nth(random.below(3)).map_or(address.len(), |(at, _)| at);
            let (beginning, rest) = address.split_at(cut);
            if !rest.is_empty() && rest != "/" {
                assert_eq!(made.within(beginning).matches(rest), is_meant, "{pattern} {beginning} {rest}");
            }
            met += usize::from(is_meant);
            tried += 1;
        }
    }
    assert!(met > tried / 20, "{met} of {tried} were meant: too tame");
}

#[test]
fn a_hostile_pattern_costs_its_length_times_the_addresses() {
    let long = |stretch: &str| format!("/{}", stretch.repeat((LONGEST - 1) / stretch.len()));
    let patterns = [
        long("*a"),
        long("*e*"),
        long("{,e}"),
        long("*{e,}"),
        long("*{e,d}"),
        long("//*"),
        long("/*"),
        long("?*"),
        long("[!z]*"),
        long("{,e,n,o,d}*"),
        format!("/*{}a??????????", "{,e}".repeat(240)),
        format!("//{}", "*{n,no,nod,node,}".repeat(59)),
    ];
    // As long as they come: of five parts, and of one.
    let deep = |at: usize| format!("/node/eeeeeeneede{:03}/band/{}/gainee", at / 40, at % 40);
    let flat = |at: usize| format!("/eeeeeeneedeeenodenodeee{at:05}gainee");
    let addresses: Vec<String> = (0..5_000).map(deep).chain((0..5_000).map(flat)).collect();
    for pattern in &patterns {
        let start = std::time::Instant::now();
        let made = Pattern::new(pattern).unwrap();
        let mut steps = 0;
        let mut all = made.within("");
        let met = addresses.iter().filter(|address| all.matches_counted(address, &mut steps)).count();
        let characters: usize = addresses.iter().map(String::len).sum();
        println!("{met} met, {steps} steps, {:?}: {}...", start.elapsed(), &pattern[..20]);
        // A character looks at every word once, and once more at what it opens anew; a word holds 64 positions.
        let longest = addresses.iter().map(String::len).max().unwrap();
        assert!(steps <= characters * (2 * made.words + 2 * longest), "{pattern}");
    }
}
