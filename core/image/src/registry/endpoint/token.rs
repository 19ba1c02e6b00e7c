//! Tokens: a registry sends those who ask to another server, which knows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use url::Url;

use super::{Endpoint, Error, limited};
use crate::auth::Credentials;
use crate::registry::{ANSWER_MAX, CONNECT_MAX};

const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// Under which tokens are asked for.
const CLIENT_ID: &str = "karman";

/// A token to fetch.
pub(super) struct Wanted<'a> {
    pub(super) realm: &'a Url,
    pub(super) service: Option<&'a str>,
    pub(super) scope: Option<&'a str>,
    pub(super) credentials: Option<&'a Credentials>,
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(super) async fn fetch(endpoint: &Endpoint, wanted: &Wanted<'_>) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let realm = || wanted.realm.host_str().unwrap_or_default().to_owned();
    let no_token = || Error::NoToken { realm: realm() };
    // A token server that sends elsewhere would be shown credentials there.
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .build()
        .map_err(|_| no_token())?;
    let failed = |source: reqwest::Error| Error::Connect {
        endpoint: format!("the token server {}", realm()),
        source: source.without_url(),
    };
    let response = request(&client, wanted).send().await.map_err(failed)?;
    if matches!(response.status().as_u16(), 400 | 401 | 403) {
        return Err(endpoint.unauthorized());
    }
    if !response.status().is_success() {
        return Err(Error::Refused {
            endpoint: format!("the token server {}", realm()),
            status: response.status().as_u16(),
            detail: None,
        });
    }
    let body = limited(response, TOKEN_BYTES_MAX, endpoint).await?;
    let Answer { token, access_token } = serde_json::from_slice(&body).map_err(|_| no_token())?;
    token.or(access_token).filter(|token| !token.is_empty()).ok_or_else(no_token)
}

fn request(client: &Client, wanted: &Wanted<'_>) -> RequestBuilder {
    let Wanted { realm, service, scope, credentials } = wanted;
    let mut fields: Vec<(&str, &str)> = Vec::new();
    fields.extend(service.map(|service| ("service", service)));
    fields.extend(scope.map(|scope| ("scope", scope)));
    if let Some(Credentials::Identity { token }) = credentials {
        fields.extend([
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", CLIENT_ID),
        ]);
        return client.post((*realm).clone()).form(&fields);
    }
    let mut url = (*realm).clone();
    url.query_pairs_mut().extend_pairs(fields);
    let request = client.get(url);
    match credentials {
        Some(Credentials::Password { user, password }) => request.basic_auth(user, Some(password)),
        _ => request,
    }
}
