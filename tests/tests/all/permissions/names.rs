//! The names that stand in subjects, and the subjects that are made of them.

use std::collections::BTreeSet;

use jsb_tests::least_privilege::{FOREIGN_DURABLE, FOREIGN_STREAM, LeastPrivilege};

use crate::jetstream_api::calls;

/// The names that stand in subjects.
pub(super) struct Names {
    pub(super) stream: String,
    pub(super) a: String,
    pub(super) b: String,
}

impl Names {
    pub(super) fn of(least: &LeastPrivilege) -> Self {
        let config = &least.pair.a.config;
        Self { stream: config.stream_name.clone(), a: config.app_name.clone(), b: config.destination_app.clone() }
    }

    pub(super) fn durable(app: &str) -> String {
        format!("{app}-workers")
    }

    /// All that the JetStream API could be asked about the pair's stream and another one, by every name that it has.
    pub(super) fn calls(&self) -> BTreeSet<String> {
        let durables = [Self::durable(&self.a), Self::durable(&self.b)];
        let consumers = [durables[0].as_str(), &durables[1], FOREIGN_DURABLE, "new"];
        let other = format!("{}.sync.{}", self.b, self.a);
        ["$JS.API.", "jsb.api.", "$JS.hub.API."]
            .iter()
            .flat_map(|prefix| calls(prefix, &[&self.stream, FOREIGN_STREAM, "new"], &consumers, &other))
            .collect()
    }

    /// What no user has to do with, whatever it is.
    pub(super) fn of_the_server(&self) -> Vec<String> {
        let (stream, durable) = (&self.stream, Self::durable(&self.b));
        [
            "$JS.FC.STREAM.DURABLE.x",
            "$JS.SNAPSHOT.ACK.STREAM.x",
            "$JS.SNAPSHOT.RESTORE.STREAM.x",
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.STREAM.DURABLE",
            "$JSC.ARU.x.y",
            "$JSC.CI.x.STREAM.DURABLE",
            "$JSC.SI.x.STREAM",
            "$NRG.V.x",
            "$SYS.REQ.SERVER.PING",
            "$SYS.REQ.USER.INFO",
            "$SYS.REQ.ACCOUNT.admin.INFO",
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.DEBUG.SUBSCRIBERS",
            "$KV.x.y",
            "$O.x.C.y",
            "$MQTT.msgs.x",
            "_R_.x",
            "_GR_.x.y",
        ]
        .map(|subject| subject.replace("STREAM", stream).replace("DURABLE", &durable))
        .into()
    }

    /// What an app might publish in another's name, or past the other one.
    pub(super) fn of_others(&self) -> Vec<String> {
        let (a, b) = (&self.a, &self.b);
        [
            format!("{b}.sync.{a}"),
            format!("{b}.sync.dlq"),
            format!("{b}.sync.{b}"),
            format!("{a}.sync.{a}"),
            format!("{a}.sync.{b}.more"),
            format!("{a}.sync"),
            format!("{a}.sync.third"),
            format!("third.sync.{a}"),
            format!("{FOREIGN_STREAM}.x"),
            "new".to_owned(),
        ]
        .into_iter()
        .chain([a, b, "admin", "observer"].map(|user| format!("_INBOX.{user}.x")))
        .collect()
    }

    /// What somebody might listen to who is not `user`.
    pub(super) fn overheard(&self, user: &str) -> Vec<String> {
        let (a, b, stream) = (&self.a, &self.b, &self.stream);
        let advisories = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES";
        let mut subjects: Vec<String> = [
            ">",
            "*",
            "*.>",
            "*.*.*",
            "*.*.>",
            "_INBOX.>",
            "_INBOX.*",
            "_INBOX.*.>",
            "_INBOX.*.*",
            "$JS.>",
            "$JS.API.>",
            "$JS.ACK.>",
            "$JS.EVENT.>",
            "$SYS.>",
            "$JSC.>",
            "$KV.>",
            "_R_.>",
            "_GR_.>",
            "jsb.>",
            "jsb.api.>",
            "*.sync.*",
            "*.sync.dlq",
        ]
        .map(str::to_owned)
        .into();
        subjects.extend([
            format!("{a}.sync.{b}"),
            format!("{b}.sync.{a}"),
            format!("{a}.sync.dlq"),
            format!("{b}.sync.dlq"),
        ]);
        subjects.extend([format!("{a}.>"), format!("{b}.>"), format!("{FOREIGN_STREAM}.>")]);
        subjects.extend([format!("{advisories}.>"), format!("{advisories}.{stream}.*"), format!("{advisories}.*.*")]);
        subjects.extend([a, b, "admin", "observer"].map(|user| format!("_INBOX.{user}")));
        for other in [a, b, "admin", "observer"].into_iter().filter(|other| *other != user) {
            subjects.extend([format!("_INBOX.{other}.>"), format!("_INBOX.{other}.x"), format!("_INBOX.{other}.> q")]);
            subjects.push(format!("{advisories}.{stream}.{}", Self::durable(other)));
        }
        subjects
    }
}
