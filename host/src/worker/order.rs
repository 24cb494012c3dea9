//! What crosses from the parent to the child, once: two lengths, the order and the request as JSON, and beside the
//! lengths the input file's descriptor.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::Limits;

/// The most a request may weigh, in bytes. Settings and names are kilobytes.
const LARGEST: usize = 16 << 20;

/// What the child must know before it looks at its request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The parent's process id. Another one at the child's birth means that the parent is gone already.
    pub(super) parent: i32,
    /// What the child sets for itself.
    pub(super) limits: Limits,
}

/// What a child received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) order: Order,
    pub(super) request: Vec<u8>,
    pub(super) input: Option<File>,
}

pub(super) fn send(
    mut socket: &UnixStream,
    limits: &Limits,
    request: &impl Serialize,
    input: Option<&File>,
) -> io::Result<()> {
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let order = serde_json::to_vec(&Order { parent, limits: *limits })?;
    let request = serde_json::to_vec(request)?;
    if request.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the request is too large"));
    }
    let mut lengths = [0; 8];
    lengths[..4].copy_from_slice(&(order.len() as u32).to_le_bytes());
    lengths[4..].copy_from_slice(&(request.len() as u32).to_le_bytes());

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = input.map(|file| [file.as_fd()]);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    // A fresh socket has room for eight bytes; a short send would be a broken kernel.
    let sent = sendmsg(socket, &[IoSlice::new(&lengths)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent != lengths.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    socket.write_all(&order)?;
    socket.write_all(&request)
}

pub(super) fn receive(mut socket: &UnixStream) -> io::Result<Received> {
    let mut lengths = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut lengths)];
    let message = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL)?;
    if message.bytes != 8 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut input = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            input = descriptors.last().map(File::from);
        }
    }
    let [a, b, c, d, e, f, g, h] = lengths;
    let mut read = |length: u32| -> io::Result<Vec<u8>> {
        let length = length as usize;
        if length > LARGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        socket.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let order = serde_json::from_slice(&read(u32::from_le_bytes([a, b, c, d]))?)?;
    let request = read(u32::from_le_bytes([e, f, g, h]))?;
    Ok(Received { order, request, input })
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_order_crosses_with_its_file() {
        let (parent, child) = UnixStream::pair().unwrap();
        let limits =
            Limits { cpu: Duration::from_secs(1), wall: Duration::from_millis(1500), memory: 3, output: 1 << 40 };
        let file = crate::worker::file_of(b"the input").unwrap();
        send(&parent, &limits, &["request"], Some(&file)).unwrap();
        let received = receive(&child).unwrap();
        assert_eq!(received.order.limits, limits);
        assert_eq!(received.request, b"[\"request\"]");
        let mut text = String::new();
        let mut input = received.input.unwrap();
        input.rewind().unwrap();
        input.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the input");

        send(&parent, &limits, &(), None).unwrap();
        assert!(receive(&child).unwrap().input.is_none());
        drop(parent);
        assert_eq!(receive(&child).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
