//! The way from the host into a node's network: a process that listens outside and dials inside.
//!
//! A socket stays in the network namespace in which it was made. So the forwarder first listens,
//! then moves into the node's namespace, and dials from there; the host's network is not touched.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::network::LOCALHOST;
use crate::state::write_atomically;

/// What to forward.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// A process in the network namespace to enter.
    #[arg(long)]
    pub pid: i32,
    /// The address to dial there.
    #[arg(long)]
    pub to: SocketAddr,
    /// The file that gets the number of the port on 127.0.0.1.
    #[arg(long)]
    pub port_file: PathBuf,
}

/// Forwards until the process is killed.
///
/// Must be called while the process has one thread only: a thread enters a namespace alone.
pub fn run(config: &Config) -> Result<()> {
    let listener = TcpListener::bind((LOCALHOST, 0)).context("cannot listen on 127.0.0.1")?;
    let port = listener.local_addr()?.port();
    let namespace = format!("/proc/{}/ns/net", config.pid);
    let namespace = File::open(&namespace).with_context(|| format!("cannot open {namespace}"))?;
    setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listener, config.to, port, &config.port_file))
}

async fn serve(listener: TcpListener, to: SocketAddr, port: u16, port_file: &Path) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    write_atomically(port_file, port.to_string().as_bytes())?;
    loop {
        let (outside, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A refused connection is closed, and the caller sees that.
            if let Err(error) = forward(outside, to).await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

async fn forward(mut outside: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    outside.set_nodelay(true)?;
    let mut inside = TcpStream::connect(to).await?;
    inside.set_nodelay(true)?;
    copy_bidirectional(&mut outside, &mut inside).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wait::wait_for;

    #[tokio::test]
    async fn bytes_pass_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let port_file = dir.path().join("port");
        let server = tokio::net::TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let to = server.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"pong").await.unwrap();
        });
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = port_file.clone();
        let forwarder = tokio::spawn(async move { serve(listener, to, port, &file).await });

        let written = wait_for("the port file", Duration::from_secs(5), async || {
            std::fs::read_to_string(&port_file).ok()
        });
        assert_eq!(written.await.unwrap(), port.to_string());
        let mut client = TcpStream::connect((LOCALHOST, port)).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "pong");
        forwarder.abort();
    }
}
