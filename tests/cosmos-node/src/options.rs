//! The command line.

use std::time::Duration;

use cosmos_node::Genesis;

pub(crate) const USAGE: &str = "\
A stand-in for a Cosmos SDK 0.43 node.

Usage: cosmos-node [OPTIONS]

  --rest ADDRESS:PORT           where the REST API listens; port 0 takes any
                                free port [127.0.0.1:0]
  --rpc ADDRESS:PORT            where the RPC listens [127.0.0.1:0]
  --chain-id ID                 [stand-in-1]
  --prefix PREFIX               what addresses begin with [cosmos]
  --fund ADDRESS=SUM,...        an account and what it has, such as
                                1000stake,5uatom (repeatable)
  --min-gas-price PRICE,...     the least fee for a unit of gas; empty for none
                                [0.025stake]
  --block-ms MILLISECONDS       the time between two blocks [1000]
  --block-address ADDRESS       an address that cannot be paid (repeatable)
  --peers NUMBER                other nodes of the same chain, on any free
                                ports of 127.0.0.1 [0]
  --help

When it is ready, it writes one line of JSON to standard output: where its REST
API and its RPC are, and those of its peers. It ends on SIGTERM and SIGINT.
";

/// What the command line asks for: a chain and its nodes.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) genesis: Genesis,
    pub(crate) peers: usize,
}

/// Reads options: `--name value` or `--name=value`. Nothing is to be run where
/// help is asked for.
pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Option<Run>, String> {
    let mut run = Run {
        genesis: Genesis::default(),
        peers: 0,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        if !NAMES.contains(&name.as_str()) {
            return Err(format!("unknown option {name}"));
        }
        let value = value.or_else(|| arguments.next());
        let value = value.ok_or_else(|| format!("{name} has no value"))?;
        set(&mut run, &name, value)?;
    }
    Ok(Some(run))
}

const NAMES: [&str; 9] = [
    "--rest",
    "--rpc",
    "--chain-id",
    "--prefix",
    "--fund",
    "--min-gas-price",
    "--block-ms",
    "--block-address",
    "--peers",
];

fn set(run: &mut Run, name: &str, value: String) -> Result<(), String> {
    let genesis = &mut run.genesis;
    let wrong = |what: &str| format!("{name} is not {what}: {value}");
    match name {
        "--rest" => genesis.rest = value.parse().map_err(|_| wrong("an address and a port"))?,
        "--rpc" => genesis.rpc = value.parse().map_err(|_| wrong("an address and a port"))?,
        "--chain-id" => genesis.chain_id = value,
        "--prefix" => genesis.prefix = value,
        "--min-gas-price" => genesis.min_gas_price = value,
        "--block-address" => genesis.blocked.push(value),
        "--peers" => run.peers = value.parse().map_err(|_| wrong("a number"))?,
        "--block-ms" => {
            let ms = value.parse().map_err(|_| wrong("a number"))?;
            genesis.block_time = Some(Duration::from_millis(ms));
        }
        _ => {
            let fund = value.split_once('=');
            let (address, sum) = fund.ok_or_else(|| wrong("ADDRESS=SUM"))?;
            genesis.funds.push((address.to_owned(), sum.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Option<Run>, String> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_options_in_both_forms() {
        let line = "--chain-id=probe-1 --rest 127.0.0.1:7 --fund cosmos1a=5stake,6uatom \
                    --fund=cosmos1b=7stake --block-ms 250 --peers 2 --min-gas-price=";
        let run = asked(line).unwrap().unwrap();
        let genesis = run.genesis;
        assert_eq!(genesis.chain_id, "probe-1");
        assert_eq!(genesis.rest.port(), 7);
        assert_eq!(genesis.block_time, Some(Duration::from_millis(250)));
        assert_eq!(genesis.min_gas_price, "");
        let fund = |address: &str, sum: &str| (address.to_owned(), sum.to_owned());
        assert_eq!(
            genesis.funds,
            [
                fund("cosmos1a", "5stake,6uatom"),
                fund("cosmos1b", "7stake")
            ]
        );
        assert_eq!(run.peers, 2);
        assert!(asked("--peers 1 --help").unwrap().is_none());
    }

    #[test]
    fn says_what_is_wrong() {
        let refused = |line: &str| asked(line).unwrap_err();
        assert_eq!(refused("--nonsense 1"), "unknown option --nonsense");
        assert_eq!(refused("nonsense"), "unknown option nonsense");
        assert_eq!(refused("--peers"), "--peers has no value");
        assert_eq!(refused("--fund abc"), "--fund is not ADDRESS=SUM: abc");
        assert_eq!(refused("--block-ms=x"), "--block-ms is not a number: x");
        assert_eq!(refused("--rpc 7"), "--rpc is not an address and a port: 7");
    }
}
