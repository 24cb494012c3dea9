use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;
use crate::secrets::SecretString;

/// What a receiver was sent: headers in lower case, and the body.
type Got = (Vec<String>, String);

/// A receiver on this machine that gives these answers, one a connection.
fn receiver(answers: &'static [&'static str]) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?token=hush", listener.local_addr().unwrap());
    let (send, got) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end() {
                    "" => break,
                    line => headers.push(line.to_ascii_lowercase()),
                }
            }
            let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            send.send((headers, String::from_utf8(body).unwrap())).unwrap();
        }
    });
    (url, got)
}

fn receiver_at(url: &str) -> Option<Receiver> {
    let secret = Some(SecretString::from("shared".to_owned()));
    Some(Receiver { url: SecretString::from(url.to_owned()), secret })
}

fn webhook(url: &str, tenant: Option<&str>) -> Webhook {
    let tenant = tenant.map(|tenant| tenant.parse().unwrap());
    Webhook { name: "night".into(), tenant, receiver: Box::pin(std::future::ready(receiver_at(url))) }
}

fn notice(about: &str) -> Notice {
    let (tenant, integration) = ("acme".parse().unwrap(), "daily".parse().unwrap());
    Notice::new(Kind::Overdue, &tenant, &integration, about, Timestamp::UNIX_EPOCH)
}

/// R20
#[tokio::test]
async fn a_notice_is_tried_again_until_it_is_taken_under_one_id_and_signed() {
    const BUSY: &str = "503 Busy\r\nretry-after: 0";
    let (url, got) = receiver(&[BUSY, BUSY, "204 Taken"]);
    let outbox = Outbox::default();
    outbox.open(vec![webhook(&url, None)]);
    outbox.tell(&notice("one"));
    outbox.drain(Duration::from_secs(60)).await;
    let all: Vec<Got> = got.iter().collect();
    assert_eq!(all.len(), 3);
    for (headers, body) in &all {
        let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(headers[0], "post /hook?token=hush http/1.1");
        assert_eq!(header("gristmill-id: "), notice("one").id);
        assert!(header("gristmill-signature: ").starts_with("t="));
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&told["kind"], &told["integration"]), (&"overdue".into(), &"daily".into()));
    }
}

/// R13
#[tokio::test]
async fn nobody_is_told_of_another_tenants_integration() {
    let (url, got) = receiver(&["200 OK"]);
    let outbox = Outbox::default();
    outbox.open(vec![webhook(&url, Some("acme")), webhook("http://127.0.0.1:1/", Some("other"))]);
    outbox.tell(&notice("one"));
    outbox.drain(Duration::from_secs(60)).await;
    assert_eq!(got.iter().count(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_not_tried_again() {
    let (url, got) = receiver(&["307 Elsewhere\r\nlocation: http://127.0.0.1:1/", "200 OK"]);
    let outbox = Outbox::default();
    outbox.open(vec![webhook(&url, None)]);
    outbox.tell(&notice("one"));
    outbox.tell(&notice("two"));
    outbox.drain(Duration::from_secs(60)).await;
    let ids: Vec<serde_json::Value> = got.iter().map(|(_, body)| serde_json::from_str(&body).unwrap()).collect();
    assert_eq!(ids[0]["id"], notice("one").id);
    assert_eq!(ids[1]["id"], notice("two").id);
}

#[tokio::test]
async fn a_notice_waits_for_an_address_that_is_still_read() {
    let (url, got) = receiver(&["200 OK"]);
    let (read, reading) = tokio::sync::oneshot::channel();
    let outbox = Outbox::default();
    let receiver = Box::pin(async { reading.await.unwrap() });
    outbox.open(vec![Webhook { receiver, ..webhook(&url, None) }]);
    outbox.tell(&notice("one"));
    let drained = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.drain(Duration::from_secs(60)).await }
    });
    read.send(receiver_at(&url)).unwrap();
    drained.await.unwrap();
    assert_eq!(got.iter().count(), 1);
}

#[tokio::test]
async fn nobody_waits_for_an_address_when_there_is_nothing_to_tell() {
    let outbox = Outbox::default();
    let receiver = Box::pin(std::future::pending());
    outbox.open(vec![Webhook { receiver, ..webhook("http://127.0.0.1:1/", None) }]);
    let began = std::time::Instant::now();
    outbox.drain(Duration::from_secs(600)).await;
    assert!(began.elapsed() < Duration::from_secs(300));
}
