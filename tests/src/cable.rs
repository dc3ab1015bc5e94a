//! A connection between a client and a server that a test may hold up and cut, at any byte.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Debug, Default)]
struct State {
    to: Option<SocketAddr>,
    /// Nothing goes to the client.
    holds_answers: bool,
    /// Nothing goes to the server.
    holds_requests: bool,
    /// Bytes that still go to the client; then all connections are cut.
    cut_after: Option<usize>,
    /// Bytes that went to the client.
    answered: usize,
    ended: bool,
    links: Vec<[TcpStream; 2]>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.held());
        self.changed.notify_all();
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.links.drain(..).flatten() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The connection; it ends with this value.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Cable {
    /// To a server's address such as `ws://127.0.0.1:7788/td`.
    ///
    /// # Panics
    /// If that is no address, or this machine gives no port.
    #[expect(clippy::expect_used, reason = "a test without its connection fails")]
    pub fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let listening = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_thread.held().ended {
                    return;
                }
                link(&of_thread, client);
            }
        });
        let cable = Self { address, shared, listening: Some(listening) };
        cable.plug(url);
        cable
    }

    /// The address for clients, with the path of `url`.
    pub fn url(&self, url: &str) -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        format!("ws://{}/{path}", self.address)
    }

    /// Connections from now on go to another server.
    ///
    /// # Panics
    /// If that is no address.
    #[expect(clippy::expect_used, reason = "a test without its connection fails")]
    pub fn plug(&self, url: &str) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let to = rest.split('/').next().unwrap_or_default().parse().expect("an address with a port");
        self.shared.change(|s| s.to = Some(to));
    }

    /// Connections from now on are refused.
    pub fn unplug(&self) {
        self.shared.change(|s| {
            s.to = None;
            s.cut();
        });
    }

    /// Whether what the server sends is held back.
    pub fn hold_answers(&self, hold: bool) {
        self.shared.change(|s| s.holds_answers = hold);
    }

    /// Whether what the client sends is held back.
    pub fn hold_requests(&self, hold: bool) {
        self.shared.change(|s| s.holds_requests = hold);
    }

    /// Cuts all connections behind so many bytes more to the client.
    pub fn cut_after(&self, bytes: usize) {
        self.shared.change(|s| s.cut_after = Some(bytes));
    }

    /// Bytes that went to clients.
    pub fn answered(&self) -> usize {
        self.shared.held().answered
    }

    /// Cuts all connections; what is held back is lost, and nothing is held back any more.
    pub fn cut(&self) {
        self.shared.change(|s| {
            s.cut();
            (s.holds_answers, s.holds_requests, s.cut_after) = (false, false, None);
        });
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.change(|s| {
            s.ended = true;
            s.cut();
        });
        // Wakes the thread that listens.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn link(shared: &Arc<Shared>, client: TcpStream) {
    let to = shared.held().to;
    // A client whose connection is dropped at once knows that nobody listens.
    let Some(server) = to.and_then(|to| TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok()) else { return };
    let clone = |s: &TcpStream| s.try_clone().ok();
    let (Some(a), Some(b), Some(c), Some(d)) = (clone(&client), clone(&server), clone(&client), clone(&server)) else {
        return;
    };
    // Small frames are not kept back for larger ones.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.held().links.push([client, server]);
    let (up, down) = (shared.clone(), shared.clone());
    std::thread::spawn(move || pass(&up, a, b, false));
    std::thread::spawn(move || pass(&down, d, c, true));
}

/// Passes bytes on until either side ends.
fn pass(shared: &Shared, mut from: TcpStream, mut to: TcpStream, to_client: bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut state = shared.held();
        while if to_client { state.holds_answers } else { state.holds_requests } {
            // A connection that was cut meanwhile shows by its write.
            let waited = shared.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
        }
        let (mut passed, mut cuts) = (count, false);
        if to_client {
            if let Some(left) = &mut state.cut_after {
                passed = count.min(*left);
                *left -= passed;
                cuts = *left == 0;
            }
            state.answered += passed;
        }
        drop(state);
        if to.write_all(&bytes[..passed]).is_err() {
            break;
        }
        if cuts {
            shared.change(|s| {
                s.cut();
                s.cut_after = None;
            });
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
