//! Ends a connection: its scans are cut off, what was granted is given back, the credential is destroyed. Each step
//! may be the last one before a crash; disconnecting again goes on from there.

use crate::clock::Clock;
use crate::connect::owner;
use crate::credential::{Credential, Grant, is_same, plain};
use crate::oauth::{AuthServer, Revoked};
use crate::scan::egress::Allowed;
use crate::store::{Connection, Purged, Result, Store, StoreError};
use secrecy::SecretString;
use serde::Serialize;
use std::time::Duration;
use twinflow_connectors::Revoke;
use twinflow_vault::Vault;
use uuid::Uuid;

/// How long a refresh that is under way is waited for: what it brings is to be given back, too.
const PATIENCE: Duration = Duration::from_secs(60);

const GLANCE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Setting<'a> {
    pub store: &'a dyn Store,
    pub vault: &'a Vault,
    pub tenant: Uuid,
    pub allowed: &'a Allowed,
    pub clock: &'a Clock,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    pub connection: String,
    pub tool: String,
    /// Scans that were under way and are over now.
    pub scans_ended: u64,
    pub at_the_tool: AtTheTool,
    /// Nothing unless everything that had been read was to go, too.
    pub deleted: Option<Purged>,
}

/// What became of what the tool had granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum AtTheTool {
    Revoked,
    Failed {
        why: String,
        what_to_do: String,
    },
    ByHand {
        what_to_do: String,
    },
    /// It had been done before.
    Nothing,
}

pub async fn disconnect(setting: Setting<'_>, connection: &Connection, purge: bool) -> Result<Receipt> {
    let store = setting.store;
    let scans_ended = store.fence(connection.id).await?;
    let at_the_tool = give_back(setting, connection).await?;
    store.forget_credential(connection.id).await?;
    let deleted = if purge { Some(store.purge(connection.id).await?) } else { None };
    let (name, tool) = (connection.name.clone(), connection.tool.clone());
    Ok(Receipt { connection: name, tool, scans_ended, at_the_tool, deleted })
}

async fn give_back(setting: Setting<'_>, connection: &Connection) -> Result<AtTheTool> {
    let patience = setting.clock.now() + PATIENCE;
    while setting.store.is_refreshing(connection.id).await? && setting.clock.now() < patience {
        setting.clock.sleep(GLANCE).await;
    }
    let sealed = match setting.store.sealed_credential(connection).await {
        Err(StoreError::NoCredential(_)) => return Ok(AtTheTool::Nothing),
        sealed => sealed?,
    };
    let title = twinflow_connectors::find(&connection.tool).map_or("the tool", |it| it.contract().title);
    let by_hand = |what: &str| format!("{what} in the settings of {title}");
    let opened = setting.vault.open(&owner(setting.tenant, connection.id), &sealed).ok();
    match opened.and_then(|text| Credential::from_text(&text).ok()) {
        Some(Credential::Grant(grant)) => Ok(revoke(setting, connection, grant, title).await),
        Some(Credential::Token(_) | Credential::Basic { .. }) => Ok(AtTheTool::ByHand {
            what_to_do: by_hand("no program may take back a token that a person made: delete it"),
        }),
        None => Ok(AtTheTool::Failed {
            why: "the stored credential does not open".into(),
            what_to_do: by_hand("take back its access"),
        }),
    }
}

/// Gives back what a newer grant has replaced; nothing is done where that could end the newer one.
pub async fn give_back_former(
    setting: Setting<'_>,
    connection: &Connection,
    former: Grant,
    newer: &Grant,
) -> AtTheTool {
    let connector = twinflow_connectors::find(&connection.tool).map(|it| it.contract());
    let revoke_by = connector.and_then(|it| it.oauth()).map(|oauth| &oauth.revoke);
    match (connector, revoke_by) {
        (Some(contract), Some(by)) if leaves_alone(by, &former, newer) => {
            revoke(setting, connection, former, contract.title).await
        }
        _ => AtTheTool::Nothing,
    }
}

/// Deleting a token ends that one. RFC 7009, section 2.1, lets a server end with it everything that a person granted
/// to the same app, as Google does; what was granted to another app is another matter.
fn leaves_alone(by: &Revoke, former: &Grant, newer: &Grant) -> bool {
    let shared =
        |refresh: &SecretString| former.refresh.as_ref().is_some_and(|it| is_same(it, plain(refresh)));
    let another = !former.is_same(newer) && !newer.refresh.as_ref().is_some_and(shared);
    another && (matches!(by, Revoke::Delete(_)) || former.app.id != newer.app.id)
}

async fn revoke(setting: Setting<'_>, connection: &Connection, grant: Grant, title: &str) -> AtTheTool {
    let server = twinflow_connectors::find(&connection.tool).and_then(|connector| {
        let elsewhere = grant.server.as_deref();
        AuthServer::new(connector.contract(), setting.allowed, &connection.base_url, elsewhere)
    });
    let what_to_do = format!("take back the app's access in the settings of {title}");
    let Some(server) = server else {
        return AtTheTool::Failed { why: "this program does not know the tool".into(), what_to_do };
    };
    let now = setting.clock.now();
    let fresh = match server.oauth().revoke {
        // A token that has run out does not authorise its own deletion.
        Revoke::Delete(_) if grant.expires_at.is_some_and(|at| at <= now) => {
            server.refresh(&grant, now).await.unwrap_or_else(|_| grant.clone())
        }
        _ => grant.clone(),
    };
    match server.revoke(&fresh).await {
        Revoked::Done => AtTheTool::Revoked,
        Revoked::Failed(why) => AtTheTool::Failed { why, what_to_do },
        Revoked::ByHand(what) => AtTheTool::ByHand { what_to_do: what.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::App;

    fn grant(app: &str, access: &str, refresh: &str) -> Grant {
        let (app, refresh) = (App { id: app.into(), secret: None }, Some(refresh.into()));
        Grant { app, access: access.into(), refresh, expires_at: None, server: None, instance: None }
    }

    #[test]
    fn a_former_grant_is_given_back_only_where_the_newer_one_outlives_it() {
        let (post, delete) = (Revoke::Post("https://a.example/revoke"), Revoke::Delete("{base}/current"));
        let newer = grant("app", "a2", "r2");
        assert!(leaves_alone(&delete, &grant("app", "a1", "r1"), &newer));
        assert!(!leaves_alone(&post, &grant("app", "a1", "r1"), &newer));
        assert!(leaves_alone(&post, &grant("another", "a1", "r1"), &newer));
        assert!(!leaves_alone(&delete, &grant("app", "a1", "r2"), &newer));
        assert!(!leaves_alone(&delete, &grant("app", "a2", "r1"), &newer));
    }
}
