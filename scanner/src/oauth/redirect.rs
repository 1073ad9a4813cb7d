//! Waits on loopback for the browser to bring a person back from the consent page (RFC 8252, section 7.3). Whatever
//! does not belong to this one attempt is told so, and waiting goes on.

use crate::credential::is_same;
use secrecy::SecretString;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

const PATH: &str = "/callback";

/// Bytes of a request's head; a code and a state are far shorter.
const LONGEST: usize = 16 << 10;

/// A browser may open a connection before it has anything to say.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the person decided.
#[expect(missing_debug_implementations, reason = "may hold a code")]
pub enum Redirected {
    Code(SecretString),
    /// Consent was denied.
    Denied,
    /// The tool could not ask for consent.
    Failed,
}

#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    port: u16,
}

impl Listener {
    /// On this port, or on a free one.
    pub async fn open(port: Option<u16>) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        let port = socket.local_addr()?.port();
        Ok(Self { socket, port })
    }

    /// What the tool is told to send the browser to.
    pub fn url(&self) -> String {
        format!("http://{}:{}{PATH}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The first that comes with the state of this attempt ends it; then nobody listens any more.
    pub async fn wait(self, state: &SecretString) -> io::Result<Redirected> {
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                visitor = self.socket.accept() => {
                    let (state, port) = (state.clone(), self.port);
                    visits.spawn(async move { serve(visitor?.0, port, &state).await });
                }
                Some(visit) = visits.join_next() => {
                    // A visitor that breaks off has brought nothing.
                    if let Ok(Ok(Some(came))) = visit {
                        return Ok(came);
                    }
                }
            }
        }
    }
}

async fn serve(mut visitor: TcpStream, port: u16, state: &SecretString) -> io::Result<Option<Redirected>> {
    let Ok(head) = tokio::time::timeout(PATIENCE, read_head(&mut visitor)).await else { return Ok(None) };
    let (came, page) = judge(&head?, port, state);
    visitor.write_all(page.as_bytes()).await?;
    visitor.shutdown().await?;
    Ok(came)
}

async fn read_head(visitor: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while head.len() < LONGEST && !head.windows(4).any(|it| it == b"\r\n\r\n") {
        if visitor.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// What a request brings, and the page that answers it.
fn judge(head: &str, port: u16, state: &SecretString) -> (Option<Redirected>, String) {
    let nothing = |status, text| (None, page(status, "Not connected", text));
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    // A page elsewhere whose name was bent to point here (DNS rebinding) gives itself away by it.
    let host = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
    });
    if host.is_none_or(|host| host != format!("127.0.0.1:{port}") && host != format!("localhost:{port}")) {
        return nothing("400 Bad Request", "This address is for the browser that was sent here alone.");
    }
    let url = Url::parse("http://127.0.0.1").and_then(|base| base.join(target));
    let Some(url) = url.ok().filter(|url| method == "GET" && target.starts_with('/') && url.path() == PATH)
    else {
        return nothing("404 Not Found", "There is nothing here.");
    };
    let only = |name: &str| {
        let mut values =
            url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    };
    if !only("state").is_some_and(|shown| is_same(state, &shown)) {
        let text = "This does not belong to the attempt that is under way. Use the address that twinflow printed last.";
        return nothing("400 Bad Request", text);
    }
    match (only("code"), only("error").as_deref()) {
        (Some(code), None) => {
            let text = "You can close this page and go back to the terminal.";
            (Some(Redirected::Code(code.into())), page("200 OK", "TwinFlow has your consent", text))
        }
        (None, Some("access_denied")) => {
            let text = "You did not consent, and nothing was stored.";
            (Some(Redirected::Denied), page("200 OK", "Not connected", text))
        }
        (None, Some(_)) => {
            let text = "The tool reported an error; the terminal says what to check.";
            (Some(Redirected::Failed), page("200 OK", "Not connected", text))
        }
        _ => nothing(
            "400 Bad Request",
            "The tool sent no code. Use the address that twinflow printed once more.",
        ),
    }
}

/// A whole answer. Its words are ours alone: nothing that came with the request stands in it.
fn page(status: &str, title: &str, text: &str) -> String {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <body style=\"font: 1.1em sans-serif; margin: 20vh auto; max-width: 32em\"><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(line: &str, host: &str) -> (Option<Redirected>, String) {
        judge(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 4711, &"right".into())
    }

    #[test]
    fn only_the_code_of_this_attempt_ends_the_waiting() {
        let (code, page) = came("GET /callback?code=c0de&state=right", "127.0.0.1:4711");
        assert!(matches!(code, Some(Redirected::Code(code)) if is_same(&code, "c0de")));
        assert!(page.starts_with("HTTP/1.1 200 OK") && !page.contains("c0de"));
        for line in [
            "GET /callback?code=c0de&state=wrong",
            "GET /callback?code=c0de",
            "GET /callback?state=right",
            "GET /callback?code=&state=right",
            "GET /callback?code=a&code=b&state=right",
            "GET /callback?code=a&error=b&state=right",
            "GET /callback?code=a&state=right&state=right",
            "GET /callback?error=access_denied&state=wrong",
            "POST /callback?code=c0de&state=right",
            "GET /elsewhere?code=c0de&state=right",
            "GET http://evil.example/callback?code=c0de&state=right",
            "",
        ] {
            let (came, page) = came(line, "127.0.0.1:4711");
            assert!(came.is_none() && page.starts_with("HTTP/1.1 40"), "{line}");
        }
    }

    #[test]
    fn a_denial_ends_the_waiting_and_a_page_of_another_name_brings_nothing() {
        let denied = came("GET /callback?error=access_denied&state=right", "localhost:4711").0;
        assert!(matches!(denied, Some(Redirected::Denied)));
        let failed = came("GET /callback?error=server_error&state=right", "localhost:4711").0;
        assert!(matches!(failed, Some(Redirected::Failed)));
        for host in ["evil.example:4711", "127.0.0.1:4712", "127.0.0.1", ""] {
            assert!(came("GET /callback?code=c0de&state=right", host).0.is_none(), "{host}");
        }
    }
}
