//! Rows between two entities, which SeaORM's dense format writes and deletes by itself.

use jsb_tests::Pair;
use sea_orm::{EntityTrait, IntoActiveModel};

mod article {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "articles")]
    #[syncable(resource = "article")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub title: String,
        pub updated_at: DateTimeUtc,
        #[sea_orm(has_many, via = "mention")]
        pub topics: HasMany<super::topic::Entity>,
    }
}

mod topic {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "topics")]
    #[syncable(resource = "topic")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub updated_at: DateTimeUtc,
        #[sea_orm(has_many, via = "mention")]
        pub articles: HasMany<super::article::Entity>,
    }
}

mod mention {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "mentions")]
    #[syncable(resource = "mention")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub article_title: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub topic_name: String,
        pub updated_at: DateTimeUtc,
        #[sea_orm(belongs_to, from = "article_title", to = "title")]
        pub article: HasOne<super::article::Entity>,
        #[sea_orm(belongs_to, from = "topic_name", to = "name")]
        pub topic: HasOne<super::topic::Entity>,
    }
}

const TABLES: [&str; 3] = [
    "CREATE TABLE articles (title text PRIMARY KEY, updated_at timestamptz NOT NULL)",
    "CREATE TABLE topics (name text PRIMARY KEY, updated_at timestamptz NOT NULL)",
    "CREATE TABLE mentions (article_title text NOT NULL REFERENCES articles, topic_name text NOT NULL REFERENCES topics, \
     updated_at timestamptz NOT NULL, PRIMARY KEY (article_title, topic_name))",
];

on_both! {
    async fn a_link_that_is_taken_back_goes_on_both_sides(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        for table in TABLES {
            pair.a.sql(table).await;
            pair.b.sql(table).await;
        }
        pair.start_both().await;
        let article = article::ActiveModel::builder().set_title("On Bridges");
        let article = article
            .add_topic(topic::ActiveModel::builder().set_name("steel"))
            .add_topic(topic::ActiveModel::builder().set_name("stone"));
        let mut article = article.insert(&pair.a.db).await.expect("an article with topics").into_active_model();
        assert_eq!(pair.agree::<mention::Entity>().await.len(), 2);

        article.topics.replace_all([topic::ActiveModel::builder().set_name("stone")]);
        article.save(&pair.a.db).await.expect("an article with one topic");
        pair.quiet().await;
        let left = mention::Entity::find().all(&pair.a.db).await.expect("a read");
        let (a, b) = pair.rows::<mention::Entity>().await;
        assert_eq!((left.len(), &a), (1, &b));
        pair.stop().await;
    }
}
