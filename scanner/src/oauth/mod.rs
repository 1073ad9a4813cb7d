//! Consent and what follows from it: the authorization code grant of OAuth 2.0 (RFC 6749) with PKCE (RFC 7636), as a
//! tool's contract describes it. [`AuthServer`] asks the tool's authorisation server; `answer.rs` says what its
//! answers mean; `redirect.rs` waits for the person to come back from the consent page.

mod answer;
mod redirect;

pub use answer::{AuthError, ScopeError, check_scopes};
pub use redirect::{Listener, Redirected};

use crate::credential::{App, Grant, plain};
use crate::scan::egress::{Allowed, Authorization, Bounds, Door, NotAllowed, Pin, Post, SendError};
use answer::{SendTrouble, TokenAnswer};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    StandardRevocableToken, TokenUrl,
};
use rand::RngExt as _;
use secrecy::SecretString;
use std::borrow::Cow;
use twinflow_connectors::{Contract, OAuth, Revoke};
use url::Url;

type Client = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A tool's authorisation server, for one connection.
#[derive(Clone, Debug)]
pub struct AuthServer<'a> {
    contract: &'static Contract,
    oauth: &'static OAuth,
    allowed: &'a Allowed,
    /// The connection's base URL, for endpoints that live beside it.
    base_url: &'a str,
    /// The origin that stands in the place of the contract's.
    elsewhere: Option<&'a str>,
    bounds: Bounds,
}

/// What one attempt is known by. It is good once.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Attempt {
    pub state: SecretString,
    verifier: SecretString,
}

impl Attempt {
    pub fn new(rng: &mut impl rand::CryptoRng) -> Self {
        Self { state: random(rng), verifier: random(rng) }
    }
}

