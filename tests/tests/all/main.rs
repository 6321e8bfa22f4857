//! Every end-to-end test, in one binary, so that they share their servers.

/// Makes each test run on PostgreSQL and on SQLite.
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident: Backend) $body:block)+) => {
        $(async fn $name($backend: ::jsb_tests::Backend) $body)+

        mod postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(::jsb_tests::Backend::Postgres).await })+
        }

        mod sqlite {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(::jsb_tests::Backend::Sqlite).await })+
        }
    };
}

mod acks;
mod ahead;
mod attachments;
mod bad_input;
mod batch;
mod cancelled;
mod capture;
mod circles;
mod cli_dlq;
mod cli_provision;
mod cli_status;
mod cli_tables;
mod cli_terminal;
mod conflicts;
mod convergence;
mod crash;
mod credentials;
mod deaths;
mod deletes;
mod deliveries;
mod denials;
mod families;
mod first_start;
mod foreign_keys;
mod impostor;
mod inbox_lock;
mod jetstream_api;
mod keeping;
mod keys;
mod lease;
mod least_privilege;
mod letters;
mod links;
mod lost_answers;
mod mutual;
mod no_inbox;
mod once;
mod one_statement;
mod order;
mod outage;
mod own_hooks;
mod patience;
mod payloads;
mod permissions;
mod poison;
mod problems;
mod promises;
mod provisioning;
mod races;
mod read_ahead;
mod replicas;
mod restrictive;
mod retention;
mod samples;
mod sizes;
mod sources;
mod starts;
mod stopping;
mod sweeps;
mod thread;
mod types;
mod unique;
mod vanished;
mod wire;
