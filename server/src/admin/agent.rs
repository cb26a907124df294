//! `dobaas-admin agent`: agents of a subscription, their rights and their enrolment tokens.

use clap::ArgMatches;
use common::id::AgentId;
use common::text::date::moment;
use proto::v1;
use proto::v1::admin_client::AdminClient;
use serde::Serialize;

use super::command::Context;
use super::failure::AdminError;
use super::remote::answer;
use super::{confirm, table};
use crate::cli::arguments::text;

#[derive(Serialize)]
struct Line {
    agent: String,
    host: String,
    version: String,
    enrolled_at: String,
    seen_at: Option<String>,
    revoked: bool,
    replaced_by: Option<String>,
}

/// Lists the agents of a subscription.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = v1::ListSubscriptionAgentsRequest { subscription: reference(matches) };
    let reply = answer(AdminClient::new(remote.channel()).list_subscription_agents(remote.request(request))).await?;
    let lines: Vec<Line> = reply.agents.into_iter().map(line).collect();
    context.output.document(&lines)?;
    let texts = context.output.texts;
    let row = |line: &Line| {
        let state = match (&line.replaced_by, line.revoked) {
            (Some(_), _) => "agent-state-replaced",
            (None, true) => "agent-state-revoked",
            (None, false) => "agent-state-active",
        };
        let date = |at: &str| at.parse().map_or_else(|_| String::new(), |at| texts.date(at));
        let seen = line.seen_at.as_deref().map(date).unwrap_or_default();
        vec![line.agent.clone(), line.host.clone(), date(&line.enrolled_at), seen, texts.say(state)]
    };
    let columns = ["agent", "host", "enrolled", "seen", "state"].map(table::words);
    Ok(table::print(context, &columns, &lines.iter().map(row).collect::<Vec<_>>())?)
}

/// Ends an agent's token for good.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn revoke(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let (agent, reference) = (agent(matches)?, reference(matches));
    confirm::confirm(context, matches, &reference)?;
    let remote = context.remote().await?;
    let request =
        v1::RevokeSubscriptionAgentRequest { subscription: reference, agent: agent.as_bytes().to_vec().into() };
    answer(AdminClient::new(remote.channel()).revoke_subscription_agent(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "agent": agent.to_string(), "revoked": true }))?;
    Ok(context.output.say("admin-agent-revoked", &[("agent", agent.to_string().into())])?)
}

/// Gives or takes an agent's right to fetch content without a person.
///
/// # Errors
/// What the server refused.
pub async fn set_restore(context: &Context, matches: &ArgMatches, allowed: bool) -> Result<(), AdminError> {
    let agent = agent(matches)?;
    let remote = context.remote().await?;
    let request = v1::SetAgentRestoreRequest {
        subscription: reference(matches),
        agent: agent.as_bytes().to_vec().into(),
        allowed,
    };
    answer(AdminClient::new(remote.channel()).set_agent_restore(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "agent": agent.to_string(), "can_restore": allowed }))?;
    let key = if allowed { "admin-agent-may-restore" } else { "admin-agent-may-not-restore" };
    Ok(context.output.say(key, &[("agent", agent.to_string().into())])?)
}

/// Makes a one-use enrolment token and shows it once.
///
/// # Errors
/// What the server refused.
pub async fn token(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let hours = matches.get_one::<u32>("hours").copied().unwrap_or(24);
    let request = v1::CreateEnrolmentTokenRequest {
        subscription: reference(matches),
        valid_s: hours * 3_600,
        source: text(matches, "only-source").unwrap_or_default().to_owned(),
    };
    let reply = answer(AdminClient::new(remote.channel()).create_enrolment_token(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "token": reply.token, "valid_s": hours * 3_600 }))?;
    let args = [("token", reply.token.into()), ("hours", u64::from(hours).into())];
    Ok(context.output.say("admin-token-once", &args)?)
}

fn reference(matches: &ArgMatches) -> String {
    text(matches, "reference").unwrap_or_default().to_owned()
}

fn agent(matches: &ArgMatches) -> Result<AgentId, AdminError> {
    let given = text(matches, "agent").unwrap_or_default();
    given.parse().map_err(|_| AdminError::value("agent", given))
}

fn line(agent: v1::Agent) -> Line {
    let id = |bytes: &[u8]| AgentId::try_from(bytes).map(|id| id.to_string()).ok();
    Line {
        agent: id(&agent.agent).unwrap_or_default(),
        host: agent.host,
        version: agent.version,
        enrolled_at: moment(agent.enrolled_at_ns).to_string(),
        seen_at: (agent.seen_at_ns != 0).then(|| moment(agent.seen_at_ns).to_string()),
        revoked: agent.revoked,
        replaced_by: id(&agent.replaced_by),
    }
}
