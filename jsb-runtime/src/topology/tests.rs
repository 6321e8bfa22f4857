use super::*;
use crate::Config;

fn wanted() -> Wanted {
    Wanted::of(&Config::new("system_a", "system_b"))
}

mod adopting {
    use super::*;

    fn carried_by(streams: &[(&str, &str)]) -> Found {
        let carriers = streams.iter().map(|(subject, stream)| ((*subject).to_owned(), (*stream).to_owned())).collect();
        Found { carriers, ..Found::default() }
    }

    #[test]
    fn nothing_there_is_made() {
        let adoption = adopt(&wanted(), &Found::default()).expect("an adoption");
        assert!(matches!(adoption.change, Some(Change::CreateStream { stream, .. }) if stream == "sync-stream"));
    }

    #[test]
    fn a_stream_that_carries_everything_is_used_whatever_its_name() {
        let wanted = wanted();
        let carriers = wanted.stream.subjects.iter().map(|subject| (subject.clone(), "rails".to_owned())).collect();
        let found = Found { carriers, ..Found::default() };
        assert_eq!(adopt(&wanted, &found), Ok(Adoption { stream: "rails".to_owned(), change: None }));
    }

    #[test]
    fn missing_subjects_are_added_to_the_stream_that_carries_the_others() {
        let found = carried_by(&[("system_a.sync.system_b", "rails"), ("system_b.sync.system_a", "rails")]);
        let adoption = adopt(&wanted(), &found).expect("an adoption");
        let change = adoption.change.expect("a change").to_string();
        assert_eq!(change, "~ stream rails\n    + subjects: system_a.sync.dlq, system_b.sync.dlq");
    }

    #[test]
    fn subjects_spread_over_streams_are_refused_and_the_streams_named() {
        let found = carried_by(&[("system_a.sync.system_b", "one"), ("system_b.sync.system_a", "two")]);
        let refused = TopologyError::Spread(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(adopt(&wanted(), &found), Err(refused));
    }
}
