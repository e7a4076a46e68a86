//! Each permission of each function is needed, and nothing else is allowed.
//!
//! The tests take the deployed policies apart, on a twin of the stack, and run
//! the functions' own binaries in a fresh process each time: a warm one
//! remembers secrets. Only the functions' policies are tried here. The emulator
//! does not evaluate the roles of the state machine and of the schedules, nor
//! what AWS itself does in a function's name: for those, Terraform's own tests
//! compare the policies word for word.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sts::types::Credentials;
use offchain_store::vrf::Outcome;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet};
use crate::faucet_iam;
use crate::faucet_world::point_faucet_at;
use crate::faults::{
    LAST, accepted, begun, delivery, message, pass_deadline, post, read, refused, schedule,
    submitted,
};
use crate::harness::{HERE, SOON, World, attribute, unique, until};
use crate::ledger_iam;
use crate::oracle::{demo, http_feed, http_source, left_out};
use crate::oracle_faults::{WIDE, forget, wide_slot};
use crate::redrive::{failed_event, put, queue_name};
use crate::rides::notification;
use crate::runtime_api::{Function, Outcome as Ran, assume};
use crate::source::{Answer, Source};
use crate::twin::Twin;
use crate::wire;

/// The one inline policy of every role.
const POLICY: &str = "exact";
/// What every function is allowed: its own log streams. The emulator writes
/// the logs itself, whatever the policy says.
const LOGS: &str = "WriteLogs";

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Statement {
    sid: String,
    effect: String,
    action: Vec<String>,
    resource: Vec<String>,
}

/// IAM's own API, with the root key, whose signatures the emulator does not
/// check: three calls are not worth the largest of the SDK's crates.
pub(crate) struct Iam {
    client: reqwest::Client,
    url: String,
}

impl Iam {
    pub(crate) fn of(twin: &Twin) -> Self {
        let key = "Credential=test/20260101/us-east-1/iam/aws4_request";
        let signed = format!("AWS4-HMAC-SHA256 {key}, SignedHeaders=host, Signature=none");
        let headers = [(reqwest::header::AUTHORIZATION, signed.parse().unwrap())];
        let client = reqwest::Client::builder()
            .default_headers(headers.into_iter().collect())
            .build()
            .unwrap();
        Self {
            client,
            url: twin.url(),
        }
    }

    async fn call(&self, action: &str, role: &str, more: &[(&str, &str)]) -> String {
        let mut form = vec![
            ("Action", action),
            ("Version", "2010-05-08"),
            ("RoleName", role),
        ];
        form.extend(more);
        let form = reqwest::Url::parse_with_params("http://form", form).unwrap();
        let call = self
            .client
            .post(&self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap().to_owned());
        let reply = call.send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{action}: {text}");
        text
    }

    /// The role's policy, which is the only one it has.
    pub(crate) async fn policy(&self, role: &str) -> Vec<Statement> {
        let names = self.call("ListRolePolicies", role, &[]).await;
        assert_eq!(names.matches("<member>").count(), 1, "{names}");
        let attached = self.call("ListAttachedRolePolicies", role, &[]).await;
        assert_eq!(attached.matches("<member>").count(), 0, "{attached}");
        let reply = self
            .call("GetRolePolicy", role, &[("PolicyName", POLICY)])
            .await;
        let text = reply.split("<PolicyDocument>").nth(1).unwrap();
        let text = text.split("</PolicyDocument>").next().unwrap();
        // Percent-encoded, as the value of a query is.
        let encoded = reqwest::Url::parse(&format!("http://form?document={text}")).unwrap();
        let document = encoded.query_pairs().next().unwrap().1.into_owned();
        let document: Value = serde_json::from_str(&document).unwrap();
        Vec::deserialize(&document["Statement"]).unwrap()
    }

    pub(crate) async fn put(&self, role: &str, statements: &[Statement]) {
        let statements: Vec<_> = statements
            .iter()
            .map(|it| {
                json!({
                    "Sid": it.sid,
                    "Effect": it.effect,
                    "Action": it.action,
                    "Resource": it.resource,
                })
            })
            .collect();
        let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let more = [
            ("PolicyName", POLICY),
            ("PolicyDocument", document.as_str()),
        ];
        self.call("PutRolePolicy", role, &more).await;
    }
}

/// The policy without one action.
pub(crate) fn without(policy: &[Statement], sid: &str, action: &str) -> Vec<Statement> {
    let mut rest = policy.to_vec();
    let statement = rest
        .iter_mut()
        .find(|statement| statement.sid == sid)
        .unwrap();
    statement.action.retain(|it| it != action);
    rest.retain(|statement| !statement.action.is_empty());
    rest
}

