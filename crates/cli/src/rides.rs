//! `offchain rides`: ask for a ride, and see how it was recorded.

use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::{Args, Subcommand};
use offchain_rides::{PickupLocation, Ride, RideId, RideRequest};
use offchain_store::rides::{Fleet, Rides};
use serde::Serialize;
use serde_json::json;

use crate::api::{Api, read};
use crate::aws;
use crate::dlq::count;
use crate::error::CliError;
use crate::output::{Output, bad};
use crate::stack::Stack;
use crate::status::QueueReport;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask for a ride.
    Request(Request),
    /// Show a ride as it is recorded.
    Show {
        /// The ride's id.
        id: RideId,
    },
}

#[derive(Args)]
pub(crate) struct Request {
    /// Where to be picked up, -90 to 90; without it, in Seattle.
    #[arg(
        long,
        value_name = "DEGREES",
        requires = "longitude",
        allow_negative_numbers = true
    )]
    latitude: Option<f64>,
    /// Where to be picked up, -180 to 180.
    #[arg(
        long,
        value_name = "DEGREES",
        requires = "latitude",
        allow_negative_numbers = true
    )]
    longitude: Option<f64>,
}

/// Where the web site of Wild Rydes picks its visitors up.
const SEATTLE: (f64, f64) = (47.6174, -122.2884);

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        match self {
            Self::Request(request) => {
                stack.rides()?;
                let ride = request.send(&Api::new(stack)?).await?;
                show(&ride, output)?;
            }
            Self::Show { id } => {
                let config = aws::config(stack).await;
                show(&recorded(stack, &config, &id).await?, output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Request {
    /// The ride that the API gives for it.
    async fn send(&self, api: &Api) -> Result<Ride, CliError> {
        let (latitude, longitude) = self.latitude.zip(self.longitude).unwrap_or(SEATTLE);
        let pickup_location = PickupLocation::new(latitude, longitude).map_err(CliError::input)?;
        read(&api.ride(&json!(RideRequest { pickup_location })).await?)
    }
}

async fn recorded(stack: &Stack, config: &SdkConfig, id: &RideId) -> Result<Ride, CliError> {
    let table = &stack.rides()?.table;
    let client = aws_sdk_dynamodb::Client::new(config);
    let ride = Rides::new(client, table.clone()).get(id).await?;
    ride.ok_or_else(|| {
        CliError::No(format!(
            "no ride {id} is recorded: where it was just asked for, look again in a moment; \
             then in the dead-letter queues (`offchain dlq list`)"
        ))
    })
}

fn show(ride: &Ride, output: &Output) -> Result<(), CliError> {
    output.show(ride, |output| {
        lines(ride).into_iter().for_each(|line| output.line(line));
    })
}

fn lines(ride: &Ride) -> Vec<String> {
    let row = |name: &str, value: String| format!("{name:<10} {value}");
    let mut lines = vec![
        row("ride", ride.ride_id.to_string()),
        row(
            "unicorn",
            crate::dlq::clean(&format!("{}, {}", ride.unicorn.name, ride.unicorn.color)),
        ),
        row("requested", ride.request_time.to_string()),
    ];
    if let Some(place) = &ride.pickup_location {
        lines.push(row(
            "pick-up",
            format!("{}, {}", place.latitude, place.longitude),
        ));
    }
    lines
}

/// The rides' part of `offchain status`. How many rides there are is not in
/// it: only reading the whole table would tell.
#[derive(Serialize)]
pub(crate) struct Report {
    fleet: usize,
}

/// `None` where the deployment has no rides.
pub(crate) async fn report(stack: &Stack, config: &SdkConfig) -> Result<Option<Report>, CliError> {
    let Some(rides) = &stack.rides else {
        return Ok(None);
    };
    let client = aws_sdk_dynamodb::Client::new(config);
    let fleet = Fleet::new(client, rides.fleet_table.clone()).all().await?;
    Ok(Some(Report { fleet: fleet.len() }))
}

impl Report {
    /// The fleet, and what of the deployment's rides is not recorded.
    pub(crate) fn line(&self, name: &str, queues: &[QueueReport]) -> String {
        let own = format!("{name}-rides-");
        let held = |dead_letter| {
            queues
                .iter()
                .filter(|queue| queue.dead_letter == dead_letter && queue.name.starts_with(&own))
                .map(|queue| queue.waiting + queue.delayed + queue.in_flight)
                .sum::<u64>()
        };
        let fleet = count(self.fleet, "unicorn");
        let fleet = if self.fleet == 0 { bad(fleet) } else { fleet };
        let dead = match held(true) {
            0 => "no dead letters".to_owned(),
            dead => bad(format!("{dead} in dead-letter queues")),
        };
        format!(
            "fleet      {fleet}; events: {} on their way, {dead}",
            held(false)
        )
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, answer, item};
    use serde_json::Value;

    use super::*;
    use crate::api::stub::Stub;
    use crate::output::plain;

    fn ride() -> Value {
        json!({
            "RideId": "0190f1c5-7a5e-7c3a-9a4e-1f2e3d4c5b6a",
            "Unicorn": {"Name": "Rocinante", "Color": "Yellow"},
            "RequestTime": "2026-11-21 11:00:00.250000",
            "PickupLocation": {"Latitude": 47.5, "Longitude": -122.25},
        })
    }

    fn stack() -> Stack {
        serde_json::from_value(json!({
            "name": "offchain",
            "region": "eu-central-1",
            "api_url": "http://api.test",
            "queues": {},
            "rides": {"table": "rides", "fleet_table": "fleet"},
        }))
        .unwrap()
    }

    fn request(place: Option<(f64, f64)>) -> Request {
        Request {
            latitude: place.map(|place| place.0),
            longitude: place.map(|place| place.1),
        }
    }

    #[tokio::test]
    async fn a_ride_is_asked_for_and_shown() {
        let stub = Stub::answering(vec![(201, ride()), (201, ride())]);
        let api = stub.api();
        request(None).send(&api).await.unwrap();
        let ride = request(Some((47.5, -122.25))).send(&api).await.unwrap();
        assert_eq!(
            stub.asked(),
            [
                r#"/ride {"PickupLocation":{"Latitude":47.6174,"Longitude":-122.2884}}"#,
                r#"/ride {"PickupLocation":{"Latitude":47.5,"Longitude":-122.25}}"#,
            ]
        );
        assert_eq!(
            lines(&ride),
            [
                "ride       0190f1c5-7a5e-7c3a-9a4e-1f2e3d4c5b6a",
                "unicorn    Rocinante, Yellow",
                "requested  2026-11-21 11:00:00.250000",
                "pick-up    47.5, -122.25",
            ]
        );
    }

    #[tokio::test]
    async fn a_place_that_is_not_on_earth_is_not_asked_for() {
        let api = Stub::answering(Vec::new()).api();
        for (latitude, longitude) in [(91.0, 0.0), (0.0, -181.0), (f64::NAN, 0.0)] {
            let refused = request(Some((latitude, longitude))).send(&api).await;
            let error = refused.unwrap_err();
            assert!(matches!(error, CliError::Input(_)), "{error}");
            assert!(error.to_string().contains("a number from -"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_the_api_refuses_is_said_with_its_reason() {
        for (status, code) in [(503, "FleetEmpty"), (502, "FleetFailed")] {
            let problem = json!({"title": code, "detail": "there is no unicorn"});
            let stub = Stub::answering(vec![(status, problem)]);
            let error = request(None).send(&stub.api()).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the API refused: {code}: there is no unicorn")
            );
            assert_eq!(error.exit_code(), ExitCode::from(3));
        }
    }

    #[tokio::test]
    async fn a_ride_is_shown_as_it_is_recorded() {
        let id: RideId = ride()["RideId"].as_str().unwrap().parse().unwrap();
        let aws = FakeAws::new()
            .on("GetItem", item(&ride()))
            .on("GetItem", answer(json!({})));
        let shown = recorded(&stack(), &aws.sdk_config(), &id).await.unwrap();
        assert_eq!(serde_json::to_value(&shown).unwrap(), ride());
        assert_eq!(aws.sent_once("GetItem")["TableName"], "rides");
        let error = recorded(&stack(), &aws.sdk_config(), &id)
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("no ride {id} is recorded"))
        );
        assert_eq!(error.exit_code(), ExitCode::from(1));
    }

    #[test]
    fn the_status_tells_the_fleet_and_what_waits() {
        let queue = |name: &str, dead_letter, waiting, in_flight| QueueReport {
            name: name.to_owned(),
            dead_letter,
            waiting,
            delayed: 0,
            in_flight,
        };
        let mut queues = vec![
            queue("offchain-rides-events", false, 3, 1),
            queue("offchain-rides-record-dlq", true, 0, 0),
            queue("offchain-vrf-requests-dlq", true, 9, 0),
        ];
        let line =
            |fleet, queues: &[QueueReport]| plain(&Report { fleet }.line("offchain", queues));
        assert_eq!(
            line(3, &queues),
            "fleet      3 unicorns; events: 4 on their way, no dead letters"
        );
        queues[1].in_flight = 2;
        assert_eq!(
            line(0, &queues),
            "fleet      0 unicorns; events: 4 on their way, 2 in dead-letter queues"
        );
    }
}
