//! The `Server` service: what anyone may ask.

use bytes::Bytes;
use proto::PROTOCOL;
use proto::v1;
use tonic::{Request, Response, Status};

use crate::contract::location::Location;

/// Describes the server.
#[derive(Clone)]
pub struct ServerService {
    description: v1::DescribeReply,
}

impl ServerService {
    /// Describes a server at `location` whose receipt key the root certified.
    pub fn new(location: &Location, public_key: &[u8], certificate: &[u8]) -> Self {
        let signer = common::receipt::signer_id(public_key);
        let signer = v1::SignerKey {
            signer: Bytes::copy_from_slice(signer.as_bytes()),
            public_key: Bytes::copy_from_slice(public_key),
            certificate: Bytes::copy_from_slice(certificate),
        };
        let description = v1::DescribeReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            location: Some(wire_location(location)),
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            signers: vec![signer],
        };
        Self { description }
    }
}

#[tonic::async_trait]
impl v1::server_server::Server for ServerService {
    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeReply>, Status> {
        Ok(Response::new(self.description.clone()))
    }
}

/// A location as the wire carries it.
pub fn wire_location(location: &Location) -> v1::Location {
    v1::Location { site: location.site.clone(), country: location.country.clone(), owner: location.owner.clone() }
}