/// What a function does with a permission.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum Flow {
    /// vrf-request makes a request.
    Request,
    /// vrf-request is run again for a request that it made.
    RequestAgain,
    /// vrf-api takes a request.
    Post,
    /// vrf-api shows a request.
    Get,
    /// vrf-api lists the keys.
    Keys,
    /// vrf-start starts an execution, or puts the message away for good.
    Start,
    /// vrf-start puts a message away that it cannot read.
    Refuse,
    /// vrf-height looks at a chain.
    Look,
    /// vrf-fulfil proves a value.
    Fulfil,
    /// vrf-expire ends a request.
    Expire,
    /// vrf-expire looks for requests that nothing ended, and finds one.
    Sweep,
    /// A rotate-key function compares the secret and the table.
    Reconcile,
    /// A rotate-key function makes a new key.
    Rotate,
    /// oracle-publish publishes a slot.
    Publish,
    /// oracle-publish sends a source a secret header.
    SendHeader,
    /// oracle-missed records a slot.
    Miss,
    /// oracle-missed looks for slots that nobody recorded.
    SweepSlots,
    /// oracle-api lists the feeds.
    Feeds,
    /// oracle-api shows a feed's readings.
    Readings,
    /// oracle-api lists the keys.
    OracleKeys,
    /// rides-request takes a ride, which the topic takes.
    Ride,
    /// rides-request takes a ride, which the recorder's function takes.
    RideByHttp,
    /// rides-request takes a ride, and keeps it where there is no topic.
    KeepRide,
    /// rides-fleet chooses a unicorn.
    Unicorn,
    /// rides-record-http records a ride.
    RecordByHttp,
    /// rides-record-sns records a ride.
    RecordByTopic,
    /// dlq-redrive looks at what a queue holds, and lets go of it.
    LookAtLetters,
    /// dlq-redrive puts a letter back, to the function that it came from.
    ToFunction,
    /// Likewise, to a queue.
    ToQueue,
    /// Likewise, to a state machine.
    ToMachine,
    /// Likewise, to a topic.
    ToTopic,
    /// faucet-api takes a claim, and wakes the payer.
    TakeClaim,
    /// faucet-api takes a claim for which a challenge was solved.
    TakeSolved,
    /// faucet-api shows a claim.
    ShowClaim,
    /// faucet-api tells how the faucet does.
    FaucetStatus,
    /// faucet-pay pays a claim, and has the payout followed.
    Pay,
    /// faucet-pay sends a payout again that the chain has lost.
    PayLost,
    /// faucet-pay gives a claim up that nobody can pay.
    GiveUp,
    /// faucet-pay puts a message away that is no wake.
    RefuseWake,
    /// faucet-confirm settles a payout that a block has, and wakes the payer.
    Confirm,
    /// faucet-confirm ends a claim whose transaction failed.
    ConfirmFailed,
    /// faucet-sweep settles a payout.
    SweepPayouts,
    /// faucet-sweep ends a claim that waited too long.
    SweepExpired,
    /// faucet-sweep wakes the payer for a claim that waits.
    SweepWaiting,
    /// ledger-listen tells a subscriber of a transaction.
    Listen,
    /// ledger-listen loses its lease to another.
    HandOver,
    /// ledger-listen signs what it tells.
    ReadSecrets,
    /// ledger-listen keeps what a subscriber refused.
    Keep,
    /// ledger-listen notes that it was refused again.
    Postpone,
    /// ledger-listen is done with what a subscriber has taken after all.
    Forget,
    /// ledger-listen gives up what a subscriber refused too often.
    GiveUpWebhook,
    /// ledger-webhook takes an event.
    TakeWebhook,
    /// ledger-webhook takes an event that it knows.
    TakeAgain,
    /// ledger-record makes a lease count.
    Record,
    /// ledger-record has a message that failed delivered again soon.
    DeliverAgainSoon,
    /// ledger-record puts a message away that names no event.
    RefuseMessage,
    /// ledger-deliver delivers what was given up.
    Redeliver,
    /// ledger-api shows an asset.
    ShowAsset,
    /// The emulator hands a function its queue's messages.
    Receive,
    /// The emulator puts an event that failed for good into the queue.
    DeadLetter,
}

