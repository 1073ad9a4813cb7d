//! Every tool's way of doing OAuth, from consent to revocation, as its contract would describe it.

use crate::support::browser::{get, parameter};
use crate::support::clock::TestClock;
use crate::support::program::jira;
use chrono::TimeDelta;
use twinflow::credential::{App, Credential, Grant};
use twinflow::oauth::{Attempt, AuthError, AuthServer, Revoked, check_scopes};
use twinflow::scan::egress::Allowed;
use twinflow_connectors::{Contract, OAuth, Revoke, Scope, SignIn};
use twinflow_fixtures::Service;
use twinflow_fixtures::oauth::{CLIENT_ID, CLIENT_SECRET, OAuthDialect};

const SCOPES: &[Scope] =
    &[Scope { name: "read", why: "to read" }, Scope { name: "stay", why: "to stay connected" }];

const fn contract(
    tool: &'static str,
    base_url: &'static str,
    hosts_under: &'static [&'static str],
    sign_ins: &'static [SignIn],
) -> Contract {
    Contract {
        tool,
        title: tool,
        base_url,
        hosts_under,
        stream: "a stream",
        sign_ins,
        scopes: SCOPES,
        operations: &[],
        complaints: &[],
        stored: &[],
        never: &[],
    }
}

static LINEAR: Contract = contract(
    "linear",
    "https://api.linear.app",
    &[],
    &[SignIn::OAuth(OAuth {
        authorize: "https://linear.app/oauth/authorize",
        token: "https://api.linear.app/oauth/token",
        revoke: Revoke::Post("https://api.linear.app/oauth/revoke"),
        separator: ",",
        extra: &[("prompt", "consent")],
        pkce: true,
        secret: false,
        json: false,
        app: "",
    })],
);

static SALESFORCE: Contract = contract(
    "salesforce",
    "https://login.salesforce.com",
    &[".salesforce.com"],
    &[SignIn::OAuth(OAuth {
        authorize: "https://login.salesforce.com/services/oauth2/authorize",
        token: "https://login.salesforce.com/services/oauth2/token",
        revoke: Revoke::Post("https://login.salesforce.com/services/oauth2/revoke"),
        separator: " ",
        extra: &[],
        pkce: true,
        secret: false,
        json: false,
        app: "",
    })],
);

static ZENDESK: Contract = contract(
    "zendesk",
    "https://acme.zendesk.com",
    &[".zendesk.com"],
    &[SignIn::OAuth(OAuth {
        authorize: "{base}/oauth/authorizations/new",
        token: "{base}/oauth/tokens",
        revoke: Revoke::Delete("{base}/api/v2/oauth/tokens/current"),
        separator: " ",
        extra: &[],
        pkce: true,
        secret: false,
        json: true,
        app: "",
    })],
);

static GMAIL: Contract = contract(
    "gmail",
    "https://gmail.googleapis.com",
    &[],
    &[SignIn::OAuth(OAuth {
        authorize: "https://accounts.google.com/o/oauth2/v2/auth",
        token: "https://oauth2.googleapis.com/token",
        revoke: Revoke::Post("https://oauth2.googleapis.com/revoke"),
        separator: " ",
        extra: &[("access_type", "offline")],
        pkce: true,
        secret: true,
        json: false,
        app: "",
    })],
);

/// One pretend authorisation server and the contract that fits it.
struct Stage {
    service: Service,
    contract: &'static Contract,
    allowed: Allowed,
    url: String,
    clock: TestClock,
}

const BACK: &str = "http://127.0.0.1:1/callback";

impl Stage {
    async fn new(contract: &'static Contract, dialect: OAuthDialect) -> Self {
        let (service, clock) = (jira(1).await, TestClock::new());
        service.set_now(clock.clock().now());
        service.oauth(dialect);
        let url = service.url();
        Self { contract, allowed: Allowed::default().and(&url).unwrap(), service, url, clock }
    }

    fn server(&self) -> AuthServer<'_> {
        AuthServer::new(self.contract, &self.allowed, &self.url, Some(&self.url)).unwrap()
    }

    fn app(&self) -> App {
        let secret = self.server().oauth().secret.then(|| CLIENT_SECRET.into());
        App { id: CLIENT_ID.into(), secret }
    }

    async fn code(&self, attempt: &Attempt) -> String {
        let page = self.server().consent_page(&self.app(), BACK, attempt).unwrap();
        let back = tokio::task::spawn_blocking(move || get(&page)).await.unwrap();
        parameter(&back.location.unwrap().parse().unwrap(), "code").expect("a code")
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        code: &str,
    ) -> Result<(Grant, Option<Vec<String>>), AuthError> {
        let (app, now) = (self.app(), self.clock.clock().now());
        self.server().exchange(&app, BACK, attempt, &code.into(), now).await
    }

    async fn granted(&self) -> Grant {
        let attempt = Attempt::new(&mut rand::rng());
        let code = self.code(&attempt).await;
        let (grant, scopes) = self.exchange(&attempt, &code).await.unwrap();
        check_scopes(SCOPES, scopes.as_deref()).unwrap();
        grant
    }

    async fn refresh(&self, grant: &Grant) -> Result<Grant, AuthError> {
        self.server().refresh(grant, self.clock.clock().now()).await
    }
}

