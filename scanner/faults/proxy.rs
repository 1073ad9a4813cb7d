//! A TCP proxy that does wrong on demand: it stalls, loses, cuts or refuses, in one direction or both.
//!
//! Every connection that comes in is one to the server behind. What holds of them is said in [`Rules`], for all at once
//! and from the next bytes on. [`Proxy::lose_answer_to`] is for the one moment that no rule hits: what was asked
//! reached the server, and its answer is lost.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    #[default]
    Forward,
    /// They wait until they may go on.
    Stall,
    /// They are read and forgotten.
    Lose,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// From client to server.
    pub(crate) up: Flow,
    /// From server to client.
    pub(crate) down: Flow,
    /// Whoever comes is sent away.
    pub(crate) refuse: bool,
    /// Counts the times at which everything was cut.
    cuts: u64,
}

#[derive(Debug)]
struct Trap {
    words: &'static [u8],
    skip: usize,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    rules: watch::Sender<Rules>,
    trap: Mutex<Option<Trap>>,
    sprung: AtomicUsize,
}

/// A running proxy; it ends with this value.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (rules, _) = watch::channel(Rules::default());
        let shared = Arc::new(Shared { server, rules, trap: Mutex::default(), sprung: AtomicUsize::new(0) });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What holds from now on, for connections that stand too.
    pub(crate) fn rule(&self, change: impl FnOnce(&mut Rules)) {
        self.shared.rules.send_modify(change);
    }

    pub(crate) fn behave(&self) {
        self.rule(|rules| *rules = Rules { cuts: rules.cuts, ..Rules::default() });
        *lock(&self.shared.trap) = None;
    }

    /// Ends every connection that stands.
    pub(crate) fn cut(&self) {
        self.rule(|rules| rules.cuts += 1);
    }

    /// Once `words` have gone to the server so many times, the server's next answer on that connection is lost, and
    /// the connection is cut.
    pub(crate) fn lose_answer_to(&self, words: &'static [u8], skip: usize) {
        *lock(&self.shared.trap) = Some(Trap { words, skip });
    }

    /// Answers lost so far.
    pub(crate) fn sprung(&self) -> usize {
        self.shared.sprung.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

impl Shared {
    fn springs(&self, bytes: &[u8]) -> bool {
        let mut trap = lock(&self.trap);
        let Some(set) = trap.as_mut() else { return false };
        if !bytes.windows(set.words.len()).any(|window| window == set.words) {
            return false;
        }
        if set.skip > 0 {
            set.skip -= 1;
            return false;
        }
        *trap = None;
        true
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // An error concerns the one who came.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if !shared.rules.borrow().refuse {
            tokio::spawn(serve(client, Arc::clone(&shared)));
        }
    }
}

/// Why bytes flow no longer on a connection.
struct Cut;

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let rules = shared.rules.subscribe();
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let forsaken = AtomicBool::new(false);
    let up = Pump { rules: rules.clone(), shared: &shared, forsaken: &forsaken, upwards: true };
    let down = Pump { rules, shared: &shared, forsaken: &forsaken, upwards: false };
    // Whichever way is cut ends the other too; an end of file ends one way alone.
    let _ = tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client));
}

/// One way of one connection.
struct Pump<'a> {
    rules: watch::Receiver<Rules>,
    shared: &'a Shared,
    /// Whether the next answer is to be lost.
    forsaken: &'a AtomicBool,
    upwards: bool,
}

impl Pump<'_> {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Cut> {
        let cuts = self.rules.borrow().cuts;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                () = was_cut(self.rules.clone(), cuts) => return Err(Cut),
            };
            let bytes = match read {
                Ok(0) => break,
                Ok(length) => &buffer[..length],
                Err(_) => return Err(Cut),
            };
            if !self.upwards && self.forsaken.load(Ordering::SeqCst) {
                self.shared.sprung.fetch_add(1, Ordering::SeqCst);
                return Err(Cut);
            }
            match self.flow(cuts).await? {
                Flow::Lose => continue,
                _ if self.upwards && self.shared.springs(bytes) => {
                    self.forsaken.store(true, Ordering::SeqCst)
                }
                _ => {}
            }
            to.write_all(bytes).await.map_err(|_| Cut)?;
        }
        // Whoever reads there learns that no more will come.
        let _ = to.shutdown().await;
        Ok(())
    }

    /// What holds now; waits as long as it is to wait.
    async fn flow(&mut self, cuts: u64) -> Result<Flow, Cut> {
        let way = if self.upwards { |rules: &Rules| rules.up } else { |rules: &Rules| rules.down };
        let moving = self.rules.wait_for(|rules| rules.cuts != cuts || way(rules) != Flow::Stall);
        let rules = *moving.await.map_err(|_| Cut)?;
        if rules.cuts == cuts { Ok(way(&rules)) } else { Err(Cut) }
    }
}

async fn was_cut(mut rules: watch::Receiver<Rules>, cuts: u64) {
    // An error means that the proxy is gone.
    drop(rules.wait_for(|rules| rules.cuts != cuts).await);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
