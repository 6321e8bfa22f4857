//! The first start on a database says whose it is.

use jsb_runtime::{Config, StartError};
use jsb_tests::{App, Pair};

async fn refusal(app: &App, config: Config) -> StartError {
    jsb_runtime::start(config, app.db.clone()).await.expect_err("a refusal")
}

on_both! {
    /// As with the other app's environment.
    async fn a_start_that_fails_leaves_the_database_to_its_app(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        let mut foreign = app.config.clone().auto_provision(false);
        std::mem::swap(&mut foreign.app_name, &mut foreign.destination_app);
        let refused = refusal(&app, foreign.clone().node(0, 2)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
        let refused = refusal(&app, foreign).await;
        assert!(matches!(refused, StartError::Provision(_)), "{refused}");
        app.start().await;
        assert_eq!(app.texts("SELECT app_name FROM sync_settings").await, [app.config.app_name.as_str()]);
        app.stop().await;
    }
}
