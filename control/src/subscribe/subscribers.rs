//! Who has subscribed to a surface, and what each of them is to be told when.

use crate::peer::Peer;
use crate::request::Wish;
use crate::subscribe::outbox::Mailbox;
use crate::subscribe::{Notice, To};
use crate::update::Line;
use std::time::{Duration, Instant};

/// Most subscribers at once.
const MOST: usize = 64;

/// What is to be sent: to whom, and the lines.
pub type Post = Vec<(Peer, Vec<Line>)>;

/// The subscribers of one surface.
pub struct Audience {
    is_ours: fn(Peer) -> bool,
    members: Vec<Member>,
}

struct Member {
    peer: Peer,
    wish: Wish,
    until: Instant,
    mail: Mailbox,
}

impl Audience {
    /// Nobody yet, of the peers that `is_ours` knows as this surface's.
    pub fn new(is_ours: fn(Peer) -> bool) -> Self {
        Self { is_ours, members: Vec::new() }
    }

    /// Acts on a notice; gives what is to be sent at once.
    pub fn take(&mut self, notice: Notice, now: Instant) -> Post {
        self.members.retain(|member| member.until > now);
        match notice {
            Notice::Tell { to: To::One(peer), lines } => match (self.is_ours)(peer) && !lines.is_empty() {
                true => vec![(peer, lines)],
                false => Vec::new(),
            },
            Notice::Tell { to: To::All, lines } => self.tell(None, &lines, now),
            Notice::Tell { to: To::Others(by), lines } => self.tell(Some(by), &lines, now),
            Notice::Subscribe { peer, wish } if (self.is_ours)(peer) => self.join(peer, wish, now),
            Notice::Unsubscribe { peer } => {
                self.leave(peer);
                Vec::new()
            }
            Notice::Subscribe { .. } | Notice::Places(_) | Notice::Learn { .. } | Notice::End => Vec::new(),
        }
    }

    fn tell(&mut self, by: Option<Peer>, lines: &[Line], now: Instant) -> Post {
        let mut post = Vec::new();
        for member in &mut self.members {
            if by == Some(member.peer) && !member.wish.echo {
                member.mail.own(lines.to_vec(), &member.wish, now);
                continue;
            }
            let at_once = member.mail.put(lines.to_vec(), &member.wish, now);
            if !at_once.is_empty() {
                post.push((member.peer, at_once));
            }
        }
        post.extend(self.due(now));
        post
    }

    fn join(&mut self, peer: Peer, wish: Wish, now: Instant) -> Post {
        let until = now + Duration::from_secs(u64::from(wish.seconds));
        let has_room = self.members.len() < MOST;
        match self.members.iter_mut().find(|member| member.peer == peer) {
            Some(member) => (member.wish, member.until) = (wish, until),
            None if has_room => self.members.push(Member { peer, wish, until, mail: Mailbox::default() }),
            None => {
                let why = format!("{MOST} clients have subscribed already");
                return vec![(peer, vec![Line::words("/error", &["/subscribe", &why])])];
            }
        }
        Vec::new()
    }

    /// Takes a subscriber away.
    pub fn leave(&mut self, peer: Peer) {
        self.members.retain(|member| member.peer != peer);
    }

    /// What is due by now.
    pub fn due(&mut self, now: Instant) -> Post {
        let mut post = Vec::new();
        for member in &mut self.members {
            let lines = member.mail.due(&member.wish, now);
            if !lines.is_empty() {
                post.push((member.peer, lines));
            }
        }
        post
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.mail.next()).min()
    }

    /// The port at which a subscriber listens, where that is not the one it sends from.
    pub fn port(&self, peer: Peer) -> Option<u16> {
        self.members.iter().find(|member| member.peer == peer)?.wish.port
    }
}
