//! `dobaas-admin customer`.

use clap::ArgMatches;
use common::text::date::moment;
use proto::v1;
use proto::v1::admin_client::AdminClient;
use serde::Serialize;

use super::command::Context;
use super::failure::AdminError;
use super::remote::answer;
use super::table;
use crate::cli::arguments::text;

#[derive(Serialize)]
struct Line {
    reference: String,
    name: String,
    created_at: String,
}

/// Records a customer.
///
/// # Errors
/// What the server refused.
pub async fn create(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request = v1::CreateCustomerRequest { reference: part("reference"), name: part("customer-name") };
    let line = Line { reference: request.reference.clone(), name: request.name.clone(), created_at: String::new() };
    answer(AdminClient::new(remote.channel()).create_customer(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "reference": line.reference, "name": line.name }))?;
    Ok(context.output.say("admin-customer-created", &[("reference", line.reference.into())])?)
}

/// Lists the customers.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::ListCustomersRequest {});
    let reply = answer(AdminClient::new(remote.channel()).list_customers(request)).await?;
    let texts = context.output.texts;
    let rows: Vec<Vec<String>> = reply
        .customers
        .iter()
        .map(|customer| {
            let created = texts.date(moment(customer.created_at_ns));
            vec![customer.reference.clone(), customer.name.clone(), created]
        })
        .collect();
    let line = |customer: v1::Customer| Line {
        created_at: moment(customer.created_at_ns).to_string(),
        reference: customer.reference,
        name: customer.name,
    };
    context.output.document(&reply.customers.into_iter().map(line).collect::<Vec<_>>())?;
    Ok(table::print(context, &["reference", "name", "created"].map(table::words), &rows)?)
}