/// Every permission: its function, its statement, its action, the flow that
/// needs it, and the code that this ends with where it is taken away; `-` where
/// it works all the same: AWS does such things in the function's name, and
/// the emulator does not ask for the function's permission.
const NEEDS: &str = "
    request            AddAndReadRequests     dynamodb:PutItem                         Request       StoreDenied
    request            AddAndReadRequests     dynamodb:Query                           RequestAgain  StoreDenied
    request            ReadKeys               dynamodb:Query                           Request       StoreDenied
    request            Announce               sqs:SendMessage                          Request       StoreDenied
    request            DeadLetter             sqs:SendMessage                          DeadLetter    -
    api                AddAndReadRequests     dynamodb:PutItem                         Post          StoreDenied
    api                AddAndReadRequests     dynamodb:Query                           Get           StoreDenied
    api                ReadKeys               dynamodb:Query                           Keys          StoreDenied
    api                Announce               sqs:SendMessage                          Post          StoreDenied
    api                ReadTokens             secretsmanager:GetSecretValue            Post          SecretUnavailable
    start              ReceiveRequests        sqs:ReceiveMessage                       Receive       -
    start              ReceiveRequests        sqs:DeleteMessage                        Receive       -
    start              ReceiveRequests        sqs:GetQueueAttributes                   Receive       -
    start              RefuseRequests         sqs:SendMessage                          Refuse        NotAcknowledged
    start              ReadAndMarkRequests    dynamodb:Query                           Start         StoreDenied
    start              ReadAndMarkRequests    dynamodb:PutItem                         Start         StoreDenied
    start              StartExecutions        states:StartExecution                    Start         StartFailed
    height             NoteHeight             dynamodb:UpdateItem                      Look          StoreDenied
    fulfil             ReadAndFulfilRequests  dynamodb:Query                           Fulfil        StoreDenied
    fulfil             ReadAndFulfilRequests  dynamodb:UpdateItem                      Fulfil        StoreDenied
    fulfil             ReadKey                dynamodb:GetItem                         Fulfil        StoreDenied
    fulfil             ReadSigningKey         secretsmanager:GetSecretValue            Fulfil        KeyUnavailable
    expire             ReadAndExpireRequests  dynamodb:Query                           Expire        StoreDenied
    expire             ReadAndExpireRequests  dynamodb:UpdateItem                      Expire        StoreDenied
    expire             FindOverdueRequests    dynamodb:Query                           Sweep         StoreDenied
    expire             ReportOrphans          sqs:SendMessage                          Sweep         StoreDenied
    expire             DeadLetter             sqs:SendMessage                          DeadLetter    -
    rotate-key         PublishKeys            dynamodb:Query                           Reconcile     StoreDenied
    rotate-key         PublishKeys            dynamodb:PutItem                         Rotate        StoreDenied
    rotate-key         WriteSigningKey        secretsmanager:GetSecretValue            Reconcile     KeyUnavailable
    rotate-key         WriteSigningKey        secretsmanager:PutSecretValue            Rotate        KeyUnavailable
    rotate-key         WriteSigningKey        secretsmanager:UpdateSecretVersionStage  Rotate        KeyUnavailable
    rotate-key         WriteSigningKey        secretsmanager:DescribeSecret            Rotate        KeyUnavailable
    rotate-key         DeadLetter             sqs:SendMessage                          DeadLetter    -
    oracle-publish     AddReadings            dynamodb:PutItem                         Publish       StoreDenied
    oracle-publish     ReadFeeds              dynamodb:Scan                            Publish       StoreDenied
    oracle-publish     ReadKeys               dynamodb:Query                           Publish       StoreDenied
    oracle-publish     ReadSigningKey         secretsmanager:GetSecretValue            Publish       KeyUnavailable
    oracle-publish     ReadSourceHeaders      secretsmanager:GetSecretValue            SendHeader    SecretUnavailable
    oracle-missed      AddAndReadReadings     dynamodb:PutItem                         Miss          StoreDenied
    oracle-missed      AddAndReadReadings     dynamodb:Query                           SweepSlots    StoreDenied
    oracle-missed      AddAndReadReadings     dynamodb:GetItem                         SweepSlots    StoreDenied
    oracle-missed      ReadFeeds              dynamodb:Scan                            Miss          StoreDenied
    oracle-missed      DeadLetter             sqs:SendMessage                          DeadLetter    -
    oracle-api         ReadReadings           dynamodb:Query                           Readings      StoreDenied
    oracle-api         ReadFeeds              dynamodb:Scan                            Feeds         StoreDenied
    oracle-api         ReadKeys               dynamodb:Query                           OracleKeys    StoreDenied
    oracle-rotate-key  PublishKeys            dynamodb:Query                           Reconcile     StoreDenied
    oracle-rotate-key  PublishKeys            dynamodb:PutItem                         Rotate        StoreDenied
    oracle-rotate-key  WriteSigningKey        secretsmanager:GetSecretValue            Reconcile     KeyUnavailable
    oracle-rotate-key  WriteSigningKey        secretsmanager:PutSecretValue            Rotate        KeyUnavailable
    oracle-rotate-key  WriteSigningKey        secretsmanager:UpdateSecretVersionStage  Rotate        KeyUnavailable
    oracle-rotate-key  WriteSigningKey        secretsmanager:DescribeSecret            Rotate        KeyUnavailable
    oracle-rotate-key  DeadLetter             sqs:SendMessage                          DeadLetter    -
    rides-request      InvokeFleetAndRecorder lambda:InvokeFunction                    Ride          FleetUnavailable
    rides-request      InvokeFleetAndRecorder lambda:InvokeFunction                    RideByHttp    FleetUnavailable
    rides-request      PublishRides           sns:Publish                              Ride          PublishFailed
    rides-request      KeepUnsent             sqs:SendMessage                          KeepRide      RideNotKept
    rides-fleet        ReadFleet              dynamodb:Scan                            Unicorn       StoreDenied
    rides-record-http  RecordRides            dynamodb:PutItem                         RecordByHttp  StoreDenied
    rides-record-sns   RecordRides            dynamodb:PutItem                         RecordByTopic StoreDenied
    rides-record-sns   DeadLetter             sqs:SendMessage                          DeadLetter    -
    faucet-api         AddAndReadClaims       dynamodb:PutItem                         TakeClaim     StoreDenied
    faucet-api         AddAndReadClaims       dynamodb:GetItem                         ShowClaim     StoreDenied
    faucet-api         CountClaims            dynamodb:Query                           FaucetStatus  StoreDenied
    faucet-api         Reserve                dynamodb:UpdateItem                      TakeClaim     StoreDenied
    faucet-api         Reserve                dynamodb:PutItem                         TakeSolved    StoreDenied
    faucet-api         Reserve                dynamodb:GetItem                         FaucetStatus  StoreDenied
    faucet-api         ReadAccount            dynamodb:GetItem                         FaucetStatus  StoreDenied
    faucet-api         Wake                   sqs:SendMessage                          TakeClaim     NotWoken
    faucet-api         ReadIntakeSecret       secretsmanager:GetSecretValue            TakeSolved    SecretUnavailable
    faucet-pay         ReceiveWakes           sqs:ReceiveMessage                       Receive       -
    faucet-pay         ReceiveWakes           sqs:DeleteMessage                        Receive       -
    faucet-pay         ReceiveWakes           sqs:GetQueueAttributes                   Receive       -
    faucet-pay         RefuseWakes            sqs:SendMessage                          RefuseWake    NotAcknowledged
    faucet-pay         FindClaims             dynamodb:Query                           Pay           StoreDenied
    faucet-pay         ReadAndSettleClaims    dynamodb:GetItem                         GiveUp        StoreDenied
    faucet-pay         ReadAndSettleClaims    dynamodb:UpdateItem                      Pay           StoreDenied
    faucet-pay         WritePayouts           dynamodb:PutItem                         Pay           StoreDenied
    faucet-pay         WritePayouts           dynamodb:UpdateItem                      Pay           StoreDenied
    faucet-pay         WritePayouts           dynamodb:Query                           Pay           StoreDenied
    faucet-pay         WritePayouts           dynamodb:GetItem                         PayLost       StoreDenied
    faucet-pay         HoldLease              dynamodb:GetItem                         Pay           StoreDenied
    faucet-pay         HoldLease              dynamodb:UpdateItem                      Pay           StoreDenied
    faucet-pay         RollBack               dynamodb:UpdateItem                      GiveUp        StoreDenied
    faucet-pay         RollBack               dynamodb:DeleteItem                      GiveUp        StoreDenied
    faucet-pay         ReadKey                secretsmanager:GetSecretValue            Pay           SecretUnavailable
    faucet-pay         FollowPayouts          states:StartExecution                    Pay           NotFollowed
    faucet-confirm     ReadAndSettleClaims    dynamodb:GetItem                         ConfirmFailed StoreDenied
    faucet-confirm     ReadAndSettleClaims    dynamodb:UpdateItem                      Confirm       StoreDenied
    faucet-confirm     ReadAndSettlePayouts   dynamodb:GetItem                         Confirm       StoreDenied
    faucet-confirm     ReadAndSettlePayouts   dynamodb:UpdateItem                      Confirm       StoreDenied
    faucet-confirm     RollBack               dynamodb:UpdateItem                      ConfirmFailed StoreDenied
    faucet-confirm     RollBack               dynamodb:DeleteItem                      ConfirmFailed StoreDenied
    faucet-confirm     Wake                   sqs:SendMessage                          Confirm       NotWoken
    faucet-sweep       ReadAndSettleClaims    dynamodb:GetItem                         SweepExpired  StoreDenied
    faucet-sweep       ReadAndSettleClaims    dynamodb:UpdateItem                      SweepExpired  StoreDenied
    faucet-sweep       ReadAndSettlePayouts   dynamodb:GetItem                         SweepPayouts  StoreDenied
    faucet-sweep       ReadAndSettlePayouts   dynamodb:UpdateItem                      SweepPayouts  NotSettled
    faucet-sweep       RollBack               dynamodb:UpdateItem                      SweepExpired  StoreDenied
    faucet-sweep       RollBack               dynamodb:DeleteItem                      SweepExpired  StoreDenied
    faucet-sweep       ReadAndNoteAccount     dynamodb:GetItem                         SweepPayouts  StoreDenied
    faucet-sweep       ReadAndNoteAccount     dynamodb:UpdateItem                      SweepPayouts  StoreDenied
    faucet-sweep       Wake                   sqs:SendMessage                          SweepWaiting  StoreDenied
    faucet-sweep       FindClaims             dynamodb:Query                           SweepPayouts  StoreDenied
    faucet-sweep       FindPayouts            dynamodb:Query                           SweepPayouts  StoreDenied
    faucet-sweep       ReadBudget             dynamodb:GetItem                         SweepPayouts  StoreDenied
    faucet-sweep       DeadLetter             sqs:SendMessage                          DeadLetter    -
    ledger-listen      HoldLeaseAndCursor     dynamodb:GetItem                         HandOver      StoreDenied
    ledger-listen      HoldLeaseAndCursor     dynamodb:UpdateItem                      Listen        StoreDenied
    ledger-listen      KeepDeliveries         dynamodb:Query                           Listen        StoreDenied
    ledger-listen      KeepDeliveries         dynamodb:PutItem                         Keep          StoreDenied
    ledger-listen      KeepDeliveries         dynamodb:UpdateItem                      Postpone      NotNoted
    ledger-listen      KeepDeliveries         dynamodb:DeleteItem                      Forget        NotForgotten
    ledger-listen      GiveUpDeliveries       sqs:SendMessage                          GiveUpWebhook NotBuried
    ledger-listen      ReadWebhookSecrets     secretsmanager:GetSecretValue            ReadSecrets   SecretUnavailable
    ledger-webhook     StoreEvents            dynamodb:PutItem                         TakeWebhook   StoreDenied
    ledger-webhook     StoreEvents            dynamodb:GetItem                         TakeAgain     StoreDenied
    ledger-webhook     StoreEvents            dynamodb:UpdateItem                      TakeAgain     StoreDenied
    ledger-webhook     QueueTransactions      sqs:SendMessage                          TakeWebhook   StoreDenied
    ledger-webhook     ReadOwnSecret          secretsmanager:GetSecretValue            TakeWebhook   SecretUnavailable
    ledger-record      ReceiveTransactions    sqs:ReceiveMessage                       Receive       -
    ledger-record      ReceiveTransactions    sqs:DeleteMessage                        Receive       -
    ledger-record      ReceiveTransactions    sqs:GetQueueAttributes                   Receive       -
    ledger-record      DeliverTransactionsAgainSoon sqs:ChangeMessageVisibility                DeliverAgainSoon NotSoon
    ledger-record      RefuseTransactions     sqs:SendMessage                          RefuseMessage NotAcknowledged
    ledger-record      ReadAndSettleEvents    dynamodb:GetItem                         Record        StoreDenied
    ledger-record      ReadAndSettleEvents    dynamodb:UpdateItem                      Record        StoreDenied
    ledger-record      KeepAssets             dynamodb:GetItem                         Record        StoreDenied
    ledger-record      KeepAssets             dynamodb:UpdateItem                      Record        StoreDenied
    ledger-record      KeepDrivers            dynamodb:GetItem                         Record        StoreDenied
    ledger-record      KeepDrivers            dynamodb:UpdateItem                      Record        StoreDenied
    ledger-deliver     ReadWebhookSecrets     secretsmanager:GetSecretValue            Redeliver     SecretUnavailable
    ledger-api         ReadHistory            dynamodb:Query                           ShowAsset     StoreDenied
    ledger-api         ReadAssets             dynamodb:GetItem                         ShowAsset     StoreDenied
    ledger-api         ReadDrivers            dynamodb:GetItem                         ShowAsset     StoreDenied
    dlq-redrive        TakeDeadLetters        sqs:GetQueueUrl                          LookAtLetters StoreDenied
    dlq-redrive        TakeDeadLetters        sqs:ReceiveMessage                       LookAtLetters StoreDenied
    dlq-redrive        TakeDeadLetters        sqs:ChangeMessageVisibility              LookAtLetters StillHeld
    dlq-redrive        TakeDeadLetters        sqs:DeleteMessage                        ToFunction    StillHeld
    dlq-redrive        KeepHistory            dynamodb:GetItem                         LookAtLetters StoreDenied
    dlq-redrive        KeepHistory            dynamodb:UpdateItem                      ToFunction    StoreDenied
    dlq-redrive        SendToQueues           sqs:GetQueueUrl                          ToQueue       DestinationDenied
    dlq-redrive        SendToQueues           sqs:SendMessage                          ToQueue       DestinationDenied
    dlq-redrive        InvokeFunctions        lambda:InvokeFunction                    ToFunction    DestinationDenied
    dlq-redrive        StartExecutions        states:StartExecution                    ToMachine     DestinationDenied
    dlq-redrive        PublishToTopics        sns:Publish                              ToTopic       DestinationDenied