async fn stages() -> Vec<Stage> {
    vec![
        Stage::new(&LINEAR, OAuthDialect::LINEAR).await,
        Stage::new(&SALESFORCE, OAuthDialect::SALESFORCE).await,
        Stage::new(&ZENDESK, OAuthDialect::ZENDESK).await,
        Stage::new(&GMAIL, OAuthDialect::GMAIL).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tools_grant_is_got_refreshed_and_given_back() {
    for stage in stages().await {
        let tool = stage.contract.tool;
        let first = stage.granted().await;
        assert_eq!(first.expires_at.is_none(), tool == "salesforce", "{tool}");
        let second = stage.refresh(&first).await.unwrap();
        assert!(!second.is_same(&first), "{tool}");
        let third = stage.refresh(&second).await.unwrap();
        assert!(third.refresh.is_some(), "{tool}: what is not sent anew stays");
        assert_eq!(stage.service.grants(), 1, "{tool}");
        assert_eq!(stage.server().revoke(&third).await, Revoked::Done, "{tool}");
        assert_eq!(stage.service.grants(), 0, "{tool}");
        assert_eq!(stage.refresh(&third).await.err(), Some(AuthError::Dead), "{tool}");
        assert!(matches!(stage.server().revoke(&third).await, Revoked::Failed(_)), "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_once_for_ten_minutes_and_for_who_began_alone() {
    for stage in stages().await {
        let tool = stage.contract.tool;
        let (mine, other) = (Attempt::new(&mut rand::rng()), Attempt::new(&mut rand::rng()));
        let code = stage.code(&mine).await;
        let stolen = stage.exchange(&other, &code).await;
        assert_eq!(stolen.err(), Some(AuthError::Dead), "{tool}: without the proof");
        stage.exchange(&mine, &code).await.unwrap();
        assert_eq!(stage.exchange(&mine, &code).await.err(), Some(AuthError::Dead), "{tool}: a second time");
        assert_eq!(stage.service.grants(), 0, "{tool}: a code used twice ends its grant");

        let code = stage.code(&mine).await;
        stage.service.set_now(stage.clock.clock().now() + TimeDelta::minutes(11));
        assert_eq!(stage.exchange(&mine, &code).await.err(), Some(AuthError::Dead), "{tool}: too late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_was_replaced_ends_its_grant_where_they_rotate() {
    for stage in stages().await {
        let tool = stage.contract.tool;
        let first = stage.granted().await;
        let second = stage.refresh(&first).await.unwrap();
        let again = stage.refresh(&first).await;
        assert_eq!(again.is_ok(), tool == "gmail", "{tool}");
        assert_eq!(stage.refresh(&second).await.is_ok(), tool == "gmail", "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customers_own_host_comes_with_the_token_and_has_to_be_one_that_may_be_asked() {
    let stage = Stage::new(&SALESFORCE, OAuthDialect::SALESFORCE).await;
    let grant = stage.granted().await;
    assert_eq!(grant.instance.as_deref(), Some(stage.url.as_str()));
    let credential = Credential::Grant(grant.clone());
    assert_eq!(credential.base_url("https://login.salesforce.com"), stage.url);
    // The service's own address is listed; this one is neither listed nor under Salesforce's.
    let evil = serde_json::json!("https://salesforce.com.evil.example");
    let fault = twinflow_fixtures::Fault::Replace { key: "instance_url".into(), value: evil };
    stage.service.faults().always(fault);
    let refused = stage.refresh(&grant).await.err();
    assert!(matches!(refused, Some(AuthError::NotAllowed(_))), "{refused:?}");
}

#[test]
fn the_tools_own_endpoints_may_be_asked_and_others_only_where_they_are_listed() {
    let allowed = Allowed::default();
    for contract in [&LINEAR, &SALESFORCE, &ZENDESK, &GMAIL] {
        let endpoint = |elsewhere| {
            let server = AuthServer::new(contract, &allowed, contract.base_url, elsewhere).unwrap();
            server.endpoint(server.oauth().token)
        };
        assert!(endpoint(None).is_ok(), "{}", contract.tool);
        for evil in
            ["https://evil.example", "http://127.0.0.1:1", "https://login.salesforce.com.evil.example"]
        {
            assert!(endpoint(Some(evil)).is_err(), "{} {evil}", contract.tool);
        }
        let sandbox = endpoint(Some("https://test.salesforce.com"));
        assert_eq!(sandbox.is_ok(), contract.tool == "salesforce");
    }
    // What lives beside the connection goes where the connection goes.
    for (base_url, may) in [("https://acme.zendesk.com/x", true), ("https://evil.example", false)] {
        let zendesk = AuthServer::new(&ZENDESK, &allowed, base_url, None).unwrap();
        assert_eq!(zendesk.endpoint("{base}/oauth/tokens").is_ok(), may, "{base_url}");
    }
}
