//! One run of the state machine `dlq-redrive`, as its history tells it.

use std::time::{Duration, Instant};

use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use offchain_redrive::{Letter, Outcome};
use offchain_store::AwsError;
use serde::Deserialize;
use serde_json::Value;

use crate::dlq::text::count;
use crate::error::CliError;
use crate::output::Output;

/// The least and the longest wait from one look to the next.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(2);
/// How long AWS may fail before that is the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most events that the AWS page "GetExecutionHistory" gives at once.
const PAGE: i32 = 1000;

/// What the function answered to one of its tasks. Only what is told of here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reply {
    Plan(Plan),
    Observed {
        back: bool,
        #[serde(default)]
        letter: Option<Letter>,
    },
    Redriven {
        letters: Vec<Letter>,
    },
}

/// What the queue held when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Plan {
    pub(crate) held: u64,
    pub(crate) matching: u64,
    /// Whether the queue was read to its end.
    pub(crate) complete: bool,
    batches: Vec<Batch>,
    #[serde(default)]
    letters: Vec<Letter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Batch {
    count: u64,
}

impl Plan {
    /// How many letters the run means to take.
    pub(crate) fn wanted(&self) -> u64 {
        self.batches.iter().map(|batch| batch.count).sum()
    }
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// The newest event that was read.
    seen: i64,
    pub(crate) plan: Option<Plan>,
    taken: Vec<Letter>,
    /// The canary, where it failed again after its destination took it.
    pub(crate) canary: Option<Letter>,
    observing: bool,
    /// Whether it tells the end.
    ended: bool,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExecutionStatus,
    pub(crate) input: Value,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) story: Story,
}

/// Waits until a run has ended. A person sees how far it is.
pub(crate) async fn follow(
    client: &Client,
    execution: &str,
    output: &Output,
) -> Result<Ended, CliError> {
    let mut story = Story::default();
    let mut wait = SOONEST;
    let mut failing: Option<Instant> = None;
    let mut ended: Option<Instant> = None;
    loop {
        match look(client, execution, &mut story, output).await {
            // The end may be known before the history tells of it.
            Ok(Some(run)) => {
                failing = None;
                let since = *ended.get_or_insert_with(Instant::now);
                if story.ended || since.elapsed() > PATIENCE {
                    return Ok(Ended::of(run, story));
                }
            }
            Ok(None) => {
                failing = None;
                output.progress(story.progress());
            }
            // The run goes on whether or not it can be seen.
            Err(error) if error.retryable() => {
                let since = *failing.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LATEST);
    }
}

/// The run, where it has ended. Its history is read then; before, where
/// somebody sees how far it is.
async fn look(
    client: &Client,
    execution: &str,
    story: &mut Story,
    output: &Output,
) -> Result<Option<DescribeExecutionOutput>, AwsError> {
    let run = client
        .describe_execution()
        .execution_arn(execution)
        .send()
        .await?;
    let goes_on = matches!(
        run.status,
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive
    );
    if !goes_on || output.shows_progress() {
        let events = news(client, execution, story.seen).await?;
        events.iter().for_each(|event| story.take(event));
    }
    Ok((!goes_on).then_some(run))
}

/// The events after the one that was seen last, in their order. The history is
/// read from its end, so that a long one is not read over and over.
async fn news(client: &Client, execution: &str, seen: i64) -> Result<Vec<HistoryEvent>, AwsError> {
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .get_execution_history()
            .execution_arn(execution)
            .reverse_order(true)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await?;
        let known = page.events.iter().any(|event| event.id <= seen);
        events.extend(page.events.into_iter().filter(|event| event.id > seen));
        token = page.next_token;
        if known || token.is_none() {
            events.sort_by_key(|event| event.id);
            return Ok(events);
        }
    }
}

impl Ended {
    fn of(run: DescribeExecutionOutput, story: Story) -> Self {
        let input = run.input.as_deref().unwrap_or_default();
        let cause = run.cause.filter(|cause| !cause.is_empty());
        Self {
            status: run.status,
            input: serde_json::from_str(input).unwrap_or_default(),
            error: run.error.filter(|error| !error.is_empty()),
            cause: cause.map(|cause| said(&cause)),
            story,
        }
    }
}

