//! A connector, its pretend tool, and the wire between them.
#![expect(unreachable_pub, reason = "shared by the files beside it")]

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use twinflow_connectors::{
    ALL, Answer, Connector, Contract, Cursor, Event, Operation, Page, Refusal, Request, Stream, Sweep, find,
};
use twinflow_fixtures::{GitHub, Jira, Service, ServiceOptions, Stand, Story, StoryOptions, World, stands};

/// When all stories end.
pub fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 4, 15, 0, 0).unwrap()
}

pub fn story(cases: usize) -> Story {
    Story::new(StoryOptions { seed: 11, cases, now: now() })
}

pub struct Stage {
    pub connector: &'static dyn Connector,
    pub service: Service,
    pub stream: Stream,
    /// Before every path.
    prefix: String,
    token: &'static str,
    scheme: &'static str,
    /// Whether the tool sends prose along that nobody asked for.
    pub content_comes_along: bool,
}

impl Stage {
    /// The pretend tool of a connector, with so many cases.
    pub async fn of(connector: &'static dyn Connector, cases: usize) -> Self {
        let tool = connector.contract().tool;
        let stand = stands(&story(cases)).into_iter().find(|it| it.tool == tool);
        Self::on(stand.unwrap_or_else(|| panic!("{tool} has no pretend service in twinflow-fixtures"))).await
    }

    pub async fn github(world: GitHub) -> Self {
        Self::with("github", world, "acme/shop").await
    }

    pub async fn jira(world: Jira, stream: &str) -> Self {
        Self::with("jira", world, stream).await
    }

    /// The pretend tool with a world of one's own, and one of its streams.
    pub async fn with(tool: &str, world: impl Into<World>, stream: &str) -> Self {
        let stand = stands(&story(1)).into_iter().find(|it| it.tool == tool).unwrap();
        Self::on(Stand { world: world.into(), streams: vec![stream.to_owned()], ..stand }).await
    }

    async fn on(stand: Stand) -> Self {
        let (scheme, token) = stand.authorization();
        let connector = twinflow_connectors::find(stand.tool).unwrap();
        let service = Service::start(stand.world, ServiceOptions::default()).await.unwrap();
        let stream = connector.stream(&stand.streams[0]).unwrap();
        Self {
            connector,
            service,
            stream,
            prefix: stand.path,
            token,
            scheme,
            content_comes_along: stand.content_comes_along,
        }
    }

    pub fn begin(&self) -> Sweep {
        self.connector.begin(&self.stream, &Cursor::default(), now())
    }

    /// Not a first sweep, though one that reads everything: a mark of long ago.
    pub fn begin_later(&self) -> Sweep {
        let long_ago = Cursor { mark: Some(now() - TimeDelta::days(10_000)), ..Cursor::default() };
        self.connector.begin(&self.stream, &long_ago, now())
    }

    pub async fn send(&self, request: &Request) -> Raw {
        let operation = request.operation();
        let pairs: Vec<String> =
            request.query().iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        let body = request.body().unwrap_or_default();
        let url = self.service.url();
        let host = url.strip_prefix("http://").unwrap();
        let head = format!(
            "{} {}{}{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nuser-agent: test\r\n\
             authorization: {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            operation.method.word(),
            self.prefix,
            request.path(),
            self.scheme,
            self.token,
            body.len(),
        );
        let mut wire = TcpStream::connect(host).await.unwrap();
        wire.write_all((head + body).as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        wire.read_to_end(&mut bytes).await.unwrap();
        Raw { operation: Some(operation), ..Raw::read(&bytes) }
    }

    /// The path of an operation in what the service was asked.
    pub fn path_of<'a>(&self, asked: &'a str) -> &'a str {
        asked.strip_prefix(&self.prefix).unwrap_or(asked)
    }

    pub async fn probe(&self) -> Raw {
        self.send(&self.connector.probe().unwrap()).await
    }

    /// One question and one refusal.
    pub async fn refusal(&self) -> Option<Refusal> {
        self.refusal_at(&self.begin()).await
    }

    pub async fn refusal_at(&self, at: &Sweep) -> Option<Refusal> {
        let requests = self.connector.ask(&self.stream, at).unwrap();
        self.connector.refusal(&self.send(&requests[0]).await.answer())
    }

    /// Asks and reads once.
    pub async fn round(&self, at: Sweep) -> Round {
        let requests = self.connector.ask(&self.stream, &at).unwrap();
        assert!(!requests.is_empty(), "a sweep under way has something to ask");
        let mut raws = Vec::new();
        for request in &requests {
            raws.push(self.send(request).await);
        }
        let answers: Vec<Answer> = raws.iter().map(Raw::answer).collect();
        for answer in &answers {
            assert_eq!(self.connector.refusal(answer), None);
        }
        let page = self.connector.read(&self.stream, &at, &answers).unwrap();
        Round { at, requests, raws, page }
    }

    pub async fn sweep(&self, from: Sweep) -> Vec<Round> {
        let (mut at, mut rounds) = (from, Vec::new());
        while !at.is_done() {
            let round = self.round(at).await;
            at = round.page.next.clone();
            rounds.push(round);
            assert!(rounds.len() < 1_000, "the sweep does not end");
        }
        rounds
    }
}

