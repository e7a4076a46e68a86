//! `offchain faucet serve`: the faucet in one process, with the code and the
//! tables of the functions.

mod front;
mod work;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use offchain_chains::Chain;
use offchain_faucet_service::{
    Confirmer, Intake, IntakeParts, IntakeSecret, KeyRing, Payer, Sweeper, Wake,
};
use offchain_outbound::{Outbound, Reach};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use self::work::Work;
use crate::aws;
use crate::daemon::{log, stop};
use crate::error::CliError;
use crate::faucet::settings::{Expected, Layer, PAYOUT, POLICY, Settings};
use crate::faucet::{Site, key};
use crate::output::Output;
use crate::stack::Stack;

const HELP: &str = "\
Settings, each over the one before:
  the stack's output `faucet.environment` (--stack; may be left out)
  lines NAME=VALUE of the file that --config names; JSON belongs in single quotes
  the process's environment
  the options above
Their names are those of the functions' variables, FAUCET_*. LOG_LEVEL is info, debug, …

In the file and the environment the names of F11's configuration mean what they meant:
  APIENVIRONMENT   FAUCET_ENVIRONMENT           AWSREGION       the tables' region
  LCDNODE, NODE    REST and RPC of the first    AMOUNT          such as 10photon, in the
                   node of a Cosmos chain                       coin that is paid out
  ORIGINS          origins, comma separated     TIMEOUT         seconds, at most 25
  ACCOUNTADDRESS, PUBLICKEY                     must be the key's, or nothing starts
  PRIVATEKEY, RECAPTCHASECRET                   refused: `faucet key import`, `faucet captcha set`
  REDISENDPOINT, REDISPASSWORD                  ignored: limits are in a table

F11's options:
  -webserver       faucet serve                 -no-limit       --no-limit
  -ip, -port       --address, --port            -no-send        --no-send
  -config          --config                     -no-recaptcha   --no-captcha
  -send ADDRESS    faucet send ADDRESS          -extract        faucet key show
  -no-rdb          nothing to do                -version        offchain --version

Any number of these processes and the functions may work on the same tables.
SIGTERM or SIGINT: no new requests, those under way are answered, the lease is given back:
exit 0; 1 where that takes over 30 s; a second signal ends it at once: exit 130.

Examples:
  offchain faucet serve --port 8080
  offchain faucet serve --address 0.0.0.0 --config f11.conf --no-captcha";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Serve {
    /// The address to listen on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: IpAddr,
    /// The port to listen on; 0 is any that is free.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// A file of settings, one a line.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Send nothing: claims are answered as if they were paid, with the hash SendDisabled.
    #[arg(long)]
    no_send: bool,
    /// No throttle, no cooldowns, no budget.
    #[arg(long)]
    no_limit: bool,
    /// Demand neither a captcha nor a proof of work.
    #[arg(long)]
    no_captcha: bool,
    /// How many claims one transaction pays at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=90))]
    batch: Option<u8>,
    /// How often to look what became of payouts, such as 500ms.
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    poll: SignedDuration,
}

impl Serve {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        // Before anything else, so that no signal ends it half-way.
        let signals = stop::signals()?;
        let poll = Duration::try_from(self.poll)
            .ok()
            .filter(|poll| !poll.is_zero())
            .ok_or_else(|| CliError::input("--poll: expected a positive duration"))?;
        let stack = stack.map(|path| Stack::load(Some(path))).transpose()?;
        let settings = self.settings(stack.as_ref())?;
        log::init();
        for shown in settings.shown() {
            tracing::info!(
                name = shown.name,
                value = shown.value,
                from = shown.from,
                "setting"
            );
        }
        for warning in settings.warnings() {
            tracing::warn!("{warning}");
        }
        let config = settings.config().map_err(|error| match &stack {
            Some(_) => error,
            None => error.and("a stack has all of them (--stack, OFFCHAIN_STACK)"),
        })?;
        let region = settings.region().map(str::to_owned);
        let sdk = aws::serving(region.or(stack.map(|stack| stack.region))).await;
        let site = Site::new(config, sdk)?;
        check_key(&site, settings.expected()).await?;
        let at = (self.address, self.port);
        let unbound =
            |error| CliError::Input(format!("{}, port {}: {error}", self.address, self.port));
        let listener = TcpListener::bind(at).await.map_err(unbound)?;
        let url = format!("http://{}", listener.local_addr().map_err(unbound)?);
        let wake = Arc::new(Notify::new());
        let intake = Arc::new(intake(&site, &wake)?);
        let work = site.config.intake.send.then(|| work(&site, wake, poll));
        output.event(&json!({"url": url}), format!("the faucet is at {url}"))?;
        stop::until_stopped(signals, stop::PATIENCE, async |stop| {
            let front = front::serve(listener, intake, stop.clone());
            match &work {
                Some(work) => tokio::join!(front, work.run(stop)).0,
                None => front.await,
            }
        })
        .await
        .map_err(|error| CliError::Input(format!("the listener: {error}")))
    }

    fn settings(&self, stack: Option<&Stack>) -> Result<Settings, CliError> {
        let mut settings = match stack {
            Some(stack) => Settings::of_stack(&stack.faucet()?.environment),
            None => Settings::default(),
        };
        if let Some(file) = &self.config {
            settings.add_file(file)?;
        }
        settings.add(Layer::Environment, variables());
        self.add_flags(&mut settings);
        Ok(settings)
    }

    fn add_flags(&self, settings: &mut Settings) {
        let mut set = |name, member: &str, value: Value| {
            settings.edit(Layer::Flags, name, |policy| {
                policy.insert(member.to_owned(), value);
                Ok(())
            });
        };
        if self.no_send {
            set(POLICY, "send", false.into());
        }
        if self.no_limit {
            set(POLICY, "limits", false.into());
        }
        if self.no_captcha {
            set(POLICY, "captcha", Value::Null);
            set(POLICY, "proof_of_work", Value::Null);
        }
        if let Some(batch) = self.batch {
            set(PAYOUT, "batch", batch.into());
        }
    }
}

