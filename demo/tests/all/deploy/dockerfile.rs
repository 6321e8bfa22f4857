//! The Dockerfile.

use parse_dockerfile::{Command, Dockerfile, Flag, Instruction};

use super::{assert_pinned, read};

const PATH: &str = "Dockerfile";

fn parsed(text: &str) -> Result<Dockerfile<'_>, String> {
    let dockerfile = parse_dockerfile::parse(text).map_err(|error| error.to_string())?;
    for instruction in &dockerfile.instructions {
        let (options, known): (&[Flag<'_>], &[&str]) = match instruction {
            Instruction::From(from) => (&from.options, &["platform"]),
            Instruction::Copy(copy) => (&copy.options, &["from", "chown", "chmod", "link", "parents", "exclude"]),
            Instruction::Run(run) => (&run.options, &["mount", "network", "security"]),
            _ => (&[], &[]),
        };
        // The parser takes any option.
        if let Some(unknown) = options.iter().find(|option| !known.contains(&&*option.name.value)) {
            return Err(format!("unknown option {}", unknown.name.value));
        }
    }
    Ok(dockerfile)
}

#[test]
fn every_instruction_and_option_is_understood() {
    let text = read(PATH);
    parsed(&text).expect("a Dockerfile");
    let words = ["FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", " AS ", "--mount", "--from"];
    for word in words {
        assert!(text.contains(word), "{word} is not used: take it off the list");
        let misspelt = text.replacen(word, &format!("{}X{}", &word[..3], &word[3..]), 1);
        assert!(parsed(&misspelt).is_err(), "nobody would see it if {word} were misspelt");
    }
    let used = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|word| word.chars().all(|c| c.is_ascii_uppercase()) && !word.is_empty());
    for instruction in used {
        assert!(words.contains(&instruction), "{instruction} is not tried");
    }
}

#[test]
fn the_program_alone_is_in_the_image_and_does_not_run_as_root() {
    let text = read(PATH);
    let dockerfile = parsed(&text).expect("a Dockerfile");
    let stages: Vec<_> = dockerfile.stages().collect();
    assert_eq!(stages.len(), 2, "one builds, one runs");
    for stage in &stages {
        assert_pinned(&stage.from.image.value);
    }

    let last = &stages[1];
    let mut program = None;
    for instruction in last.instructions {
        match instruction {
            Instruction::Copy(copy) => {
                let from = copy.options[0].value.as_ref().expect("a stage");
                assert!(dockerfile.stage(&from.value).is_some(), "no stage is called {}", from.value);
                program = Some(copy.dest.value.as_ref());
            }
            Instruction::User(user) => {
                let (user, group) = user.arguments.value.split_once(':').expect("a user and a group");
                assert!(user.parse::<u32>().is_ok_and(|id| id > 0) && group.parse::<u32>().is_ok_and(|id| id > 0));
            }
            Instruction::Entrypoint(entrypoint) => {
                let Command::Exec(words) = &entrypoint.arguments else { panic!("there is no shell in the image") };
                assert_eq!(
                    words.value.iter().map(|word| word.value.as_ref()).collect::<Vec<_>>(),
                    [program.expect("a program")]
                );
            }
            other => panic!("the last stage does more than it needs: {other:?}"),
        }
    }
    assert!(last.instructions.iter().any(|instruction| matches!(instruction, Instruction::User(_))));
}
