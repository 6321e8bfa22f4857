//! What the macros accept (`pass`, compiled into this binary) and what they refuse (`ui`, compiled by trybuild).
#![expect(missing_docs, reason = "the entities of an application have none")]

pub mod pass;

#[test]
fn faults_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*/*.rs");
}
