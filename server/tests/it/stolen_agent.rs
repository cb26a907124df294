//! The credential of an agent in wrong hands: it tries everything that could take a date away, and what could be restored before can be restored after.

use common::id::SessionId;
use proto::v1;
use proto::v1::backup_client::BackupClient;
use server::auth::access::{self, Access};
use tonic::Code;

use crate::forge::{Known, calls, message, path};
use crate::line::{CONNECTIONS_MAX, call, is_no_answer, with_token};
use crate::station::Station;
use crate::support::campaign::Campaign;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_agent_takes_no_date_away() {
    let station = Station::start().await;
    let victim = station.customer("victime").await;
    let sibling = station.sibling(&victim).await;
    let channel = station.channel().await;
    let stored = victim.agent.back_up(&channel, 1, b"before the theft").await.unwrap();
    let of_sibling = sibling.agent.back_up(&channel, 2, b"the sibling's").await.unwrap();
    let before = dates(&station, &victim.person, &[&victim.agent.source, &sibling.agent.source]).await;
    assert_eq!(before.len(), 2);
    let mut campaign = Campaign::begin("C20", "stolen agent", 20);
    let thief = &victim.agent;
    let mut known: Known = victim.known();
    known.extend(sibling.known());
    known.extend([&stored, &of_sibling].map(|stored| stored.session.as_bytes().to_vec()));

    // Every call that is not an agent's, with messages that name what exists.
    for shape in calls() {
        let mut channel = station.channel().await;
        let is_the_agents = match access::of_path(&path(&shape)) {
            Access::Only { agent, .. } => agent,
            _ => true,
        };
        for round in 0..campaign.rounds() {
            let bytes = message(&shape.input(), &mut crate::forge::Dice::new(campaign.seed(), round), &known);
            let mut answer = None;
            // A server that is asked too much nonsense ends the connection; that is no answer.
            for _ in 0..CONNECTIONS_MAX {
                let code = call(channel.clone(), &path(&shape), &thief.token, vec![bytes.clone()])
                    .await
                    .map_or_else(|status| status.code(), |_| Code::Ok);
                if !is_no_answer(code) {
                    answer = Some(code);
                    break;
                }
                campaign.count("connections ended by the server", 1);
                channel = station.channel().await;
            }
            let code = answer.unwrap_or_else(|| panic!("{} is never answered", path(&shape)));
            let refused = matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::ResourceExhausted);
            assert!(is_the_agents || refused, "{}: {code:?}", path(&shape));
            campaign.count("calls tried", 1);
            campaign.count("calls refused at the door", u64::from(refused));
        }
    }
    // Its own calls, each turned against what is there: sessions of others, its own old ones again, a source that is not its own, older parents.
    let mut backup = BackupClient::new(channel.clone());
    for session in [&stored.session, &of_sibling.session] {
        let abort = v1::AbortRequest { session: bytes::Bytes::copy_from_slice(session.as_bytes()) };
        let _ = backup.abort(with_token(&thief.token, abort)).await;
    }
    let foreign = v1::OpenRequest {
        source: bytes::Bytes::copy_from_slice(sibling.agent.source.as_bytes()),
        ..thief.open_request(SessionId::new([90; 16]))
    };
    assert!(backup.open(with_token(&thief.token, foreign)).await.is_err(), "a source that another machine reads");
    let taken = thief.open_request(of_sibling.session);
    assert!(backup.open(with_token(&thief.token, taken)).await.is_err(), "a session id of another agent");
    // A flood of tiny snapshots, which may push nothing out.
    for number in 100..=250 {
        match thief.back_up(&channel, number, &[number]).await {
            Ok(_) => campaign.count("tiny snapshots taken", 1),
            Err(status) => {
                assert!(matches!(status.code(), Code::ResourceExhausted | Code::FailedPrecondition), "{status:?}");
                campaign.count("tiny snapshots refused", 1);
            }
        }
    }
    let after = dates(&station, &victim.person, &[&victim.agent.source, &sibling.agent.source]).await;
    assert!(before.iter().all(|date| after.contains(date)), "a date is gone");
    // And a person reads what it was.
    for (agent, stored) in [(&victim.agent, &stored), (&sibling.agent, &of_sibling)] {
        let fetch = v1::FetchRequest {
            scope: bytes::Bytes::copy_from_slice(agent.scope.as_bytes()),
            ids: [stored.data, stored.root].iter().flat_map(|id| id.as_bytes().to_vec()).collect(),
        };
        let mut restore = v1::restore_client::RestoreClient::new(channel.clone());
        let mut frames = restore.fetch(with_token(&victim.person, fetch)).await.unwrap().into_inner();
        let mut bytes = 0;
        while let Some(reply) = frames.message().await.unwrap() {
            bytes += prost::Message::encoded_len(&reply);
        }
        assert!(bytes > 100, "nothing came");
    }
    station.stop();
    campaign.pass();
}

/// The snapshots of these sources that a person sees, as their objects.
async fn dates(station: &Station, person: &str, sources: &[&common::id::SourceId]) -> Vec<Vec<u8>> {
    let mut restore = v1::restore_client::RestoreClient::new(station.channel().await);
    let mut found = Vec::new();
    for source in sources {
        let request =
            v1::SnapshotsRequest { source: bytes::Bytes::copy_from_slice(source.as_bytes()), ..Default::default() };
        let reply = restore.snapshots(with_token(person, request)).await.unwrap().into_inner();
        found.extend(reply.snapshots.iter().map(|snapshot| snapshot.object.to_vec()));
    }
    found
}
