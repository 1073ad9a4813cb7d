//! What Gmail is asked, word by word.
//!
//! `format=metadata` alone is not enough: under `gmail.readonly` it still brings the snippet, which is text of the
//! body, and without `metadataHeaders` every header, the subject among them. So each question also names the
//! fields it wants (`fields`, Google's partial responses).
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/get>,
//! <https://developers.google.com/workspace/gmail/api/guides/performance> (partial responses)

use super::wire;
use crate::contract::{Body, Contract, Method, OAuth, Operation, Reads, Revoke, Scope, SignIn};

pub(super) static PROFILE: Operation = Operation {
    name: "profile",
    why: "whose mailbox it is, asked when connecting; and where its history stands before a first reading",
    method: Method::Get,
    path: "/gmail/v1/users/me/profile",
    query: &[("fields", "emailAddress,historyId")],
    body: Body::None,
    reads: &[Reads::of::<wire::Profile>()],
};

pub(super) static LABELS: Operation = Operation {
    name: "labels",
    why: "what the labels are called",
    method: Method::Get,
    path: "/gmail/v1/users/me/labels",
    query: &[("fields", "labels(id,name)")],
    body: Body::None,
    reads: &[Reads::of::<wire::Labels>()],
};

pub(super) static MESSAGES: Operation = Operation {
    name: "messages",
    why: "which messages there are; asked by a first scan, and where Gmail has forgotten its history",
    method: Method::Get,
    path: "/gmail/v1/users/me/messages",
    query: &[
        ("includeSpamTrash", "false"),
        ("maxResults", "{size}"),
        ("pageToken", "{page}"),
        ("fields", "messages/id,nextPageToken"),
    ],
    body: Body::None,
    reads: &[Reads::of::<wire::Listed>()],
};

pub(super) static MESSAGE: Operation = Operation {
    name: "message",
    why: "when a message came or went, in which thread, by whom, whether in reply, and its labels",
    method: Method::Get,
    path: "/gmail/v1/users/me/messages/{id}",
    query: &[
        ("format", "metadata"),
        ("metadataHeaders", "From"),
        ("metadataHeaders", "In-Reply-To"),
        ("metadataHeaders", "References"),
        ("fields", "id,threadId,labelIds,internalDate,payload/headers"),
    ],
    body: Body::None,
    reads: &[Reads::of::<wire::Message>()],
};

pub(super) static HISTORY: Operation = Operation {
    name: "history",
    why: "which messages came, went for good, or changed their labels since the last scan",
    method: Method::Get,
    path: "/gmail/v1/users/me/history",
    query: &[
        ("startHistoryId", "{since}"),
        ("historyTypes", "messageAdded"),
        ("historyTypes", "messageDeleted"),
        ("historyTypes", "labelAdded"),
        ("historyTypes", "labelRemoved"),
        ("maxResults", "{size}"),
        ("pageToken", "{page}"),
        (
            "fields",
            "history(id,messagesAdded(message(id,threadId,labelIds)),\
             messagesDeleted(message(id,threadId,labelIds)),\
             labelsAdded(message(id,threadId),labelIds),\
             labelsRemoved(message(id,threadId),labelIds)),nextPageToken,historyId",
        ),
    ],
    body: Body::None,
    reads: &[Reads::of::<wire::History>()],
};

pub(super) static CONTRACT: Contract = Contract {
    tool: "gmail",
    title: "Gmail",
    base_url: "https://gmail.googleapis.com",
    hosts_under: &[],
    stream: "the mailbox; there is one, called `mailbox`",
    sign_ins: &[
        SignIn::OAuth(OAuth {
            authorize: "https://accounts.google.com/o/oauth2/v2/auth",
            token: "https://oauth2.googleapis.com/token",
            revoke: Revoke::Post("https://oauth2.googleapis.com/revoke"),
            separator: " ",
            extra: &[("access_type", "offline"), ("prompt", "consent"), ("include_granted_scopes", "false")],
            pkce: true,
            secret: true,
            json: false,
            app: "in the Google Cloud console, under APIs & Services: enable the Gmail API, then make an OAuth \
                  client of type Desktop app; while its consent screen is in Testing, Google ends every grant \
                  after seven days",
        }),
        SignIn::Token { what: "OAuth access token" },
    ],
    scopes: &[Scope {
        name: "https://www.googleapis.com/auth/gmail.readonly",
        why: "messages' times, threads, senders and labels, and the history of their changes; it would allow \
              more, which is never asked for",
    }],
    operations: &[&PROFILE, &LABELS, &MESSAGES, &MESSAGE, &HISTORY],
    complaints: &[Reads::of::<wire::Complaint>()],
    stored: &[
        "thread ids and message ids; when a message was received, sent, or sent in reply",
        "the sender's address, without the name beside it",
        "when a message left the inbox, came back, got or lost a label, or was deleted: the scan that found it",
        "ids and names of the labels people made",
    ],
    never: &[
        "subjects, snippets, bodies and attachments, also their names",
        "receivers, copies, and every header but From, In-Reply-To and References",
        "what In-Reply-To and References say: only whether they are there",
        "the names people put beside their addresses",
        "drafts, spam and chats",
    ],
};
