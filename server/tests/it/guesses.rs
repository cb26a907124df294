//! Credentials that are guessed, nearly right, of another kind, or too late: none is accepted.

use proto::v1;
use proto::v1::account_client::AccountClient;
use tonic::Code;

use crate::line::{CONNECTIONS_MAX, is_no_answer, with_token};
use crate::station::Station;
use crate::support::campaign::Campaign;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_guessed_credential_is_accepted() {
    let station = Station::start().await;
    let customer = station.customer("cible").await;
    let mut campaign = Campaign::begin("C24", "guessed credentials", 1_000);
    let mut dice = campaign.dice();
    let real = [customer.person.as_str(), customer.agent.token.as_str(), station.operator.as_str()];
    let mut account = AccountClient::new(station.channel().await);
    for round in 0..campaign.rounds() {
        let mut token = dice.pick(&real).to_owned();
        match round % 4 {
            // One character away.
            0 | 1 => {
                let at = dice.index(token.len());
                let wrong = dice.pick(&["0", "a", "f", "Z", "_", "-"]);
                if &token[at..=at] == wrong {
                    continue;
                }
                token.replace_range(at..=at, wrong);
            }
            2 => token.truncate(dice.index(token.len())),
            // The right shape, another secret.
            _ => {
                let secret = token.find('_').map_or(0, |at| at + 1);
                let random: String =
                    (secret..token.len()).map(|_| char::from(dice.pick(b"0123456789abcdef"))).collect();
                token.replace_range(secret.., &random);
            }
        }
        let mut answer = None;
        // A server that refused so much ends the connection; that is no answer.
        for _ in 0..CONNECTIONS_MAX {
            let code = account.whoami(with_token(&token, v1::WhoamiRequest {})).await;
            let code = code.map_or_else(|status| status.code(), |_| Code::Ok);
            if !is_no_answer(code) {
                answer = Some(code);
                break;
            }
            campaign.count("connections ended by the server", 1);
            account = AccountClient::new(station.channel().await);
        }
        let code = answer.unwrap_or_else(|| panic!("round {round} is never answered"));
        assert!(matches!(code, Code::Unauthenticated | Code::ResourceExhausted), "round {round}: {code:?}");
        campaign.count("refused", 1);
    }
    // The real ones still are what they were; an agent is known, and may not ask this.
    for token in real {
        let answer = account.whoami(with_token(token, v1::WhoamiRequest {})).await;
        assert!(answer.map_or_else(|status| status.code() == Code::PermissionDenied, |_| true));
    }
    station.stop();
    campaign.pass();
}
