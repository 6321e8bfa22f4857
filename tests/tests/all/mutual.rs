//! Rows that refer to one another: neither can be written before the other one, and both arrive.

use std::time::Duration;

use jsb_tests::entities::{guild, smith};
use jsb_tests::{App, Pair, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use uuid::Uuid;

/// A smith who has a teacher, or none but himself.
async fn smith(app: &App, guild: Uuid, name: &str, teacher: Option<Uuid>) -> Uuid {
    let id = Uuid::now_v7();
    let (guild_id, teacher_id) = (Set(guild), Set(teacher.unwrap_or(id)));
    let row =
        smith::ActiveModel { id: Set(id), guild_id, teacher_id, name: Set(name.to_owned()), ..Default::default() };
    row.insert(&app.db).await.expect("a smith").id
}

/// A guild with a smith, who leads it.
async fn guild_with_master(app: &App, name: &str) -> [Uuid; 2] {
    let guild = Uuid::now_v7();
    let row = guild::ActiveModel { id: Set(guild), name: Set(name.to_owned()), ..Default::default() };
    row.insert(&app.db).await.expect("a guild");
    let smith = smith(app, guild, name, None).await;
    let row = guild::ActiveModel { id: Unchanged(guild), master_id: Set(Some(smith)), ..Default::default() };
    row.update(&app.db).await.expect("a guild with a master");
    [guild, smith]
}

async fn are_equal(pair: &Pair) {
    until("both sides are equal", async || {
        let guilds = pair.rows::<guild::Entity>().await;
        let smiths = pair.rows::<smith::Entity>().await;
        guilds.0 == guilds.1 && smiths.0 == smiths.1 && !smiths.0.is_empty()
    })
    .await;
}

on_both! {
    /// As after each row was sent anew.
    async fn rows_that_refer_to_one_another_arrive_by_their_last_states(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        for (name, order) in [("first", [2, 1]), ("second", [1, 2])] {
            let seen = pair.a.recorded().await.len();
            let [_, smith] = guild_with_master(&pair.a, name).await;
            let recorded = pair.a.recorded().await;
            for place in order {
                remote.publish(&recorded[seen + place]).await;
            }
            // The handler found the whole guild.
            let heard = format!("{name} serves {:?}", Some(smith));
            pair.b.has_effect(&heard).await;
        }
        are_equal(&pair).await;
        assert_eq!(pair.b.count("inbox_events", "processed").await, 4);
        pair.stop().await;
    }

    async fn what_waits_for_a_row_of_a_circle_arrives_with_it(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let [guild, _] = guild_with_master(&pair.a, "growing").await;
        smith(&pair.a, guild, "apprentice", None).await;
        let [_, master, with_master, apprentice] = &pair.a.recorded().await[..] else { panic!("four events") };
        remote.publish(apprentice).await;
        until("it waits for the guild", async || {
            let waits_for = pair.b.texts("SELECT waits_for FROM inbox_events WHERE waits_for IS NOT NULL").await;
            waits_for == [format!("guild/{guild}")]
        })
        .await;
        // The timer leaves it alone for longer than anybody waits here, and yet no longer than an event may wait.
        let later = (chrono::Utc::now() + chrono::TimeDelta::minutes(5)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET available_at = '{later}' WHERE status = 'parked'")).await;
        remote.publish_all(&[with_master.clone(), master.clone()]).await;
        are_equal(&pair).await;
        pair.stop().await;
    }

    /// The guild waits for one of two at a time; one of them can wait for neither the guild nor the other.
    async fn two_circles_that_share_a_row_arrive(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        for order in [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0], [2, 1, 0]] {
            let seen = pair.a.recorded().await.len();
            let guild = Uuid::now_v7();
            let row = guild::ActiveModel { id: Set(guild), name: Set("great".to_owned()), ..Default::default() };
            row.insert(&pair.a.db).await.expect("a guild");
            let deputy = smith(&pair.a, guild, "deputy", None).await;
            let master = smith(&pair.a, guild, "master", Some(deputy)).await;
            let (master_id, deputy_id) = (Set(Some(master)), Set(Some(deputy)));
            let row = guild::ActiveModel { id: Unchanged(guild), master_id, deputy_id, ..Default::default() };
            row.update(&pair.a.db).await.expect("a guild with both");
            let recorded = pair.a.recorded().await;
            let last_states = [seen + 1, seen + 2, seen + 3];
            for place in order {
                remote.publish(&recorded[last_states[place]]).await;
            }
        }
        are_equal(&pair).await;
        pair.stop().await;
    }

    /// One side deletes both, the other one edits the guild meanwhile and so keeps the smith.
    async fn rows_that_refer_to_one_another_come_back(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.keep_parent_after(Duration::from_secs(1))).await;
        pair.start_both().await;
        let [guild, smith] = guild_with_master(&pair.a, "kept").await;
        are_equal(&pair).await;
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        let row = guild::ActiveModel { id: Unchanged(guild), master_id: Set(None), ..Default::default() };
        row.update(&pair.b.db).await.expect("a guild without a master");
        smith::ActiveModel { id: Unchanged(smith), ..Default::default() }.delete(&pair.b.db).await.expect("a delete");
        guild::ActiveModel { id: Unchanged(guild), ..Default::default() }.delete(&pair.b.db).await.expect("a delete");
        let row = guild::ActiveModel { id: Unchanged(guild), name: Set("edited".to_owned()), ..Default::default() };
        row.update(&pair.a.db).await.expect("an edit");
        pair.start_both().await;
        are_equal(&pair).await;
        pair.stop().await;
    }
}