";

/// A row of `NEEDS`.
struct Need {
    role: &'static str,
    sid: &'static str,
    action: &'static str,
    flow: Flow,
    code: Option<&'static str>,
}

fn needs() -> Vec<Need> {
    let rows = NEEDS.lines().filter(|line| !line.trim().is_empty());
    rows.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [role, sid, action, flow, code] = words[..] else {
            panic!("expected five columns: {line}")
        };
        let flow = Flow::deserialize(Value::from(flow)).unwrap();
        let code = (code != "-").then_some(code);
        Need {
            role,
            sid,
            action,
            flow,
            code,
        }
    })
    .collect()
}

/// Runs a flow: `Err` holds the code that it fails with, and what was said.
async fn run(twin: &Twin, role: &str, flow: Flow) -> Result<(), (String, String)> {
    let world = &twin.world;
    let url = twin.url();
    if role.starts_with("faucet-") && !matches!(flow, Flow::DeadLetter) {
        return faucet_iam::run(twin, role, flow).await;
    }
    if role.starts_with("ledger-") {
        return ledger_iam::run(twin, role, flow).await;
    }
    // A chain that is at height 100.
    let chain = wire::serve(|_| async {
        let block = json!({"jsonrpc": "2.0", "id": 1, "result": "0x64"});
        Some(wire::reply(200, &[], &block.to_string()))
    })
    .await;
    let chain = format!("http://{chain}");
    let variables = match flow {
        Flow::Look => &[
            ("VRF_CHAIN_KIND", "evm"),
            ("VRF_CHAIN_RPC_URL", chain.as_str()),
        ][..],
        Flow::Publish | Flow::SendHeader | Flow::Miss => &[WIDE],
        Flow::RideByHttp => &[("RIDES_PUBLISH", "http")],
        Flow::KeepRide => &[("RIDES_TOPIC_ARN", NO_TOPIC)],
        // So long a letter is hidden that is not let go of.
        _ if role == "dlq-redrive" => &[("DLQ_HOLD_SECONDS", "2")],
        _ => &[],
    };
    let function = Function::start_with(world, role, &url, variables).await;
    match flow {
        Flow::Request => told(function.invoke(&schedule()).await),
        Flow::RequestAgain => {
            let item = submitted(world).await;
            told(
                function
                    .invoke_as(&item.unique_identifier, &schedule())
                    .await,
            )
        }
        Flow::Post => answered(function.invoke(&post(world, &unique())).await),
        Flow::Get => {
            let id = begun(world).await;
            let mut event = post(world, "");
            event["routeKey"] = "GET /v1/vrf/requests/{id}".into();
            event["pathParameters"] = json!({"id": id});
            answered(function.invoke(&event).await)
        }
        Flow::Keys => get(world, &function, "/v1/vrf/keys").await,
        Flow::Start => start(world, &function).await,
        Flow::Refuse => refuse(world, &function).await,
        Flow::Look => {
            let id = begun(world).await;
            told(
                function
                    .invoke(&json!({"request_id": id, "target_height": 7}))
                    .await,
            )
        }
        Flow::Fulfil => {
            let id = begun(world).await;
            told(function.invoke(&json!({"request_id": id})).await)
        }
        Flow::Expire => {
            let id = begun(world).await;
            told(
                function
                    .invoke(&json!({"request_id": id, "error": "Test"}))
                    .await,
            )
        }
        Flow::Sweep => sweep(world, &function).await,
        Flow::Reconcile => told(function.invoke(&json!({"action": "reconcile"})).await),
        Flow::Rotate => told(function.invoke(&json!({"action": "rotate"})).await),
        Flow::Publish => {
            let event = json!({"slot": wide_slot().await});
            told(function.invoke(&event).await)
        }
        Flow::SendHeader => send_header(world, &function).await,
        Flow::Miss => {
            let event = json!({"slot": wide_slot().await, "error": "Test", "cause": ""});
            told(function.invoke(&event).await)
        }
        Flow::SweepSlots => told(function.invoke(&json!({"sweep": true})).await),
        Flow::Feeds => get(world, &function, "/v1/feeds").await,
        Flow::Readings => get(world, &function, "/v1/feeds/{feed}/readings").await,
        Flow::OracleKeys => get(world, &function, "/v1/oracle/keys").await,
        Flow::Ride => ride(world, &function).await,
        Flow::RideByHttp | Flow::KeepRide => {
            let outcome = ride(world, &function).await;
            // Kept, which is what was wanted.
            match (flow, outcome) {
                (Flow::KeepRide, Err((code, _))) if code == "PublishFailed" => Ok(()),
                (_, outcome) => outcome,
            }
        }
        Flow::Unicorn => told(function.invoke(&json!({})).await),
        Flow::RecordByHttp => {
            let mut event = post(world, "");
            event["routeKey"] = "POST /record".into();
            event["body"] = a_ride().to_string().into();
            answered(function.invoke(&event).await)
        }
        Flow::RecordByTopic => {
            let event = notification(&a_ride().to_string());
            told(function.invoke(&event).await)
        }
        Flow::LookAtLetters
        | Flow::ToFunction
        | Flow::ToQueue
        | Flow::ToMachine
        | Flow::ToTopic => put_back(world, &function, flow).await,
        Flow::TakeClaim
        | Flow::TakeSolved
        | Flow::ShowClaim
        | Flow::FaucetStatus
        | Flow::Pay
        | Flow::PayLost
        | Flow::GiveUp
        | Flow::RefuseWake
        | Flow::Confirm
        | Flow::ConfirmFailed
        | Flow::SweepPayouts
        | Flow::SweepExpired
        | Flow::SweepWaiting
        | Flow::Listen
        | Flow::HandOver
        | Flow::ReadSecrets
        | Flow::Keep
        | Flow::Postpone
        | Flow::Forget
        | Flow::GiveUpWebhook
        | Flow::TakeWebhook
        | Flow::TakeAgain
        | Flow::Record
        | Flow::DeliverAgainSoon
        | Flow::RefuseMessage
        | Flow::Redeliver
        | Flow::ShowAsset => panic!("{role} has no {flow:?}"),
        Flow::Receive => {
            let id = world.api.request(&json!({"min": 1, "max": 6})).await;
            world.closed(&[id], SOON).await;
            Ok(())
        }
        Flow::DeadLetter => {
            let mark = unique();
            world
                .invoke_later(role, &json!({"no event of any function": mark}))
                .await;
            let holds = |letter: &aws_sdk_sqs::types::Message| {
                letter
                    .body
                    .as_ref()
                    .is_some_and(|body| body.contains(&mark))
            };
            let queue = match role.split_once('-') {
                Some(("oracle", _)) => "oracle-schedules-dlq",
                Some(("rides", _)) => "rides-record-dlq",
                Some(("faucet", _)) => "faucet-schedules-dlq",
                _ => "schedules-dlq",
            };
            world.dead_letter(queue, &mark, holds).await;
            Ok(())
        }
    }
}

