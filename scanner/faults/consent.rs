//! A person at the consent page: follows the address that `twinflow connect` printed, by the tiniest of browsers.

use crate::program::{Program, Ran};
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use twinflow_fixtures::oauth::CLIENT_SECRET;
use url::Url;

/// Runs this line, consents, and waits for its end.
pub(crate) async fn dance(program: &Program, line: &str) -> Result<Ran> {
    let (mut command, line) = (program.command(line), line.to_owned());
    let dancing = tokio::task::spawn_blocking(move || {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // A tool whose apps have no secret does not ask for it.
        let _ = writeln!(child.stdin.take().context("no input")?, "{CLIENT_SECRET}");
        let (mut said, mut err) = (String::new(), BufReader::new(child.stderr.take().context("no output")?));
        loop {
            let before = said.len();
            if err.read_line(&mut said)? == 0 {
                break;
            }
            if said[before..].starts_with("http") {
                let back = get(&Url::parse(said[before..].trim())?)?.context("no consent was given")?;
                get(&Url::parse(&back)?)?;
            }
        }
        Ok(Ran { line, code: child.wait()?.code(), err: said })
    });
    dancing.await?
}

/// Where the answer leads, if anywhere.
fn get(url: &Url) -> Result<Option<String>> {
    let host = format!("{}:{}", url.host_str().context("no host")?, url.port().context("no port")?);
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let mut wire = TcpStream::connect(&host)?;
    let head = format!("GET {}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", url.path());
    wire.write_all(head.as_bytes())?;
    let mut answer = String::new();
    wire.read_to_string(&mut answer)?;
    Ok(answer.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned))
}
