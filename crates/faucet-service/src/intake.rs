//! Claims over HTTP. What costs nothing is checked first, and nothing is
//! written before everything is in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, VARY,
};
use jiff::{SignedDuration, Timestamp};
use offchain_chains::Chain;
use offchain_codes::chain as causes;
use offchain_faucet::{
    Captcha, Challenge, ChallengeError, ClaimBody, ClaimStatus, IdempotencyKey,
    IdempotencyKeyError, IntakePolicy, Judgement, ProofOfWork, Source, budget_day, budget_resets,
    captcha, challenge, random_claim_id,
};
use offchain_function::http::{Public, body, header, json, problem};
use offchain_outbound::{Outbound, Post, Url};
use offchain_store::faucet::{Claim, Counted, Refusal, Reservation, Reserved};
use serde_json::{Value, json};

use crate::error::seconds;
use crate::view::{Accepted, ClaimView, Committed};
use crate::{IntakeError, IntakeSecret, Tables, Wake, WakeMessage, page};

/// The largest body, in bytes.
pub(crate) const BODY_LIMIT: usize = 8192;
/// How long the captcha's provider may take, and how much it may say.
const CAPTCHA_TIMEOUT: Duration = Duration::from_secs(5);
const CAPTCHA_LIMIT: usize = 16 * 1024;
/// How often a claim is looked at while the caller waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many claims that wait are counted for the status.
const COUNTED: usize = 1000;

const ROUTES: [(&str, &str); 7] = [
    ("/", "GET"),
    ("/v1/claim", "POST"),
    ("/v1/claims/{id}", "GET"),
    ("/v1/challenge", "GET"),
    ("/v1/status", "GET"),
    ("/faucet", "GET"),
    ("/faucet/{file}", "GET"),
];

/// What an intake is made of.
pub struct IntakeParts<C> {
    /// The chain, whose addresses are checked.
    pub chain: C,
    /// The tables.
    pub tables: Tables,
    /// Who may claim how much.
    pub policy: IntakePolicy,
    /// The network's name.
    pub network: String,
    /// What is kept secret.
    pub secret: IntakeSecret,
    /// How the payer hears of a claim.
    pub wake: Wake,
    /// Where the captcha's provider is asked.
    pub outbound: Outbound,
}

/// Takes claims.
pub struct Intake<C> {
    parts: IntakeParts<C>,
    hurries: AtomicBool,
}

impl<C: Chain> Intake<C> {
    /// An intake of these parts.
    pub fn new(parts: IntakeParts<C>) -> Self {
        Self {
            parts,
            hurries: AtomicBool::new(false),
        }
    }

    /// From now on no answer waits for a block: the process is about to end.
    pub fn hurry(&self) {
        self.hurries.store(true, Ordering::Relaxed);
    }

    /// Answers one request. Every failure is an answer too.
    pub async fn answer(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        let mut reply = match self.serve(request).await {
            Ok(reply) => reply,
            Err(error) => refusal(&error),
        };
        self.allow_origin(request, &mut reply.headers);
        reply
    }

    async fn serve(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let route = request.route_key.as_deref().unwrap_or_default();
        match route {
            "GET /" => Ok(json(200, &self.greeting())),
            "POST /v1/claim" => self.claim(request).await,
            "GET /v1/claims/{id}" => self.look(request).await,
            "GET /v1/challenge" => self.challenge(request).await,
            "GET /v1/status" => Ok(json(200, &self.status().await?)),
            "GET /faucet" => Ok(page::index(self.parts.policy.captcha.as_ref())),
            "GET /faucet/{file}" => page::file(parameter(request, "file"))
                .ok_or_else(|| IntakeError::Route(path(request).to_owned())),
            _ => match route.split_once(' ') {
                Some(("OPTIONS", _)) => Ok(preflight(route)),
                Some((method, at)) if ROUTES.iter().any(|(path, _)| *path == at) => {
                    Err(IntakeError::Method(method.to_owned()))
                }
                _ => Err(IntakeError::Route(path(request).to_owned())),
            },
        }
    }

