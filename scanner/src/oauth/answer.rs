//! What an authorisation server answers. Its own words stay unread: an error is known by its code (RFC 6749, 5.2).

use crate::scan::egress::{NotAllowed, SendError};
use chrono::TimeDelta;
use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType, BasicTokenType};
use oauth2::{AccessToken, HttpResponse, RefreshToken, RequestTokenError, Scope as Granted, TokenResponse};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;
use twinflow_connectors::Scope;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Nothing will come of asking again until a person consents anew.
    #[error("the tool says that what was granted has ended, or was taken back")]
    Dead,
    /// The app itself is not known.
    #[error(
        "the tool does not know the app, or its secret is another; check --client-id and the client secret"
    )]
    WrongApp,
    #[error("the tool's authorisation server refuses: {0}")]
    Refused(String),
    /// The same may succeed later.
    #[error("the tool's authorisation server gives no token now: {0}")]
    Passing(String),
    #[error("{0}")]
    NotAllowed(NotAllowed),
}

/// Why no answer of the protocol came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendTrouble {
    #[error("{0}")]
    Unsent(#[from] SendError),
    #[error("HTTP {0}")]
    Trouble(u16),
}

impl SendTrouble {
    pub(super) fn unless_answered(status: u16, body: Vec<u8>) -> Result<HttpResponse, Self> {
        let trouble = Self::Trouble(status);
        if status == 429 || status >= 500 {
            return Err(trouble);
        }
        let mut response = HttpResponse::new(body);
        // Zendesk may say 201 of a token that it made.
        let status = if status == 201 { 200 } else { status };
        *response.status_mut() = status.try_into().map_err(|_| trouble)?;
        Ok(response)
    }
}

type Failed = RequestTokenError<SendTrouble, BasicErrorResponse>;

impl From<Failed> for AuthError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::ServerResponse(said) => match said.error() {
                // Atlassian says the one, everybody else the other.
                BasicErrorResponseType::InvalidGrant | BasicErrorResponseType::UnauthorizedClient => {
                    Self::Dead
                }
                BasicErrorResponseType::InvalidClient => Self::WrongApp,
                BasicErrorResponseType::InvalidScope => {
                    Self::Refused("the app may not ask for these scopes".into())
                }
                _ => Self::Refused("it does not accept the question".into()),
            },
            Failed::Request(SendTrouble::Unsent(error)) => error.into(),
            Failed::Request(error) => Self::Passing(error.to_string()),
            Failed::Parse(..) => Self::Passing("its answer could not be read".into()),
            Failed::Other(_) => Self::Passing("its answer was empty".into()),
        }
    }
}

/// A token endpoint's answer (RFC 6749, 5.1), in all the shapes it comes in.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TokenAnswer {
    access_token: AccessToken,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default)]
    expires_in: Option<u64>,
    /// A list, or a text with blanks or commas between.
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    pub(super) scopes: Option<Vec<String>>,
    /// Salesforce: where the customer lives.
    #[serde(default)]
    instance_url: Option<String>,
}

fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        List(Vec<String>),
    }
    Ok(Option::<Either>::deserialize(deserializer)?.map(|either| match either {
        Either::Text(text) => text.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        Either::List(list) => list,
    }))
}

const BEARER: &BasicTokenType = &BasicTokenType::Bearer;

/// What else a token may be for, nobody here asks for.
impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        BEARER
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Granted>> {
        None
    }
}

impl TokenAnswer {
    /// How long the access token is good; nothing where that is unsaid or makes no sense.
    pub(super) fn lifetime(&self) -> Option<TimeDelta> {
        const A_YEAR: u64 = 366 * 24 * 3600;
        let seconds = self.expires_in.filter(|seconds| (1..=A_YEAR).contains(seconds))?;
        i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds)
    }

    pub(super) fn instance(&self) -> Option<&str> {
        self.instance_url.as_deref()
    }

    pub(super) fn tokens(self) -> (SecretString, Option<SecretString>) {
        let refresh = self.refresh_token.map(|token| SecretString::from(token.into_secret()));
        (SecretString::from(self.access_token.into_secret()), refresh)
    }
}

