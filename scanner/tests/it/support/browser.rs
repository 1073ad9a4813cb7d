//! A person at the consent page: follows the address the program printed, by the tiniest of browsers.

use super::program::{Home, Ran};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use twinflow_fixtures::Service;
use twinflow_fixtures::oauth::{CLIENT_ID, CLIENT_SECRET};
use url::Url;

/// The program, waiting for somebody to consent.
pub(crate) struct Waiting {
    line: String,
    child: Child,
    said: String,
    err: BufReader<ChildStderr>,
    /// The consent page.
    pub(crate) page: Url,
}

/// `connect jira` by consent, at this pretend tool.
pub(crate) fn consent_line(tool: &Service) -> String {
    let url = tool.url();
    format!("connect jira --client-id {CLIENT_ID} --base-url {url} --oauth-url {url} --no-browser")
}

impl Waiting {
    /// Starts the program, gives it the client secret, and reads on until it has printed the address.
    pub(crate) fn start(home: &Home, line: &str) -> Self {
        let mut child = home.command(line).stdin(Stdio::piped()).spawn().unwrap();
        // Who has the secret already does not read on.
        let _ = writeln!(child.stdin.take().unwrap(), "{CLIENT_SECRET}");
        let (mut err, mut said) = (BufReader::new(child.stderr.take().unwrap()), String::new());
        let page = loop {
            let before = said.len();
            assert_ne!(err.read_line(&mut said).unwrap(), 0, "twinflow {line} prints no address\n{said}");
            if said[before..].starts_with("http") {
                break Url::parse(said[before..].trim()).unwrap();
            }
        };
        Self { line: line.to_owned(), child, said, err, page }
    }

    pub(crate) fn asks_for(&self, name: &str) -> Option<String> {
        parameter(&self.page, name)
    }

    /// Where the consent page sends the browser.
    pub(crate) fn consent(&self) -> Url {
        let answer = get(&self.page);
        assert_eq!(answer.status, 302, "{}", answer.body);
        Url::parse(&answer.location.unwrap()).unwrap()
    }

    /// The program to its end.
    pub(crate) fn end(mut self) -> Ran {
        self.err.read_to_string(&mut self.said).unwrap();
        let mut output = self.child.wait_with_output().unwrap();
        output.stderr = self.said.into_bytes();
        Ran::of(&self.line, output)
    }
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// From the command line through the consent page and back.
pub(crate) fn dance(home: &Home, line: &str) -> Ran {
    let waiting = Waiting::start(home, line);
    let back = get(&waiting.consent());
    assert_eq!(back.status, 200, "{}", back.body);
    waiting.end()
}

pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

/// Nothing is listening there any more.
pub(crate) fn is_closed(url: &Url) -> bool {
    TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).is_err()
}

pub(crate) fn get(url: &Url) -> Page {
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let mut wire = TcpStream::connect(&host).unwrap();
    let head = format!("GET {}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", url.path());
    wire.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
    Page { status, location, body: body.to_owned() }
}