/// 256 bits, in letters that need no escaping.
fn random(rng: &mut impl rand::CryptoRng) -> SecretString {
    let bytes: [u8; 32] = rng.random();
    SecretString::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// What came of giving a grant back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    Done,
    /// Why not.
    Failed(String),
    /// What a person does instead.
    ByHand(&'static str),
}

impl<'a> AuthServer<'a> {
    /// `None` when the tool cannot be connected by consent.
    pub fn new(
        contract: &'static Contract,
        allowed: &'a Allowed,
        base_url: &'a str,
        elsewhere: Option<&'a str>,
    ) -> Option<Self> {
        let oauth = contract.oauth()?;
        Some(Self { contract, oauth, allowed, base_url, elsewhere, bounds: Bounds::default() })
    }

    pub fn oauth(&self) -> &'static OAuth {
        self.oauth
    }

    /// The consent page, with everything it is to know.
    pub fn consent_page(&self, app: &App, redirect: &str, attempt: &Attempt) -> Result<Url, AuthError> {
        let client = self.client(app)?.set_redirect_uri(redirect_url(redirect)?);
        let scopes: Vec<_> = self.contract.scopes.iter().map(|scope| scope.name).collect();
        let state = plain(&attempt.state).to_owned();
        let mut page = client.authorize_url(|| CsrfToken::new(state));
        page = page.add_extra_param("scope", scopes.join(self.oauth.separator));
        for (name, value) in self.oauth.extra {
            page = page.add_extra_param(*name, *value);
        }
        if self.oauth.pkce {
            let verifier = PkceCodeVerifier::new(plain(&attempt.verifier).to_owned());
            page = page.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        }
        Ok(page.url().0)
    }

    /// A code for a grant, and the scopes it has, where the tool says so.
    pub async fn exchange(
        &self,
        app: &App,
        redirect: &str,
        attempt: &Attempt,
        code: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<(Grant, Option<Vec<String>>), AuthError> {
        let client = self.client(app)?.set_redirect_uri(redirect_url(redirect)?);
        let courier = self.courier()?;
        let mut asking = client.exchange_code(AuthorizationCode::new(plain(code).to_owned()));
        if self.oauth.pkce {
            asking = asking.set_pkce_verifier(PkceCodeVerifier::new(plain(&attempt.verifier).to_owned()));
        }
        let answer = asking.request_async(&courier).await?;
        let scopes = answer.scopes.clone();
        let elsewhere = self.elsewhere.map(str::to_owned);
        let blank = Grant {
            app: app.clone(),
            access: SecretString::default(),
            refresh: None,
            expires_at: None,
            server: elsewhere,
            instance: None,
        };
        Ok((self.with(blank, answer, now)?, scopes))
    }

    /// A new access token for a grant. What the tool does not send anew stays as it was.
    pub async fn refresh(&self, grant: &Grant, now: DateTime<Utc>) -> Result<Grant, AuthError> {
        let Some(refresh) = &grant.refresh else { return Err(AuthError::Dead) };
        let client = self.client(&grant.app)?;
        let courier = self.courier()?;
        let refresh = RefreshToken::new(plain(refresh).to_owned());
        let answer = client.exchange_refresh_token(&refresh).request_async(&courier).await?;
        self.with(grant.clone(), answer, now)
    }

    /// Gives a grant back, as far as the tool lets a program do so.
    pub async fn revoke(&self, grant: &Grant) -> Revoked {
        let revoked = match self.oauth.revoke {
            Revoke::ByHand(what) => return Revoked::ByHand(what),
            Revoke::Post(url) => self.post_revocation(url, grant).await,
            Revoke::Delete(url) => match self.door(url) {
                Ok(door) => door.delete(Authorization::Bearer(&grant.access)).await.map_err(Into::into),
                Err(error) => Err(error),
            },
        };
        match revoked {
            Ok(200..=299) => Revoked::Done,
            Ok(status) => Revoked::Failed(format!("the tool did not take it back (HTTP {status})")),
            Err(error) => Revoked::Failed(error.to_string()),
        }
    }

    /// RFC 7009, section 2.1. Whatever of the two goes takes the other with it.
    async fn post_revocation(&self, url: &str, grant: &Grant) -> Result<u16, AuthError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match &grant.refresh {
            // Linear's own name for it comes along; servers leave out what they do not know (RFC 6749, 3.2).
            Some(refresh) => form
                .append_pair("token", plain(refresh))
                .append_pair("token_type_hint", "refresh_token")
                .append_pair("refresh_token", plain(refresh)),
            None => form
                .append_pair("token", plain(&grant.access))
                .append_pair("token_type_hint", "access_token")
                .append_pair("access_token", plain(&grant.access)),
        };
        form.append_pair("client_id", &grant.app.id);
        if let Some(secret) = &grant.app.secret {
            form.append_pair("client_secret", plain(secret));
        }
        Ok(self.door(url)?.post(Post::Form(form.finish().into_bytes())).await?.0)
    }

    fn with(&self, old: Grant, answer: TokenAnswer, now: DateTime<Utc>) -> Result<Grant, AuthError> {
        let expires_at = answer.lifetime().map(|lifetime| now + lifetime);
        let instance = match answer.instance() {
            // Only of a tool that has hosts of its own for its customers.
            Some(origin) if !self.contract.hosts_under.is_empty() => {
                let pin = self.allowed.pin(origin, self.contract).map_err(AuthError::NotAllowed)?;
                Some(pin.as_url().origin().ascii_serialization())
            }
            _ => old.instance,
        };
        let (access, refresh) = answer.tokens();
        Ok(Grant { access, refresh: refresh.or(old.refresh), expires_at, instance, ..old })
    }

    fn client(&self, app: &App) -> Result<Client, AuthError> {
        let url = |template| Ok::<_, AuthError>(self.endpoint(template)?.as_url().clone());
        let authorize = AuthUrl::from_url(url(self.oauth.authorize)?);
        let token = TokenUrl::from_url(url(self.oauth.token)?);
        let mut client =
            oauth2::Client::new(ClientId::new(app.id.clone())).set_auth_type(AuthType::RequestBody);
        if let Some(secret) = &app.secret {
            client = client.set_client_secret(ClientSecret::new(plain(secret).to_owned()));
        }
        Ok(client.set_auth_uri(authorize).set_token_uri(token))
    }

    /// Where an endpoint of the contract is for this connection.
    pub fn endpoint(&self, template: &str) -> Result<Pin, NotAllowed> {
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
        let filled = match template.strip_prefix("{base}") {
            None => Cow::Borrowed(template),
            Some(path) => Cow::Owned(format!("{}{path}", origin(self.base_url).ok_or(NotAllowed::BadUrl)?)),
        };
        let Some(elsewhere) = self.elsewhere else {
            return self.allowed.pin_endpoint(&filled, self.contract);
        };
        let named = Url::parse(&filled).map_err(|_| NotAllowed::BadUrl)?;
        let moved = format!("{}{}", origin(elsewhere).ok_or(NotAllowed::BadUrl)?, named.path());
        self.allowed.pin_endpoint(&moved, self.contract)
    }

    fn door(&self, template: &str) -> Result<Door, AuthError> {
        Ok(Door::new(self.endpoint(template)?, self.bounds)?)
    }

    fn courier(&self) -> Result<Courier, AuthError> {
        Ok(Courier { door: self.door(self.oauth.token)?, json: self.oauth.json })
    }
}

/// Sends what the protocol wants sent, in the encoding the tool takes.
struct Courier {
    door: Door,
    json: bool,
}

impl<'c> AsyncHttpClient<'c> for Courier {
    type Error = SendTrouble;
    type Future = BoxFuture<'c, Result<HttpResponse, SendTrouble>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let form = request.into_body();
        let post = if self.json { Post::Json(as_json(&form)) } else { Post::Form(form) };
        Box::pin(async move {
            let (status, body) = self.door.post(post).await?;
            SendTrouble::unless_answered(status, body)
        })
    }
}

/// The fields of a form as an object.
fn as_json(form: &[u8]) -> Vec<u8> {
    let fields: serde_json::Map<_, _> = url::form_urlencoded::parse(form)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    serde_json::Value::Object(fields).to_string().into_bytes()
}

fn redirect_url(text: &str) -> Result<RedirectUrl, AuthError> {
    RedirectUrl::new(text.to_owned()).map_err(|_| AuthError::NotAllowed(NotAllowed::BadUrl))
}

impl From<SendError> for AuthError {
    fn from(error: SendError) -> Self {
        if error.is_passing() { Self::Passing(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}

impl From<NotAllowed> for AuthError {
    fn from(error: NotAllowed) -> Self {
        Self::NotAllowed(error)
    }
}
