//! Connecting tools by the real program, with a token or by consent.

use super::{Connection, World};
use crate::consent;
use anyhow::Result;
use twinflow_fixtures::oauth::CLIENT_ID;
use uuid::Uuid;

impl World {
    /// Connects every tool once more, so that each has a first scan before it.
    pub(crate) async fn connect_all(&mut self) -> Result<()> {
        for tool in 0..self.tools.len() {
            self.connect(tool).await?;
        }
        Ok(())
    }

    pub(crate) async fn connect(&mut self, nth: usize) -> Result<Connection> {
        let name = self.next_name(nth);
        let (tenant, token) = (self.tools[nth].tenant, self.tools[nth].token);
        let mut line = self.line(nth, &name);
        if let Some(user) = self.tools[nth].user {
            line += &format!(" --email {user}");
        }
        self.program.of_tenant(tenant).run(&line, &format!("{token}\n")).await?.done()?;
        self.note(nth, name).await
    }

    /// With a token that runs out, and another to get a new one by.
    pub(crate) async fn connect_by_consent(&mut self, nth: usize) -> Result<Connection> {
        let (name, tool) = (self.next_name(nth), &self.tools[nth]);
        let line = self.line(nth, &name).replace(&tool.path, "");
        let line = format!("{line} --client-id {CLIENT_ID} --oauth-url {} --no-browser", tool.service.url());
        consent::dance(&self.program.of_tenant(tool.tenant), &line).await?.done()?;
        self.note(nth, name).await
    }

    /// A person sees to every connection that waits for one.
    pub(crate) async fn consent_again(&self) -> Result<()> {
        let waiting = "SELECT id FROM connections WHERE paused IS NOT NULL";
        let waiting: Vec<Uuid> = sqlx::query_scalar(waiting).fetch_all(&self.database.superuser).await?;
        for connection in self.connections.iter().filter(|it| waiting.contains(&it.id)) {
            let line = format!("renew {} --no-browser", connection.name);
            consent::dance(&self.program.of_tenant(connection.tenant), &line).await?.done()?;
        }
        Ok(())
    }

    /// Under a name that was taken before.
    pub(crate) async fn connect_as(&self, nth: usize, name: &str) -> Result<()> {
        let tool = &self.tools[nth];
        let user = tool.user.map(|user| format!(" --email {user}")).unwrap_or_default();
        let line = format!("{}{user}", self.line(nth, name));
        let ran = self.program.of_tenant(tool.tenant).run(&line, &format!("{}\n", tool.token)).await?;
        ran.done().map(drop)
    }

    fn next_name(&self, nth: usize) -> String {
        let before = self.connections.iter().filter(|it| it.tool == nth).count();
        format!("{}-{before}", self.tools[nth].name)
    }

    /// What is typed to connect a tool, without who signs in.
    fn line(&self, nth: usize, name: &str) -> String {
        let tool = &self.tools[nth];
        let (kind, flag, more) = match tool.name {
            "zendesk_detailed" => ("zendesk", "", " --detailed"),
            "github" => ("github", "--repo", ""),
            "jira" => ("jira", "--project", ""),
            "linear" => ("linear", "--team", ""),
            other => (other, "", ""),
        };
        let mut line = format!(
            "connect {kind}{more} --name {name} --yes --base-url {}{}",
            tool.service.url(),
            tool.path
        );
        for stream in tool.streams.iter().filter(|_| !flag.is_empty()) {
            line += &format!(" {flag} {stream}");
        }
        if kind == "gmail" {
            // The oracle knows people by their addresses.
            line += " --pseudonymise=nobody";
        }
        line
    }

    async fn note(&mut self, nth: usize, name: String) -> Result<Connection> {
        let tenant = self.tools[nth].tenant;
        let id = sqlx::query_scalar("SELECT id FROM connections WHERE tenant_id = $1 AND name = $2");
        let id = id.bind(tenant).bind(&name).fetch_one(&self.database.superuser).await?;
        let connection = Connection { tenant, id, name, tool: nth };
        self.connections.push(connection.clone());
        Ok(connection)
    }
}