/// A function of the API is asked for a route; of the feeds, for `demo`.
async fn get(world: &World, function: &Function, route: &str) -> Result<(), (String, String)> {
    let mut event = post(world, "");
    event["routeKey"] = format!("GET {route}").into();
    event["pathParameters"] = json!({"feed": demo()});
    answered(function.invoke(&event).await)
}

/// Where the header cannot be had, that is the reason in the slot's record.
async fn send_header(world: &World, function: &Function) -> Result<(), (String, String)> {
    let source = Source::start().await;
    let slot = wide_slot().await;
    // However late the test is, the value is the slot's.
    source.answer("/price", Answer::json(&json!({"value": 7, "at": slot})));
    let mut only = http_source(&source.url("/price"), "/value");
    only["time_pointer"] = json!("/at");
    only["header"] = json!({"name": "x-api-key", "secret_key": "k"});
    let secret = &world.stack.oracle.headers_secret_arn;
    world.put_secret(secret, r#"{"k":"hush"}"#).await;
    let feed = world.feed(&http_feed(1, &json!({"only": only}))).await;
    forget(world, &feed.id, slot).await;
    let reply = function.invoke(&json!({"slot": slot})).await.unwrap();
    if reply["missed"] == 0 {
        assert!(source.asked("/price")[0].head.contains("x-api-key: hush"));
        return Ok(());
    }
    assert!(source.asked("/price").is_empty());
    let left_out = left_out(&world.slot(&feed.id, slot).await.unwrap());
    let code = left_out[0].strip_prefix("only ").unwrap().to_owned();
    Err((code, world.detail(&feed.id, slot).await))
}

/// A topic that is not there.
const NO_TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:no-such-topic";

/// A ride that nobody has recorded.
fn a_ride() -> Value {
    json!({
        "RideId": unique(),
        "Unicorn": {"Name": "Shadowfax", "Color": "White"},
        "RequestTime": "2026-01-31 12:00:00.000001",
    })
}

/// A ride is asked for; one that is kept to be sent later was not published.
async fn ride(world: &World, function: &Function) -> Result<(), (String, String)> {
    let mut event = post(world, "");
    event["routeKey"] = "POST /ride".into();
    event["body"] = HERE.into();
    let reply = function.invoke(&event).await.unwrap();
    let (status, body) = read(&reply);
    if status != 201 {
        let code = body["title"].as_str().unwrap().to_owned();
        assert_eq!(status, 503, "{body}");
        return Err((code, String::new()));
    }
    let letters = world
        .dead_letters("rides-unsent-dlq", |letter| {
            letter.body() == reply["body"].as_str()
        })
        .await;
    match letters.as_slice() {
        [] => Ok(()),
        [letter] => {
            let said = |name| attribute(letter, name).unwrap();
            Err((said("ErrorCode"), said("ErrorMessage")))
        }
        _ => panic!("{} letters for one ride", letters.len()),
    }
}

/// dlq-redrive looks at a letter, or puts it back. What it then still holds, or
/// failed on, is taken away.
async fn put_back(world: &World, function: &Function, flow: Flow) -> Result<(), (String, String)> {
    let ride = a_ride().to_string();
    let (queue, body) = match flow {
        Flow::ToQueue => ("requests-dlq", message(&submitted(world).await)),
        Flow::ToMachine => {
            let input = json!({"request_id": begun(world).await});
            ("executions-dlq", input.to_string())
        }
        Flow::ToTopic => ("rides-unsent-dlq", ride),
        _ => {
            let event = notification(&ride);
            let body = failed_event(world, "rides-record-sns", &event, "Test");
            ("rides-record-dlq", body)
        }
    };
    let id = put(world, queue, &body, &[]).await;
    let looks = matches!(flow, Flow::LookAtLetters);
    let (queue_name, filter) = (queue_name(world, queue), json!({"message_ids": [id]}));
    let step = if looks {
        json!({"action": "plan", "queue": queue_name, "filter": filter})
    } else {
        json!({"action": "redrive", "queue": queue_name, "filter": filter, "count": 1})
    };
    let ran = function.invoke(&step).await;
    let take = async || {
        let letters = world.dead_letters(queue, |letter| letter.body() == Some(&body));
        !letters.await.is_empty()
    };
    let seen = take().await;
    // Other queues may hold what other flows have left.
    let held = queue == "rides-record-dlq" && world.depth(queue).await > 0;
    if held {
        until("the letter to be seen", SOON, async || {
            take().await.then_some(())
        })
        .await;
    }
    let done = ran.map_err(|failure| (failure.error_type, failure.error_message))?;
    if done["failed"] == 1 {
        let detail = done["letters"][0]["detail"].as_str().unwrap();
        // Its text is cut.
        let code = detail.split(':').next().unwrap();
        return Err((code.to_owned(), String::new()));
    }
    if held || seen != looks {
        return Err(("StillHeld".to_owned(), String::new()));
    }
    Ok(())
}

/// The code and the text of an invocation's failure.
pub(crate) fn told(ran: Ran) -> Result<(), (String, String)> {
    ran.map(drop)
        .map_err(|failure| (failure.error_type, failure.error_message))
}

/// Likewise of a reply of an API's function, which tells the public no more than a code.
pub(crate) fn answered(ran: Ran) -> Result<(), (String, String)> {
    let (status, body) = read(&ran.unwrap());
    if status < 300 {
        return Ok(());
    }
    assert_eq!(status, 500, "{body}");
    let code = body["type"]
        .as_str()
        .unwrap()
        .rsplit(['/', '#', ':'])
        .next()
        .unwrap();
    Err((code.to_owned(), String::new()))
}

/// Every function that the stack has, by its role.
fn functions(world: &World) -> impl Iterator<Item = (String, &str)> {
    let vrf = world.stack.vrf.functions.iter();
    let oracle = world.stack.oracle.functions.iter();
    let rides = world.stack.rides.functions.iter();
    let faucet = world.stack.faucet.functions.iter();
    let ledger = world.stack.ledger.functions.iter();
    vrf.map(|(role, name)| (role.clone(), name.as_str()))
        .chain(oracle.map(|(role, name)| (format!("oracle-{role}"), name.as_str())))
        .chain(rides.map(|(role, name)| (format!("rides-{role}"), name.as_str())))
        .chain(faucet.map(|(role, name)| (format!("faucet-{role}"), name.as_str())))
        .chain(ledger.map(|(role, name)| (format!("ledger-{role}"), name.as_str())))
        .chain([(
            "dlq-redrive".to_owned(),
            world.stack.redrive.function.as_str(),
        )])
}

/// What vrf-start cannot use the last time goes away with its reason.
async fn start(world: &World, function: &Function) -> Result<(), (String, String)> {
    let item = submitted(world).await;
    let body = message(&item);
    let reply = function.invoke(&delivery(&body, LAST)).await.unwrap();
    assert_eq!(reply, accepted());
    let letters = world
        .dead_letters("requests-dlq", |letter| {
            letter.body.as_deref() == Some(&body)
        })
        .await;
    match letters.as_slice() {
        [] => Ok(()),
        [letter] => {
            let said = |name| attribute(letter, name).unwrap();
            Err((said("ErrorCode"), said("ErrorMessage")))
        }
        _ => panic!("{} dead letters for one message", letters.len()),
    }
}

async fn refuse(world: &World, function: &Function) -> Result<(), (String, String)> {
    let body = format!("no message: {}", unique());
    let event = delivery(&body, 1);
    let reply = function.invoke(&event).await.unwrap();
    let letters = world
        .dead_letters("requests-dlq", |letter| {
            letter.body.as_deref() == Some(&body)
        })
        .await;
    if reply == accepted() {
        assert_eq!(letters.len(), 1);
        Ok(())
    } else {
        assert_eq!(reply, refused(&event));
        assert!(letters.is_empty());
        Err(("NotAcknowledged".to_owned(), String::new()))
    }
}

async fn sweep(world: &World, function: &Function) -> Result<(), (String, String)> {
    let id = begun(world).await;
    pass_deadline(world, &id).await;
    let outcome = told(function.invoke(&json!({"sweep": true})).await);
    let closed = world.record(&id).await.outcome().unwrap();
    match &closed {
        // The queue is told first: what it does not know of stays open.
        None => assert!(outcome.is_err()),
        Some(Outcome::Expired { reason, .. }) => assert_eq!(reason, "FulfilmentStalled"),
        Some(other) => panic!("{other:?}"),
    }
    outcome
}

#[tokio::test]
async fn no_permission_can_be_taken_away() {
    let mut twin = Twin::quiet("policies").await;
    let chain = Anvil::start(&[]).await;
    let settings = chain.settings();
    let pointed = point_faucet_at(&mut twin.world, &settings, &json!({}), &json!({})).await;
    chain.fund(&pointed.1, 1_000_000_000_000_000_000).await;
    chain.rpc("anvil_mine", json!([1])).await;
    let world = &twin.world;
    let iam = Iam::of(&twin);
    let mut policies = BTreeMap::new();
    let mut held = BTreeSet::new();
    for (role, name) in functions(world) {
        let policy = iam.policy(name).await;
        for statement in policy.iter().filter(|statement| statement.sid != LOGS) {
            assert_eq!(statement.effect, "Allow");
            assert!(
                !statement.resource.iter().any(|arn| arn.contains('*')),
                "{statement:?}"
            );
            for action in &statement.action {
                held.insert((role.clone(), statement.sid.clone(), action.clone()));
            }
        }
        policies.insert(role, policy);
    }
    let needs = needs();
    let known: BTreeSet<_> = needs
        .iter()
        .map(|need| [need.role, need.sid, need.action].map(str::to_owned).into())
        .collect();
    assert_eq!(
        held, known,
        "what the policies allow is not what NEEDS lists"
    );

    for Need {
        role,
        sid,
        action,
        flow,
        code,
    } in needs
    {
        let (name, policy) = (world.function(role), &policies[role]);
        let what = format!("{role} without {sid}'s {action}");
        iam.put(name, &without(policy, sid, action)).await;
        let ended = run(&twin, role, flow).await;
        iam.put(name, policy).await;
        match (code, ended) {
            (None, Ok(())) => {}
            (Some(code), Err((found, said))) => {
                assert_eq!(found, code, "{what}: {said}");
                // Where there is a text at all, it says what is missing.
                assert!(said.is_empty() || said.contains(action), "{what}: {said}");
                let ended = run(&twin, role, flow).await;
                assert_eq!(ended, Ok(()), "{role} with its whole policy: {flow:?}");
            }
            (_, ended) => panic!("{what}: expected {code:?}, found {ended:?}"),
        }
    }
}

/// What no function may do, beside what only another one may.
const NOBODYS: &[(&str, &str)] = &[
    ("dynamodb:Scan", "requests"),
    ("dynamodb:DeleteItem", "requests"),
    ("lambda:InvokeFunction", "fulfil"),
    ("dynamodb:Scan", "readings"),
    ("dynamodb:UpdateItem", "readings"),
    ("dynamodb:DeleteItem", "readings"),
    ("dynamodb:PutItem", "feeds"),
    ("lambda:InvokeFunction", "oracle-publish"),
    ("dynamodb:Scan", "rides"),
    ("dynamodb:GetItem", "rides"),
    ("dynamodb:UpdateItem", "rides"),
    ("dynamodb:DeleteItem", "rides"),
    ("dynamodb:PutItem", "fleet"),
    ("lambda:InvokeFunction", "rides-request"),
    ("dynamodb:Scan", "claims"),
    ("dynamodb:DeleteItem", "claims"),
    ("dynamodb:DeleteItem", "payouts"),
    ("dynamodb:PutItem", "locks"),
    ("secretsmanager:PutSecretValue", "key"),
    ("lambda:InvokeFunction", "faucet-pay"),
    ("dynamodb:Scan", "events"),
    ("dynamodb:DeleteItem", "events"),
    ("dynamodb:PutItem", "assets"),
    ("dynamodb:DeleteItem", "drivers"),
    ("dynamodb:PutItem", "cursor"),
    ("secretsmanager:PutSecretValue", "webhook secret"),
    ("lambda:InvokeFunction", "ledger-listen"),
];

#[tokio::test]
async fn no_function_may_do_what_only_another_may() {
    let twin = Twin::quiet("roles").await;
    let world = &twin.world;
    let iam = Iam::of(&twin);
    let mut permissions = BTreeMap::new();
    for (role, name) in functions(world) {
        let held: BTreeSet<_> = iam
            .policy(name)
            .await
            .into_iter()
            .filter(|statement| statement.sid != LOGS)
            .flat_map(|it| {
                let pairs = |action: &String| {
                    it.resource
                        .iter()
                        .map(|arn| (action.clone(), arn.clone()))
                        .collect::<Vec<_>>()
                };
                it.action.iter().flat_map(pairs).collect::<Vec<_>>()
            })
            .collect();
        permissions.insert(role, held);
    }
    let table = |name: &str| {
        let end = format!(":table/{name}");
        let mut arns = permissions.values().flatten().map(|(_, arn)| arn);
        arns.find(|arn| arn.ends_with(&end)).unwrap().clone()
    };
    let oracle = &world.stack.oracle;
    let mut all: BTreeSet<_> = permissions.values().flatten().cloned().collect();
    for (action, on) in NOBODYS {
        let arn = match *on {
            "requests" => table(&world.stack.vrf.table),
            "readings" => table(&oracle.table),
            "feeds" => table(&oracle.feeds_table),
            "rides" => table(&world.stack.rides.table),
            "fleet" => table(&world.stack.rides.fleet_table),
            "claims" => table(&world.stack.faucet.table),
            "payouts" => table(&world.stack.faucet.payouts_table),
            "locks" => table(&world.stack.faucet.locks_table),
            "key" => world.stack.faucet.key_secret_arn.clone(),
            "events" => table(&world.stack.ledger.events_table),
            "assets" => table(&world.stack.ledger.assets_table),
            "drivers" => table(&world.stack.ledger.drivers_table),
            "cursor" => table(&world.stack.ledger.locks_table),
            "webhook secret" => world.stack.ledger.subscribers[0].secret_arn.clone(),
            function => world.function(function).to_owned(),
        };
        all.insert(((*action).to_owned(), arn));
    }
    let mut refusals = 0;
    for (role, held) in &permissions {
        let function = world
            .lambda
            .get_function_configuration()
            .function_name(world.function(role));
        let role_arn = function.send().await.unwrap().role.unwrap();
        let config = as_role(world, assume(world, &role_arn).await);
        for (action, arn) in all.difference(held) {
            let code = call(&config, action, arn).await;
            // SNS has a name of its own for it.
            let denied = code.as_deref().is_some_and(|code| {
                code.starts_with("AccessDenied") || code == "AuthorizationError"
            });
            assert!(denied, "{role} on {action} of {arn}: {code:?}");
            refusals += 1;
        }
    }
    assert!(refusals > 300, "{refusals}");
}

/// The environment of a process is the only thing that a function has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_functions_credentials_are_its_roles() {
    let twin = Twin::of_the_stack("credentials").await;
    let world = &twin.world;
    assert_eq!(world.api.get("/v1/vrf/keys").await.status, 200);
    let process = twin.processes("api").await[0];
    let environment = std::fs::read_to_string(format!("/proc/{process}/environ")).unwrap();
    let variable = |name: &str| {
        let mut pairs = environment
            .split('\0')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .unwrap()
            .1
            .to_owned()
    };
    let credentials = Credentials::builder()
        .access_key_id(variable("AWS_ACCESS_KEY_ID"))
        .secret_access_key(variable("AWS_SECRET_ACCESS_KEY"))
        .session_token(variable("AWS_SESSION_TOKEN"))
        .expiration(std::time::SystemTime::now().into())
        .build()
        .unwrap();
    let config = as_role(world, credentials);
    let caller = aws_sdk_sts::Client::new(&config)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    let role = format!(":assumed-role/{}/", world.function("api"));
    assert!(caller.arn().unwrap().contains(&role), "{caller:?}");
    let vrf = &world.stack.vrf;
    let read = "secretsmanager:GetSecretValue";
    assert_eq!(call(&config, read, &vrf.api_tokens_secret_arn).await, None);
    let code = call(&config, read, &vrf.key_secret_arn).await.unwrap();
    assert!(code.starts_with("AccessDenied"), "{code}");
}

