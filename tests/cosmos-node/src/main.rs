//! The stand-in as a program.

mod options;

use std::io::{self, Write as _};
use std::process::ExitCode;

use cosmos_node::{Node, SetupError};
use options::Run;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

const USAGE_ERROR: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let run = match options::read(std::env::args().skip(1)) {
        Ok(Some(run)) => run,
        Ok(None) => return exit_code(io::stdout().write_all(options::USAGE.as_bytes())),
        Err(message) => {
            say(&format!("{message}\n\n{}", options::USAGE));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    // What cannot be set up was asked for in the options, too.
    let (node, peers) = match start(run).await {
        Ok(started) => started,
        Err(error) => {
            say(&format!("{error}\n"));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    exit_code(serve(&node, &peers).await)
}

async fn start(run: Run) -> Result<(Node, Vec<Node>), SetupError> {
    let node = Node::start(run.genesis).await?;
    let mut peers = Vec::new();
    for _ in 0..run.peers {
        peers.push(node.peer().await?);
    }
    Ok((node, peers))
}

async fn serve(node: &Node, peers: &[Node]) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ready = urls(node);
    if !peers.is_empty() {
        ready["peers"] = peers.iter().map(urls).collect();
    }
    let mut out = io::stdout();
    writeln!(out, "{ready}")?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn urls(node: &Node) -> Value {
    json!({"rest": node.rest_url, "rpc": node.rpc_url})
}

fn exit_code(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    // There is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}