/// The process's variables, as far as they are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A faucet without its key, or with another account's, does not start.
async fn check_key(site: &Site, expected: &Expected) -> Result<(), CliError> {
    if !site.config.intake.send && *expected == Expected::default() {
        return Ok(());
    }
    let key = key::stored(site).await?.ok_or_else(key::none)?;
    let (address, public_key) = (site.chain.sender(&key), key.public_key());
    tracing::info!(address, public_key, "the account");
    if let Some(expected) = &expected.address {
        let given = site
            .chain
            .address(expected)
            .map_err(|error| CliError::Input(format!("ACCOUNTADDRESS: {error}")))?;
        if given != address {
            return Err(CliError::Input(format!(
                "ACCOUNTADDRESS is {given}, and the key's address is {address}"
            )));
        }
    }
    if let Some(expected) = &expected.public_key {
        let given = expected.trim().to_ascii_lowercase();
        if given.strip_prefix("0x").unwrap_or(&given) != public_key {
            return Err(CliError::Input(format!(
                "PUBLICKEY is not the key's: expected {public_key}, compressed and in hexadecimal"
            )));
        }
    }
    Ok(())
}

fn intake(site: &Site, wake: &Arc<Notify>) -> Result<Intake<offchain_chains::Network>, CliError> {
    let config = &site.config;
    // A captcha's provider is a public server, unless a test names its own.
    let reach = match &config.intake.captcha {
        Some(captcha) if captcha.verify_url.is_some() => Reach::Any,
        _ => Reach::Public,
    };
    let secrets = aws_sdk_secretsmanager::Client::new(&site.sdk);
    Ok(Intake::new(IntakeParts {
        chain: site.chain.clone(),
        tables: site.tables.clone(),
        policy: config.intake.clone(),
        network: config.network.clone(),
        secret: IntakeSecret::new(secrets, config.intake_secret_arn.clone()),
        wake: Wake::Local(Arc::clone(wake)),
        outbound: Outbound::new(reach).map_err(CliError::input)?,
    }))
}

fn work(site: &Site, wake: Arc<Notify>, poll: Duration) -> Work<offchain_chains::Network> {
    let secrets = aws_sdk_secretsmanager::Client::new(&site.sdk);
    Work {
        payer: Payer {
            chain: site.chain.clone(),
            tables: site.tables.clone(),
            policy: site.config.payout.clone(),
        },
        keys: KeyRing::new(secrets, site.config.key_secret_arn.clone()),
        sweeper: Sweeper {
            confirmer: Confirmer {
                chain: site.chain.clone(),
                tables: site.tables.clone(),
                policy: site.config.payout.clone(),
                wake: Wake::Local(Arc::clone(&wake)),
            },
        },
        wake,
        sent: Notify::new(),
        poll,
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, secret};

    use super::*;
    use crate::faucet::tests::{environment, evm, site};

    const KEY: &str =
        r#"{"private_key":"0000000000000000000000000000000000000000000000000000000000000001"}"#;
    const ADDRESS: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    const PUBLIC_KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn flags_count_most() {
        let serve = Serve {
            address: [127, 0, 0, 1].into(),
            port: 0,
            config: None,
            no_send: true,
            no_limit: true,
            no_captcha: true,
            batch: Some(1),
            poll: SignedDuration::from_secs(1),
        };
        let mut settings = Settings::of_stack(&environment(&evm()));
        serve.add_flags(&mut settings);
        let config = settings.config().unwrap();
        assert!(!config.intake.send && !config.intake.limits);
        assert_eq!(
            (config.intake.captcha, config.intake.proof_of_work),
            (None, None)
        );
        assert_eq!(config.payout.batch, 1);
    }

    async fn checked(key: &str, address: Option<&str>, public_key: Option<&str>) -> Option<String> {
        let aws = FakeAws::new().always("GetSecretValue", secret("1", key));
        let expected = Expected {
            address: address.map(str::to_owned),
            public_key: public_key.map(str::to_owned),
        };
        let checked = check_key(&site(&aws), &expected).await;
        checked.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_key_has_to_be_there_and_the_expected_one() {
        assert_eq!(checked(KEY, None, None).await, None);
        let (lower, upper) = (ADDRESS.to_lowercase(), PUBLIC_KEY.to_uppercase());
        assert_eq!(checked(KEY, Some(&lower), Some(&upper)).await, None);
        for (key, address, public_key, said) in [
            ("", None, None, "has no key yet"),
            (
                KEY,
                Some("0x52908400098527886E0F7030069857D2E4169EE7"),
                None,
                "ACCOUNTADDRESS is 0x5290",
            ),
            (
                KEY,
                Some("cosmos1abc"),
                None,
                "ACCOUNTADDRESS: the address is not usable",
            ),
            (
                KEY,
                None,
                Some("cosmospub1abc"),
                "PUBLICKEY is not the key's",
            ),
        ] {
            let error = checked(key, address, public_key).await.unwrap();
            assert!(error.contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn a_faucet_that_sends_nothing_needs_no_key() {
        let aws = FakeAws::new();
        let mut site = site(&aws);
        site.config.intake.send = false;
        check_key(&site, &Expected::default()).await.unwrap();
        assert!(aws.calls().is_empty());
    }
}