    fn greeting(&self) -> Value {
        json!({
            "message": "",
            "name": self.parts.network,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    async fn claim(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let IntakeParts { tables, policy, .. } = &self.parts;
        let asked = ClaimBody::from_json(&body(request, BODY_LIMIT)?)?;
        let address = self.parts.chain.address(&asked.address)?;
        let key = idempotency_key(request)?;
        self.check_origin(request)?;
        let wait = self.wait(request);
        if let Some(key) = &key
            && let Some(claim) = tables.desk.claims.get(&key.claim_id()).await?
        {
            return self.repeated(claim, &address, wait).await;
        }
        let source = self.source(request)?;
        let now = Timestamp::now();
        let judgement = self.throttle(&source, now).await?;
        let used = self
            .check_person(&asked.response, &address, &source, now)
            .await?;
        if !policy.send {
            let reply = json(
                200,
                &Committed {
                    message: ClaimStatus::Committed.message(),
                    hash: "SendDisabled",
                    height: 0,
                    claim_id: None,
                },
            );
            return Ok(limited(reply, judgement.as_ref()));
        }
        let claim_id = key.map_or_else(|| random_claim_id(rand::random()), |key| key.claim_id());
        let reserved = tables
            .desk
            .reserve(&Reservation {
                claim_id: &claim_id,
                address: &address,
                amount: policy.amount,
                now,
                patience: duration(policy.claim_deadline_seconds),
                retention: SignedDuration::from_hours(24 * i64::from(policy.retention_days)),
                limits: policy.limits.then(|| Counted {
                    source: source.as_str(),
                    address_cooldown: Duration::from_secs(policy.address_cooldown_seconds),
                    source_claims: policy.source.claims,
                    source_window: Duration::from_secs(policy.source.window_seconds),
                    daily_budget: policy.daily_budget,
                }),
                challenge: used.as_ref().map(|used| (used.id.as_str(), used.expires)),
            })
            .await?;
        let claim = match reserved {
            Reserved::New(claim) => *claim,
            Reserved::Existing(claim) => return self.repeated(*claim, &address, wait).await,
            Reserved::Refused(refusal) => return Err(self.refused(&refusal, now)),
        };
        let message = WakeMessage::Claim {
            claim_id: claim_id.clone(),
        };
        if let Err(error) = self.parts.wake.send(&message).await {
            // The claim is written: the sweep wakes the payer within a minute.
            tracing::warn!(error = causes(&error), claim_id, "the payer was not woken");
        }
        let claim = self.await_block(claim, wait).await?;
        Ok(limited(claim_reply(&claim)?, judgement.as_ref()))
    }

    /// The same claim asked for again: told as it is, and nothing else.
    async fn repeated(
        &self,
        claim: Claim,
        address: &str,
        wait: Duration,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        if claim.address != address {
            return Err(IntakeError::IdempotencyKeyReused);
        }
        let claim = self.await_block(claim, wait).await?;
        claim_reply(&claim)
    }

    /// Waits until a block has the claim's transaction, or the claim has ended.
    async fn await_block(&self, mut claim: Claim, wait: Duration) -> Result<Claim, IntakeError> {
        let began = Instant::now();
        while matches!(claim.status, ClaimStatus::Queued | ClaimStatus::Sent)
            && began.elapsed() < wait
            && !self.hurries.load(Ordering::Relaxed)
        {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.parts.tables.desk.claims.get(&claim.claim_id).await {
                Ok(Some(newer)) => claim = newer,
                Ok(None) => break,
                // The claim is written; the caller can look at it later.
                Err(error) => {
                    tracing::warn!(error = causes(&error), "the claim could not be looked at");
                    break;
                }
            }
        }
        Ok(claim)
    }

    /// How long the caller wants to wait (RFC 7240), at most what is allowed.
    fn wait(&self, request: &ApiGatewayV2httpRequest) -> Duration {
        let most = u64::from(self.parts.policy.wait_seconds);
        let asked = header(request, "prefer").and_then(|prefer| {
            prefer.split(',').find_map(|preference| {
                let preference = preference.trim();
                if preference.eq_ignore_ascii_case("respond-async") {
                    return Some(0);
                }
                let (name, value) = preference.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("wait")
                    .then(|| value.trim().parse().ok())?
            })
        });
        Duration::from_secs(asked.unwrap_or(most).min(most))
    }

    fn source(&self, request: &ApiGatewayV2httpRequest) -> Result<Source, IntakeError> {
        let peer = request.request_context.http.source_ip.as_deref();
        Ok(Source::of(
            peer.unwrap_or_default(),
            header(request, "x-forwarded-for"),
            self.parts.policy.trusted_proxies,
        )?)
    }

    async fn throttle(
        &self,
        source: &Source,
        now: Timestamp,
    ) -> Result<Option<Judgement>, IntakeError> {
        let policy = &self.parts.policy;
        if !policy.limits {
            return Ok(None);
        }
        let limits = &self.parts.tables.desk.limits;
        let judgement = limits
            .throttle(source.as_str(), &policy.throttle.gcra(), now)
            .await?;
        if judgement.allowed {
            Ok(Some(judgement))
        } else {
            Err(IntakeError::Limit(judgement))
        }
    }

    /// Whether the one who asks has done what is demanded; where that is a
    /// challenge, which.
    async fn check_person(
        &self,
        response: &str,
        address: &str,
        source: &Source,
        now: Timestamp,
    ) -> Result<Option<challenge::Used>, IntakeError> {
        let policy = &self.parts.policy;
        if let Some(captcha) = &policy.captcha {
            self.check_captcha(captcha, response, source).await?;
            return Ok(None);
        }
        let Some(work) = &policy.proof_of_work else {
            return Ok(None);
        };
        let keys = self.parts.secret.keys(|_| true).await?;
        let key = keys.challenge_key.as_slice();
        Ok(Some(challenge::verify(key, address, response, now, work)?))
    }

    async fn check_captcha(
        &self,
        captcha: &Captcha,
        response: &str,
        source: &Source,
    ) -> Result<(), IntakeError> {
        if response.is_empty() {
            return Err(IntakeError::CaptchaMissing);
        }
        let keys = self
            .parts
            .secret
            .keys(|keys| keys.captcha_secret.is_some())
            .await?;
        let secret = keys.captcha_secret.as_deref();
        let form = captcha::form(secret.map_or("", String::as_str), response, Some(source));
        let url: Url = captcha
            .endpoint()
            .parse()
            .map_err(|_| IntakeError::SecretInvalid)?;
        let answer = self
            .parts
            .outbound
            .post(&Post {
                url: &url,
                headers: &[],
                content_type: "application/x-www-form-urlencoded",
                body: form.as_bytes(),
                timeout: CAPTCHA_TIMEOUT,
                limit: CAPTCHA_LIMIT,
            })
            .await
            .map_err(IntakeError::CaptchaProvider)?;
        Ok(captcha::judge(&answer, captcha)?)
    }

    fn refused(&self, refusal: &Refusal, now: Timestamp) -> IntakeError {
        let until = |time: &Timestamp| seconds(time.duration_since(now).as_millis()).max(1);
        match refusal {
            Refusal::Address(time) => IntakeError::AddressCooldown {
                seconds: until(time),
            },
            Refusal::Source(time) => IntakeError::SourceCooldown {
                claims: self.parts.policy.source.claims,
                seconds: until(time),
            },
            Refusal::Budget(time) => IntakeError::Budget {
                seconds: until(time),
            },
            Refusal::Challenge => ChallengeError::Used.into(),
        }
    }

    async fn look(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let id = parameter(request, "id");
        let readable = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let claim = match readable {
            true => self.parts.tables.desk.claims.get(id).await?,
            false => None,
        };
        match claim {
            Some(claim) => Ok(json(200, &ClaimView::from(&claim))),
            None => Err(IntakeError::NotFound(id.chars().take(64).collect())),
        }
    }

    async fn challenge(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let Some(work) = demanded_work(&self.parts.policy) else {
            return Err(IntakeError::NoChallenge);
        };
        let asked = request.query_string_parameters.first("address");
        let address = self.parts.chain.address(asked.unwrap_or_default())?;
        let keys = self.parts.secret.keys(|_| true).await?;
        let key = keys.challenge_key.as_slice();
        let challenge = Challenge::issue(key, &address, Timestamp::now(), work, rand::random());
        Ok(json(
            200,
            &json!({
                "challenge": challenge.text,
                "bits": challenge.bits,
                "expires_time": challenge.expires.to_string(),
            }),
        ))
    }

    /// Of the tables alone: nobody who asks makes the faucet ask the chain.
    async fn status(&self) -> Result<Value, IntakeError> {
        let IntakeParts { tables, policy, .. } = &self.parts;
        let now = Timestamp::now();
        let account = tables.locks.account(&tables.names.account).await?;
        let broken = tables.locks.broken(&tables.names.broken).await?;
        let waiting = tables.desk.claims.waiting(COUNTED).await?;
        let spent = tables.desk.limits.spent(&budget_day(now)).await?;
        let left = policy.daily_budget.saturating_sub(spent);
        let oldest = waiting.first().map_or(0, |claim| {
            now.duration_since(claim.created_time.timestamp()).as_secs()
        });
        let balance: Option<u128> = account.as_ref().and_then(|seen| seen.balance.parse().ok());
        let (status, reason) = match (&account, &broken) {
            (None, _) => ("unknown", None),
            (_, Some(broken)) => ("broken", Some(broken.code.clone())),
            (Some(seen), _) if seen.height == 0 => ("unfunded", None),
            _ if balance.unwrap_or(0) < policy.amount => ("empty", None),
            _ => ("ok", None),
        };
        Ok(json!({
            "name": self.parts.network,
            "version": env!("CARGO_PKG_VERSION"),
            "status": if policy.send { status } else { "disabled" },
            "reason": reason,
            "account": account.as_ref().map(|seen| &seen.address),
            "balance": account.as_ref().map(|seen| &seen.balance),
            "height": account.as_ref().map(|seen| seen.height),
            "observed_time": account.as_ref().map(|seen| seen.observed_time),
            "amount": policy.amount.to_string(),
            "symbol": policy.symbol,
            "decimals": policy.decimals,
            "queue": { "waiting": waiting.len(), "oldest_seconds": oldest.max(0) },
            "budget": {
                "daily": policy.daily_budget.to_string(),
                "left": left.to_string(),
                "resets_time": budget_resets(now).to_string(),
            },
            "captcha": policy.captcha.as_ref().map(shown_captcha),
            "proof_of_work": demanded_work(policy).map(|work| json!({ "bits": work.bits })),
            "throttle": policy.limits.then(|| json!({ "per_minute": policy.throttle.per_minute })),
        }))
    }

    /// Whether a page of this origin may claim. A request without an origin
    /// comes from no page; one of the faucet's own page may.
    fn check_origin(&self, request: &ApiGatewayV2httpRequest) -> Result<(), IntakeError> {
        match header(request, "origin") {
            Some(origin) if !self.allows(origin) && !is_own(request, origin) => {
                Err(IntakeError::Origin(origin.chars().take(100).collect()))
            }
            _ => Ok(()),
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let origins = &self.parts.policy.origins;
        origins
            .iter()
            .any(|allowed| allowed == "*" || allowed == origin)
    }

    fn allow_origin(&self, request: &ApiGatewayV2httpRequest, headers: &mut HeaderMap) {
        headers.insert(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = header(request, "origin").filter(|origin| self.allows(origin)) else {
            // A preflight of another origin learns nothing.
            headers.remove(ACCESS_CONTROL_ALLOW_METHODS);
            headers.remove(ACCESS_CONTROL_ALLOW_HEADERS);
            headers.remove(ACCESS_CONTROL_MAX_AGE);
            return;
        };
        if let Ok(origin) = HeaderValue::from_str(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(
                    "location, retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
                ),
            );
        }
    }
}

/// The work is demanded only where no captcha is.
fn demanded_work(policy: &IntakePolicy) -> Option<&ProofOfWork> {
    policy
        .proof_of_work
        .as_ref()
        .filter(|_| policy.captcha.is_none())
}

fn shown_captcha(captcha: &Captcha) -> Value {
    json!({
        "provider": captcha.provider.name(),
        "site_key": captcha.site_key,
        "action": captcha.action,
    })
}

/// Whether the page is this faucet's own: its origin is where it asks.
fn is_own(request: &ApiGatewayV2httpRequest, origin: &str) -> bool {
    let host = header(request, "host");
    let of = origin
        .strip_prefix("https://")
        .or(origin.strip_prefix("http://"));
    host.is_some() && of == host
}

fn preflight(route: &str) -> ApiGatewayV2httpResponse {
    let path = route.trim_start_matches("OPTIONS ");
    let method = ROUTES
        .iter()
        .find_map(|(at, method)| (*at == path).then_some(*method));
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = 204;
    let methods = if method == Some("POST") {
        "POST, OPTIONS"
    } else {
        "GET, OPTIONS"
    };
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type, idempotency-key, prefer",
        ),
        (ACCESS_CONTROL_MAX_AGE, "3600"),
    ] {
        reply.headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

fn claim_reply(claim: &Claim) -> Result<ApiGatewayV2httpResponse, IntakeError> {
    let reason = || claim.reason.clone().unwrap_or_default();
    match claim.status {
        ClaimStatus::Queued | ClaimStatus::Sent => {}
        ClaimStatus::Committed | ClaimStatus::Paid => {
            let committed = Committed {
                message: claim.status.message(),
                hash: claim.hash.as_deref().unwrap_or_default(),
                height: claim.height.unwrap_or(0),
                claim_id: Some(&claim.claim_id),
            };
            return Ok(json(200, &committed));
        }
        ClaimStatus::Failed => return Err(IntakeError::PayoutFailed { reason: reason() }),
        ClaimStatus::Expired => return Err(IntakeError::ClaimExpired { reason: reason() }),
    }
    let url = format!("/v1/claims/{}", claim.claim_id);
    let mut reply = json(
        202,
        &Accepted {
            message: ClaimStatus::Queued.message(),
            claim_id: &claim.claim_id,
            status: claim.status,
            reason: claim.reason.as_deref(),
            status_url: url.clone(),
        },
    );
    if let Ok(url) = HeaderValue::from_str(&url) {
        reply.headers.insert(LOCATION, url);
    }
    reply.headers.insert(RETRY_AFTER, 1.into());
    Ok(reply)
}

/// A problem document that keeps the original's `message`.
fn refusal(error: &IntakeError) -> ApiGatewayV2httpResponse {
    let mut reply = problem(error);
    if let Some(Body::Text(text)) = &reply.body
        && let Ok(Value::Object(mut document)) = serde_json::from_str(text)
    {
        document.insert("message".to_owned(), error.detail().into());
        reply.body = Some(Body::Text(Value::Object(document).to_string()));
    }
    match error {
        IntakeError::Limit(judgement) => limited(reply, Some(judgement)),
        IntakeError::AddressCooldown { seconds } | IntakeError::Budget { seconds } => {
            counted(reply, 1, 0, *seconds)
        }
        IntakeError::SourceCooldown { claims, seconds } => counted(reply, *claims, 0, *seconds),
        _ => reply,
    }
}

fn limited(
    reply: ApiGatewayV2httpResponse,
    judgement: Option<&Judgement>,
) -> ApiGatewayV2httpResponse {
    let Some(judgement) = judgement else {
        return reply;
    };
    let reset = seconds(judgement.reset_after.as_millis());
    counted(reply, judgement.limit, judgement.remaining, reset)
}

fn counted(
    mut reply: ApiGatewayV2httpResponse,
    limit: u32,
    remaining: u32,
    reset: u32,
) -> ApiGatewayV2httpResponse {
    for (name, value) in [
        ("x-ratelimit-limit", limit),
        ("x-ratelimit-remaining", remaining),
        ("x-ratelimit-reset", reset),
    ] {
        reply
            .headers
            .insert(HeaderName::from_static(name), value.into());
    }
    reply
}

/// The key that the caller names the claim by. One that is not ASCII is as bad
/// as any other: whoever sends it must not believe that it counts.
fn idempotency_key(
    request: &ApiGatewayV2httpRequest,
) -> Result<Option<IdempotencyKey>, IdempotencyKeyError> {
    let value = request.headers.get("idempotency-key");
    value
        .map(|value| IdempotencyKey::parse(value.to_str().unwrap_or_default()))
        .transpose()
}

fn parameter<'a>(request: &'a ApiGatewayV2httpRequest, name: &str) -> &'a str {
    request.path_parameters.get(name).map_or("", String::as_str)
}

fn path(request: &ApiGatewayV2httpRequest) -> &str {
    request
        .raw_path
        .as_deref()
        .or(request.route_key.as_deref())
        .unwrap_or_default()
}

fn duration(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}
