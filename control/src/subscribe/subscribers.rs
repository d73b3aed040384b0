//! Who has subscribed to a surface, and what each of them is to be told when.

use crate::peer::Peer;
use crate::request::Subscription;
use crate::subscribe::outbox::Outbox;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use std::time::{Duration, Instant};

/// Most subscribers at once.
const MOST: usize = 64;

/// What is to be sent: to whom, and the lines.
pub type Post = Vec<(Peer, Vec<Update>)>;

/// The subscribers of one surface.
pub struct Subscribers {
    is_ours: fn(Peer) -> bool,
    members: Vec<Subscriber>,
}

struct Subscriber {
    peer: Peer,
    wish: Subscription,
    until: Instant,
    mail: Outbox,
}

impl Subscribers {
    /// Nobody yet, of the peers that `is_ours` knows as this surface's.
    pub fn new(is_ours: fn(Peer) -> bool) -> Self {
        Self { is_ours, members: Vec::new() }
    }

    /// Acts on a notice; gives what is to be sent at once.
    pub fn take(&mut self, notice: SurfaceMessage, now: Instant) -> Post {
        self.members.retain(|member| member.until > now);
        match notice {
            SurfaceMessage::Tell { to: Recipients::One(peer), lines } => {
                match (self.is_ours)(peer) && !lines.is_empty() {
                    true => vec![(peer, lines)],
                    false => Vec::new(),
                }
            }
            SurfaceMessage::Tell { to: Recipients::All, lines } => self.tell(None, &lines, now),
            SurfaceMessage::Tell { to: Recipients::Others(by), lines } => self.tell(Some(by), &lines, now),
            SurfaceMessage::Subscribe { peer, wish } if (self.is_ours)(peer) => self.join(peer, wish, now),
            SurfaceMessage::Unsubscribe { peer } => {
                self.leave(peer);
                Vec::new()
            }
            SurfaceMessage::Subscribe { .. }
            | SurfaceMessage::Places(_)
            | SurfaceMessage::Learn { .. }
            | SurfaceMessage::End => Vec::new(),
        }
    }

    fn tell(&mut self, by: Option<Peer>, lines: &[Update], now: Instant) -> Post {
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

    fn join(&mut self, peer: Peer, wish: Subscription, now: Instant) -> Post {
        let until = now + Duration::from_secs(u64::from(wish.seconds));
        let has_room = self.members.len() < MOST;
        match self.members.iter_mut().find(|member| member.peer == peer) {
            Some(member) => (member.wish, member.until) = (wish, until),
            None if has_room => self.members.push(Subscriber { peer, wish, until, mail: Outbox::default() }),
            None => {
                let why = format!("{MOST} clients have subscribed already");
                return vec![(peer, vec![Update::words("/error", &["/subscribe", &why])])];
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