/// The grant is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("the grant lacks {0}; connect again and leave every box of the consent page ticked")]
    Less(String),
    #[error(
        "the grant may do more than was asked for ({0}); take that away from the app, then connect again"
    )]
    More(String),
}

/// Exactly what was asked for. Where the tool does not say, it is (RFC 6749, 5.1).
pub fn check_scopes(asked: &[Scope], granted: Option<&[String]>) -> Result<(), ScopeError> {
    let Some(granted) = granted else { return Ok(()) };
    let lacks = asked.iter().filter(|scope| !granted.iter().any(|it| it == scope.name));
    let lacks: Vec<_> = lacks.map(|scope| format!("{} ({})", scope.name, scope.why)).collect();
    if !lacks.is_empty() {
        return Err(ScopeError::Less(lacks.join(", ")));
    }
    // A scope's name is the tool's word: shown only as far as it looks like one.
    let looks = |it: &str| it.len() <= 100 && it.chars().all(|c| c.is_ascii_graphic());
    let beyond = granted.iter().filter(|it| !asked.iter().any(|scope| scope.name == it.as_str()));
    let beyond: Vec<_> =
        beyond.map(|it| if looks(it) { it.as_str() } else { "a scope without a name" }).collect();
    if beyond.is_empty() { Ok(()) } else { Err(ScopeError::More(beyond.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> TokenAnswer {
        serde_json::from_str(json).expect("an answer")
    }

    #[test]
    fn scopes_are_read_from_a_text_or_a_list_and_may_be_left_out() {
        for scope in [r#""a b""#, r#""a,b""#, r#"["a","b"]"#] {
            let answer = read(&format!(r#"{{"access_token":"t","scope":{scope}}}"#));
            assert_eq!(answer.scopes, Some(vec!["a".to_owned(), "b".to_owned()]), "{scope}");
        }
        assert_eq!(read(r#"{"access_token":"t"}"#).scopes, None);
        assert_eq!(read(r#"{"access_token":"t","scope":null}"#).scopes, None);
    }

    #[test]
    fn a_lifetime_that_makes_no_sense_is_none() {
        let lifetime = |text: &str| read(&format!(r#"{{"access_token":"t"{text}}}"#)).lifetime();
        assert_eq!(lifetime(r#","expires_in":3600"#), TimeDelta::try_hours(1));
        for odd in ["", r#","expires_in":0"#, r#","expires_in":18446744073709551615"#] {
            assert_eq!(lifetime(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_grant_is_exactly_what_was_asked_for_or_refused() {
        let asked = [Scope { name: "read", why: "to read" }, Scope { name: "stay", why: "to stay" }];
        let granted = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_scopes(&asked, None), Ok(()));
        assert_eq!(check_scopes(&asked, Some(&granted(&["stay", "read"]))), Ok(()));
        let less = check_scopes(&asked, Some(&granted(&["read"]))).expect_err("less");
        assert!(less.to_string().contains("stay (to stay)"), "{less}");
        let more = check_scopes(&asked, Some(&granted(&["read", "stay", "admin"]))).expect_err("more");
        assert!(more.to_string().contains("(admin)"), "{more}");
    }

    #[test]
    fn what_the_server_says_is_never_repeated() {
        let said = |json: &str| {
            let answer: BasicErrorResponse = serde_json::from_str(json).expect("an error");
            AuthError::from(Failed::ServerResponse(answer))
        };
        let odd = said(r#"{"error":"secret words","error_description":"secret words"}"#);
        assert!(!format!("{odd} {odd:?}").contains("secret"), "{odd:?}");
        assert_eq!(said(r#"{"error":"invalid_grant"}"#), AuthError::Dead);
        assert_eq!(said(r#"{"error":"unauthorized_client"}"#), AuthError::Dead);
        assert_eq!(said(r#"{"error":"invalid_client"}"#), AuthError::WrongApp);
        let unread = serde_path_to_error_of("secret words");
        assert!(!format!("{unread} {unread:?}").contains("secret"));
    }

    fn serde_path_to_error_of(body: &str) -> AuthError {
        AuthError::from(Failed::Other(body.to_owned()))
    }
}