/// What a cause says. What a function says ends it as a JSON object.
fn said(cause: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        error_message: String,
    }
    let (before, object) = cause.split_at(cause.find('{').unwrap_or(cause.len()));
    serde_json::from_str::<Failure>(object).map_or_else(
        |_| cause.to_owned(),
        |failure| format!("{before}{}", failure.error_message),
    )
}

impl Story {
    fn take(&mut self, event: &HistoryEvent) {
        self.seen = self.seen.max(event.id);
        self.ended |= matches!(
            event.r#type,
            HistoryEventType::ExecutionSucceeded
                | HistoryEventType::ExecutionFailed
                | HistoryEventType::ExecutionTimedOut
                | HistoryEventType::ExecutionAborted
        );
        if let Some(entered) = &event.state_entered_event_details {
            match entered.name.as_str() {
                "WaitForCanary" => self.observing = true,
                "RedriveBatches" => self.observing = false,
                _ => {}
            }
        }
        match reply(event) {
            Some(Reply::Plan(plan)) => self.plan = Some(plan),
            Some(Reply::Observed { back: true, letter }) => self.canary = letter,
            Some(Reply::Redriven { letters }) => letters.into_iter().for_each(|it| self.put(it)),
            Some(Reply::Observed { back: false, .. }) | None => {}
        }
    }

    /// A letter that failed stays in its queue, and another batch may take it
    /// once more. Which of the two tells of it first is left to chance, but a
    /// letter that has left its queue does not come back as the same message.
    fn put(&mut self, letter: Letter) {
        let same = |taken: &&mut Letter| taken.message_id == letter.message_id;
        match self.taken.iter_mut().find(same) {
            Some(taken) if taken.outcome == Some(Outcome::Failed) => *taken = letter,
            Some(_) => {}
            None => self.taken.push(letter),
        }
    }

    /// The letters that were taken; before any was, those that would be.
    pub(crate) fn letters(self) -> Vec<Letter> {
        if self.taken.is_empty() {
            self.plan.map(|plan| plan.letters).unwrap_or_default()
        } else {
            self.taken
        }
    }

    /// How many letters had this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        let counted = self.taken.iter().filter(|it| it.outcome == Some(outcome));
        u64::try_from(counted.count()).unwrap_or(u64::MAX)
    }

    /// How many letters the run meant to take and did not.
    pub(crate) fn left(&self) -> u64 {
        let taken = u64::try_from(self.taken.len()).unwrap_or(u64::MAX);
        let wanted = self.plan.as_ref().map_or(0, Plan::wanted);
        wanted.saturating_sub(taken)
    }

    fn progress(&self) -> String {
        let Some(plan) = &self.plan else {
            return "reading the queue".to_owned();
        };
        if self.observing {
            return "observing the canary".to_owned();
        }
        format!(
            "{} of {}: {} redriven, {} failed, {} quarantined",
            self.taken.len(),
            count(
                usize::try_from(plan.wanted()).unwrap_or(usize::MAX),
                "letter"
            ),
            self.count(Outcome::Redriven),
            self.count(Outcome::Failed),
            self.count(Outcome::Quarantined)
        )
    }
}

/// What a task was answered, where the event tells it.
fn reply(event: &HistoryEvent) -> Option<Reply> {
    let of_function = event.lambda_function_succeeded_event_details.as_ref();
    let of_task = event.task_succeeded_event_details.as_ref();
    let output = of_function
        .and_then(|details| details.output.as_deref())
        .or_else(|| of_task?.output.as_deref())?;
    let mut output: Value = serde_json::from_str(output).ok()?;
    // The answer of the optimised integration is inside of its own.
    if let Some(payload) = output.get_mut("Payload") {
        output = payload.take();
    }
    Reply::deserialize(output).ok()
}
