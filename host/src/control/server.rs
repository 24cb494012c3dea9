//! The daemon's end of the socket.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{ControlError, LARGEST_ATTACHMENT, LONGEST_REQUEST, Refusal, Reply, Request, socket_path};

/// What answers requests.
pub trait Answers: Send + Sync + 'static {
    /// Answers one request; every line goes to `reply`, the last being `done` or `failed`.
    fn answer(self: Arc<Self>, request: Request, reply: mpsc::Sender<Reply>) -> impl Future<Output = ()> + Send;
}

/// Binds the socket and answers until the returned task is aborted. The directory is made where it is missing; a socket
/// file that nobody listens on is replaced, and one that another daemon listens on is not taken from it.
pub fn listen<A: Answers>(
    runtime_directory: &Path,
    answers: Arc<A>,
) -> Result<tokio::task::JoinHandle<()>, ControlError> {
    let path = socket_path(runtime_directory);
    let failed = |what| {
        let path = path.clone();
        move |source| ControlError::Socket { what, path, source }
    };
    // Under systemd it is there already; its group is what lets others connect.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(runtime_directory);
    made.map_err(failed("make the directory of"))?;
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(ControlError::InUse { path });
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed("bind"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).map_err(failed("set the mode of"))?;
    Ok(tokio::spawn(async move {
        loop {
            // An accept that fails (too many descriptors, say) must not end the daemon nor spin.
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&answers)))),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }))
}

async fn serve<A: Answers>(stream: UnixStream, answers: Arc<A>) {
    let user = stream.peer_cred().ok().map(|peer| peer.uid());
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LONGEST_REQUEST));
    if read.read_line(&mut line).await.is_err() {
        return;
    }
    let (reply, mut replies) = mpsc::channel(64);
    match serde_json::from_str::<Request>(&line) {
        Ok(request) if !request.is_allowed(user, geteuid().as_raw()) => {
            let refusal = Refusal::new("only root and the daemon's own user may ask this of a running daemon");
            let _ = reply.send(Reply::Failed(refusal)).await;
            drop(reply);
        }
        Ok(request) if request.attachment().is_some_and(|attachment| attachment.length() > LARGEST_ATTACHMENT) => {
            let refusal = Refusal::new(format!("more than {LARGEST_ATTACHMENT} bytes cannot follow a request"));
            let _ = reply.send(Reply::Failed(refusal)).await;
            drop(reply);
        }
        Ok(mut request) => {
            if let Some(attachment) = request.attachment_mut() {
                let mut bytes = Vec::new();
                read.get_mut().set_limit(attachment.length());
                let came = (&mut read).take(attachment.length()).read_to_end(&mut bytes).await;
                if came.is_err() || !attachment.fill(bytes) {
                    return;
                }
            }
            drop(tokio::spawn(answers.answer(request, reply)));
        }
        Err(_) => {
            let refusal = Refusal::new("the daemon does not know this request")
                .hint("the command line and the daemon may be of different versions");
            let _ = reply.send(Reply::Failed(refusal)).await;
            drop(reply);
        }
    }
    while let Some(reply) = replies.recv().await {
        let Ok(mut line) = serde_json::to_vec(&reply) else { return };
        line.push(b'\n');
        // Whoever asked may have gone; the work goes on.
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
}
