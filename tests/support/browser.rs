//! A real Chromium, without a window, and a page that a test gives it.

use crate::daemon::{Folder, root};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long it may take to start, on a busy machine, and to do what the page says.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Chromium that shows a page; dropped, it ends.
pub struct Browser {
    child: Child,
    told: Receiver<String>,
    _profile: Folder,
}

impl Browser {
    /// Opens a page of `tests/clients` from `http://host:port/`. Once it has been sent, nobody listens there any more.
    /// In the page these words stand for ports; `TELL` for the one where it tells what it has found.
    pub fn open(host: &str, port: u16, ports: &[(&str, u16)], page: &str) -> Self {
        let tell = TcpListener::bind("127.0.0.1:0").unwrap();
        let page = std::fs::read_to_string(root().join("tests/clients").join(page)).unwrap();
        let mut page = page.replace("${TELL}", &tell.local_addr().unwrap().port().to_string());
        for (word, port) in ports {
            page = page.replace(&format!("${{{word}}}"), &port.to_string());
        }
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let profile = Folder::new(&format!("chromium-{host}"));
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
            ])
            .arg(format!("--host-resolver-rules=MAP {host} 127.0.0.1"))
            .arg(format!("--user-data-dir={}", profile.0.display()))
            .arg(format!("http://{host}:{port}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium: install it, as make test does");
        let (tells, told) = channel();
        let browser = Self { child, told, _profile: profile };
        let (sent, was_sent) = channel();
        std::thread::spawn(move || {
            let shown = |stream: &std::io::Result<TcpStream>| {
                stream.as_ref().is_ok_and(|stream| answer(stream, "text/html", &page).starts_with("GET / "))
            };
            // Chromium opens connections ahead, which ask for nothing.
            listener.incoming().find(shown);
            drop(listener);
            sent.send(()).ok();
            for stream in tell.incoming().map_while(Result::ok) {
                let asked = answer(&stream, "text/plain", "");
                if let Some(found) = asked.strip_prefix("GET /?").and_then(|rest| rest.split(' ').next()) {
                    tells.send(found.replace("%2C", ",").replace("%20", " ")).ok();
                    return;
                }
            }
        });
        was_sent.recv_timeout(PATIENCE).expect("Chromium asks for the page");
        browser
    }

    /// Waits for what the page has found.
    pub fn told(&self) -> String {
        self.told.recv_timeout(PATIENCE).expect("the page tells what it has found")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Answers a request, and closes; gives what was asked.
fn answer(mut stream: &TcpStream, kind: &str, body: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok();
    let mut asked = Vec::new();
    let mut bytes = [0; 4_096];
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(length @ 1..) => asked.extend(&bytes[..length]),
            _ => break,
        }
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok();
    String::from_utf8_lossy(&asked).into_owned()
}
