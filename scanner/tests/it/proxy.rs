//! The proxy of `just faults`: a fault that does not strike would prove nothing.

#[path = "../../faults/proxy.rs"]
mod real;

use real::{Flow, Proxy};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A server that says back what it hears, and tells the test of it.
async fn echo() -> (Proxy, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut wire, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = wire.read(&mut buffer).await {
                    let _ = tell.send(buffer[..length].to_vec());
                    let _ = wire.write_all(&buffer[..length]).await;
                }
            });
        }
    });
    (proxy, heard)
}

async fn ask(wire: &mut TcpStream, what: &[u8]) -> std::io::Result<Vec<u8>> {
    wire.write_all(what).await?;
    let mut buffer = [0; 1024];
    let length = wire.read(&mut buffer).await?;
    Ok(buffer[..length].to_vec())
}

/// Neither an answer nor an end of the connection.
async fn hears_nothing(wire: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(150), wire.read(&mut [0; 16])).await.is_err()
}

#[tokio::test]
async fn a_proxy_that_behaves_brings_everything_both_ways() {
    let (proxy, _heard) = echo().await;
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    let long = vec![7; 900];
    for what in [&b"hello"[..], &long] {
        assert_eq!(ask(&mut wire, what).await.unwrap(), what);
    }
    wire.shutdown().await.unwrap();
    assert_eq!(wire.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_stalled_comes_later_and_what_is_lost_never() {
    let (proxy, mut heard) = echo().await;
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.rule(|rules| rules.down = Flow::Stall);
    wire.write_all(b"one").await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), b"one");
    assert!(hears_nothing(&mut wire).await);
    proxy.behave();
    let mut answer = [0; 3];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"one");

    proxy.rule(|rules| rules.up = Flow::Lose);
    wire.write_all(b"two").await.unwrap();
    assert!(hears_nothing(&mut wire).await);
    proxy.behave();
    assert_eq!(ask(&mut wire, b"three").await.unwrap(), b"three");
    assert_eq!(heard.recv().await.unwrap(), b"three");
}

#[tokio::test]
async fn a_cut_ends_what_stands_and_a_refusal_whoever_comes() {
    let (proxy, _heard) = echo().await;
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut wire, b"here").await.unwrap(), b"here");
    proxy.cut();
    assert!(matches!(wire.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut wire, b"again").await.unwrap(), b"again");
    // A stall does not keep a connection from being cut.
    proxy.rule(|rules| rules.up = Flow::Stall);
    wire.write_all(b"stuck").await.unwrap();
    proxy.rule(|rules| rules.refuse = true);
    proxy.cut();
    assert!(matches!(wire.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(matches!(wire.read(&mut [0; 16]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn an_answer_is_lost_after_the_server_has_heard_the_question() {
    let (proxy, mut heard) = echo().await;
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.lose_answer_to(b"COMMIT", 1);
    assert_eq!(ask(&mut wire, b"BEGIN").await.unwrap(), b"BEGIN");
    assert_eq!(ask(&mut wire, b"first COMMIT").await.unwrap(), b"first COMMIT");
    assert!(matches!(ask(&mut wire, b"second COMMIT").await.as_deref(), Ok([]) | Err(_)));
    let mut said = vec![];
    while said.last().is_none_or(|it| it != b"second COMMIT") {
        said.push(heard.recv().await.unwrap());
    }
    assert_eq!(proxy.sprung(), 1);
    let mut wire = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut wire, b"third COMMIT").await.unwrap(), b"third COMMIT");
}
