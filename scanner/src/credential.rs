//! What opens a tool: a token, a name with a secret, or a grant that is renewed. It is sealed as one text; a token as
//! it is, the others as JSON. Text and secrets meet here and nowhere else.

use crate::scan::egress::Authorization;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use twinflow_connectors::{Contract, SignIn};
use zeroize::Zeroizing;

#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub enum Credential {
    Token(SecretString),
    /// The user as a header names them.
    Basic {
        user: String,
        secret: SecretString,
    },
    Grant(Grant),
}

/// The app that a person registered at the tool.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct App {
    pub id: String,
    pub secret: Option<SecretString>,
}

/// What a person granted by consent (RFC 6749).
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Grant {
    pub app: App,
    pub access: SecretString,
    pub refresh: Option<SecretString>,
    /// Where the tool said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// The origin of the authorisation server, where it is not the contract's.
    pub server: Option<String>,
    /// The origin to ask, as the tool said with the token; it goes before the connection's.
    pub instance: Option<String>,
}

/// What was sealed is no credential of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed credential is of a kind this program does not know; renew it with `twinflow renew`")]
pub struct UnknownKind;

impl Credential {
    /// What requests show.
    pub fn authorization(&self) -> Authorization<'_> {
        match self {
            Self::Token(token) => Authorization::Bearer(token),
            Self::Basic { user, secret } => Authorization::Basic { user, secret },
            Self::Grant(grant) => Authorization::Bearer(&grant.access),
        }
    }

    /// A name and a secret as the tool's contract wants them put together.
    pub fn basic(contract: &Contract, name: &str, secret: SecretString) -> Option<Self> {
        contract.sign_ins.iter().find_map(|way| match way {
            SignIn::Basic { after_name, .. } => {
                Some(Self::Basic { user: format!("{name}{after_name}"), secret: secret.clone() })
            }
            SignIn::Token { .. } | SignIn::OAuth(_) => None,
        })
    }

    pub fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Grant(grant) => Some(grant),
            Self::Token(_) | Self::Basic { .. } => None,
        }
    }

    /// Where to ask: at the connection's base URL, moved to where the tool said with the token.
    pub fn base_url(&self, base_url: &str) -> String {
        let moved = || {
            let instance = self.grant()?.instance.as_deref()?;
            let path = url::Url::parse(base_url).ok()?.path().trim_end_matches('/').to_owned();
            Some(format!("{instance}{path}"))
        };
        moved().unwrap_or_else(|| base_url.to_owned())
    }

    /// The text that is sealed.
    pub fn to_text(&self) -> SecretString {
        let text = match self {
            Self::Token(token) if !plain(token).starts_with('{') => return token.clone(),
            Self::Token(token) => Text::Token(plain(token).to_owned()),
            Self::Basic { user, secret } => {
                Text::Basic { user: user.clone(), secret: plain(secret).to_owned() }
            }
            Self::Grant(grant) => Text::Grant {
                client_id: grant.app.id.clone(),
                client_secret: grant.app.secret.as_ref().map(|it| plain(it).to_owned()),
                access: plain(&grant.access).to_owned(),
                refresh: grant.refresh.as_ref().map(|it| plain(it).to_owned()),
                expires_at: grant.expires_at,
                server: grant.server.clone(),
                instance: grant.instance.clone(),
            },
        };
        // Strings and a time: that cannot fail.
        let json = Zeroizing::new(serde_json::to_string(&text).unwrap_or_default());
        SecretString::from(json.as_str())
    }

    pub fn from_text(text: &SecretString) -> Result<Self, UnknownKind> {
        if !plain(text).starts_with('{') {
            return Ok(Self::Token(text.clone()));
        }
        let read: Text = serde_json::from_str(plain(text)).map_err(|_| UnknownKind)?;
        Ok(match read {
            Text::Token(token) => Self::Token(token.into()),
            Text::Basic { user, secret } => Self::Basic { user, secret: secret.into() },
            Text::Grant { client_id, client_secret, access, refresh, expires_at, server, instance } => {
                Self::Grant(Grant {
                    app: App { id: client_id, secret: client_secret.map(Into::into) },
                    access: access.into(),
                    refresh: refresh.map(Into::into),
                    expires_at,
                    server,
                    instance,
                })
            }
        })
    }
}

impl Grant {
    /// Whether this is still the access token of that one.
    pub fn is_same(&self, other: &Self) -> bool {
        is_same(&self.access, plain(&other.access))
    }
}

/// Compared without telling by its time how much of it was right.
pub fn is_same(secret: &SecretString, shown: &str) -> bool {
    plain(secret).as_bytes().ct_eq(shown.as_bytes()).into()
}

/// What was typed or piped in, without its line end.
pub fn trimmed(typed: &SecretString) -> SecretString {
    SecretString::from(plain(typed).trim())
}

/// Whether it can be no token: a token has neither blanks nor control characters.
pub fn is_broken(token: &SecretString) -> bool {
    plain(token).contains(|c: char| c.is_whitespace() || c.is_control())
}

pub fn is_empty(token: &SecretString) -> bool {
    plain(token).is_empty()
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is sealed, sent to the token endpoint or compared is text"
)]
pub(crate) fn plain(secret: &SecretString) -> &str {
    secret.expose_secret()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Text {
    Token(String),
    Basic {
        user: String,
        secret: String,
    },
    Grant {
        client_id: String,
        client_secret: Option<String>,
        access: String,
        refresh: Option<String>,
        expires_at: Option<DateTime<Utc>>,
        server: Option<String>,
        instance: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(credential: &Credential) -> Credential {
        Credential::from_text(&credential.to_text()).expect("what was written")
    }

    #[test]
    fn a_token_is_sealed_as_it_is_and_everything_else_comes_back_as_it_was() {
        let token = Credential::Token("ghp_1".into());
        assert_eq!(plain(&token.to_text()), "ghp_1");
        let braced = Credential::Token("{odd".into());
        assert!(matches!(back(&braced), Credential::Token(it) if plain(&it) == "{odd"));
        let basic = Credential::Basic { user: "a@b/token".into(), secret: "s".into() };
        assert!(matches!(back(&basic), Credential::Basic { user, .. } if user == "a@b/token"));
        let grant = Grant {
            app: App { id: "app".into(), secret: Some("hush".into()) },
            access: "a1".into(),
            refresh: Some("r1".into()),
            expires_at: Some(DateTime::UNIX_EPOCH),
            server: None,
            instance: Some("https://one.my.salesforce.com".into()),
        };
        let Credential::Grant(same) = back(&Credential::Grant(grant.clone())) else { panic!("a grant") };
        assert!(
            same.is_same(&grant) && same.expires_at == grant.expires_at && same.instance == grant.instance
        );
        assert!(same.refresh.is_some_and(|it| is_same(&it, "r1")));
        assert!(Credential::from_text(&"{\"future\":1}".into()).is_err());
    }

    #[test]
    fn a_grant_moves_the_base_url_to_where_the_tool_said_and_keeps_its_path() {
        let token = Credential::Token("t".into());
        assert_eq!(token.base_url("https://a.example/x"), "https://a.example/x");
        let app = App { id: "app".into(), secret: None };
        let instance = Some("https://b.example".to_owned());
        let grant =
            Grant { app, access: "a".into(), refresh: None, expires_at: None, server: None, instance };
        assert_eq!(Credential::Grant(grant).base_url("https://a.example/x/"), "https://b.example/x");
    }
}
