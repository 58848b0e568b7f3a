//! `tcp://` and `udp://`: the stages behind `name`, where no HTTP is spoken.

use journey::{Stage, StageName, StageState, stage::Address};

use super::{Probe, beside::Late, connect, datagram, observed, stream, target::Scheme, target::Target};
use crate::payload::Payload;

/// Sends what is to be sent and takes what comes; the stages from `connect` on, as far as they came.
pub async fn talk(probe: &Probe<'_>, target: &Target, addresses: &[Address], late: &mut Late) -> Vec<Stage> {
    let nothing = Payload::Nothing { why: "there is no --send".to_owned() };
    let payload = probe.payload.unwrap_or(&nothing);
    if target.scheme == Scheme::Udp {
        let bytes: &[u8] = match payload {
            Payload::Bytes(bytes) => bytes,
            // `payload` lets no visit over UDP begin without a datagram.
            Payload::Nothing { .. } => &[],
        };
        return datagram::exchange(probe, bytes, addresses, target.port).await;
    }
    let start_us = probe.clock.us();
    let (result, calls) = connect::connect_noting(probe, addresses, target.port, late).await;
    let end_us = probe.clock.us();
    let (did, failure, stream) = match result {
        Ok((did, (_, stream))) => (did, None, Some(stream)),
        Err(broken) => (broken.0, Some(broken.1), None),
    };
    let state = if stream.is_some() { StageState::Done } else { StageState::Failed };
    let mut stages = vec![Stage { calls, ..observed(state, did, start_us, end_us, failure) }];
    if let Some(stream) = stream {
        stages.push(Stage::skipped(StageName::Tls, "tcp:// has no TLS"));
        stages.extend(stream::talk(probe, payload, stream).await);
    }
    stages
}