/// What the holder of the credentials reaches AWS with.
fn as_role(world: &World, credentials: Credentials) -> SdkConfig {
    let credentials = aws_sdk_sts::config::Credentials::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        Some(credentials.session_token),
        None,
        "e2e",
    );
    let provider = aws_sdk_sts::config::SharedCredentialsProvider::new(credentials);
    world
        .config
        .to_builder()
        .credentials_provider(provider)
        .build()
}

/// Makes one call and returns the code that it fails with.
async fn call(config: &SdkConfig, action: &str, arn: &str) -> Option<String> {
    fn code<T, E: ProvideErrorMetadata>(outcome: Result<T, E>) -> Option<String> {
        outcome
            .err()
            .map(|error| error.code().unwrap_or("none").to_owned())
    }
    let dynamodb = aws_sdk_dynamodb::Client::new(config);
    let sqs = aws_sdk_sqs::Client::new(config);
    let secrets = aws_sdk_secretsmanager::Client::new(config);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    // table/NAME, or table/NAME/index/NAME
    let mut parts = arn.split('/').skip(1);
    let (table, index) = (parts.next().unwrap_or_default(), parts.nth(1));
    // arn:aws:sqs:REGION:ACCOUNT:NAME
    let queue = arn.rsplit(':').next().unwrap();
    let queue = format!("{}/000000000000/{queue}", config.endpoint_url().unwrap());
    match action {
        "dynamodb:Query" => {
            let query = dynamodb
                .query()
                .table_name(table)
                .set_index_name(index.map(str::to_owned));
            let query = query
                .key_condition_expression("unique_identifier = :id")
                .expression_attribute_values(":id", text("nothing"));
            code(query.send().await)
        }
        "dynamodb:Scan" => code(dynamodb.scan().table_name(table).send().await),
        "dynamodb:GetItem" => {
            let get = dynamodb
                .get_item()
                .table_name(table)
                .key("key_set", text("nothing"));
            code(get.send().await)
        }
        "dynamodb:PutItem" => {
            let put = dynamodb
                .put_item()
                .table_name(table)
                .item("key_set", text("nothing"));
            code(put.send().await)
        }
        "dynamodb:UpdateItem" => {
            let update = dynamodb.update_item().table_name(table);
            code(
                update
                    .key("unique_identifier", text("nothing"))
                    .send()
                    .await,
            )
        }
        "dynamodb:DeleteItem" => {
            let delete = dynamodb.delete_item().table_name(table);
            code(
                delete
                    .key("unique_identifier", text("nothing"))
                    .send()
                    .await,
            )
        }
        "sqs:SendMessage" => code(
            sqs.send_message()
                .queue_url(queue)
                .message_body("nothing")
                .send()
                .await,
        ),
        "sqs:ReceiveMessage" => code(sqs.receive_message().queue_url(queue).send().await),
        "sqs:DeleteMessage" => {
            let delete = sqs
                .delete_message()
                .queue_url(queue)
                .receipt_handle("nothing");
            code(delete.send().await)
        }
        "sqs:GetQueueUrl" => {
            let name = arn.rsplit(':').next().unwrap();
            code(sqs.get_queue_url().queue_name(name).send().await)
        }
        "sqs:ChangeMessageVisibility" => {
            let change = sqs.change_message_visibility().queue_url(queue);
            code(
                change
                    .receipt_handle("nothing")
                    .visibility_timeout(0)
                    .send()
                    .await,
            )
        }
        "sqs:GetQueueAttributes" => code(sqs.get_queue_attributes().queue_url(queue).send().await),
        "secretsmanager:GetSecretValue" => {
            code(secrets.get_secret_value().secret_id(arn).send().await)
        }
        "secretsmanager:PutSecretValue" => {
            let put = secrets
                .put_secret_value()
                .secret_id(arn)
                .secret_string("nothing");
            code(put.send().await)
        }
        "secretsmanager:UpdateSecretVersionStage" => {
            let update = secrets.update_secret_version_stage().secret_id(arn);
            code(update.version_stage("nothing").send().await)
        }
        "secretsmanager:DescribeSecret" => {
            code(secrets.describe_secret().secret_id(arn).send().await)
        }
        "states:StartExecution" => {
            let start = aws_sdk_sfn::Client::new(config)
                .start_execution()
                .state_machine_arn(arn);
            code(start.send().await)
        }
        "lambda:InvokeFunction" => code(
            aws_sdk_lambda::Client::new(config)
                .invoke()
                .function_name(arn)
                .send()
                .await,
        ),
        "sns:Publish" => code(
            aws_sdk_sns::Client::new(config)
                .publish()
                .topic_arn(arn)
                .message("nothing")
                .send()
                .await,
        ),
        other => panic!("no call is known for {other}"),
    }
}
