//! The server as a program: `gristmill-loopback-s3 --directory DIR --bucket NAME`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use gristmill_loopback_s3::{Backing, Config, Server};

/// Shows a directory as a bucket of an S3-compatible server on 127.0.0.1, until it is ended.
///
/// The first line it prints is the server's address. Files replaced on disk are changed objects at the next listing.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The directory whose files are the objects.
    #[arg(long)]
    directory: PathBuf,
    /// The bucket's name.
    #[arg(long)]
    bucket: String,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The access key id that requests must carry.
    #[arg(long)]
    access_key: String,
    /// The file that holds the secret access key; white space round it does not count.
    #[arg(long)]
    secret_key_file: PathBuf,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let server = Server::start(Config {
        access_key: arguments.access_key,
        secret_key: std::fs::read_to_string(arguments.secret_key_file)?.trim().to_owned(),
        port: arguments.port,
        buckets: vec![(arguments.bucket, Backing::Directory(arguments.directory))],
    })?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", server.endpoint())?;
    out.flush()?;
    drop(out);
    server.wait();
    Ok(())
}