/// One time of asking and reading.
pub struct Round {
    pub at: Sweep,
    pub requests: Vec<Request>,
    pub raws: Vec<Raw>,
    pub page: Page,
}

impl Round {
    pub fn answers(&self) -> Vec<Answer> {
        self.raws.iter().map(Raw::answer).collect()
    }

    pub fn operations(&self) -> Vec<&'static str> {
        self.requests.iter().map(|request| request.operation().name).collect()
    }
}

/// An answer that can be looked into, unlike [`Answer`].
#[derive(Clone)]
pub struct Raw {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub operation: Option<&'static Operation>,
}

fn contract_of(operation: &'static Operation) -> &'static Contract {
    let has = |contract: &&Contract| contract.operations.iter().any(|it| std::ptr::eq(*it, operation));
    ALL.iter().map(|connector| connector.contract()).find(has).unwrap()
}

impl Raw {
    pub fn json(status: u16, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec(), operation: None }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn answer(&self) -> Answer {
        self.answer_with(self.body.clone())
    }

    pub fn answer_with(&self, body: Vec<u8>) -> Answer {
        let answer = Answer::new(self.status, self.headers.clone(), body);
        match self.operation {
            Some(operation) => answer.to(operation, contract_of(operation)),
            None => answer,
        }
    }

    /// The same, as an answer to an operation of a tool.
    pub fn to(self, tool: &str, operation: &str) -> Self {
        let operations = find(tool).unwrap().contract().operations;
        Self { operation: operations.iter().copied().find(|it| it.name == operation), ..self }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().to_owned())
        };
        let raw = Self {
            status,
            headers: lines.map(pair).collect(),
            body: bytes[end + 4..].to_vec(),
            operation: None,
        };
        let length = raw.headers.iter().find(|(name, _)| name == "content-length").expect("a length");
        assert_eq!(length.1, raw.body.len().to_string(), "the whole body");
        raw
    }
}

/// As a URL carries it.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|it| if plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") }).collect()
}

/// What the oracle and an event log have in common: case, activity, resource, time, from, to.
pub type Happening = (String, String, Option<String>, DateTime<Utc>, Option<String>, Option<String>);

/// What happened in the stream, by the oracle.
pub fn truth(stage: &Stage) -> Vec<Happening> {
    let facts = stage.service.facts().into_iter().filter(|fact| fact.stream == stage.stream.name);
    let mut all: Vec<_> =
        facts.map(|it| (it.case, it.activity, it.resource, it.at, it.from, it.to)).collect();
    all.sort();
    all
}

/// What happened, by the events: each counts once however often it was read.
pub fn told<'a>(pages: impl IntoIterator<Item = &'a Page>) -> Vec<Happening> {
    let mut log = BTreeMap::new();
    for page in pages {
        let known_by = |event: &Event| (event.case.clone(), event.activity, event.source.clone());
        for event in &page.events {
            log.entry(known_by(event)).or_insert(event);
        }
        log.extend(page.revised.iter().map(|event| (known_by(event), event)));
        for gone in &page.withdrawn {
            log.remove(&(gone.case.clone(), gone.activity, gone.source.clone()));
        }
    }
    let mut all: Vec<_> = log.into_values().map(happening).collect();
    all.sort();
    all
}

pub fn happening(event: &Event) -> Happening {
    let text = |id: &Option<twinflow_connectors::Opaque>| id.as_ref().map(ToString::to_string);
    (
        event.case.to_string(),
        event.activity.word().to_owned(),
        text(&event.resource),
        event.at,
        text(&event.from),
        text(&event.to),
    )
}

pub fn pages(rounds: &[Round]) -> impl Iterator<Item = &Page> {
    rounds.iter().map(|round| &round.page)
}
