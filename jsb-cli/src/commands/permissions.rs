//! `jsb permissions`: the users of a nats-server, each with what it needs and nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use jsb_runtime::permissions::{Permissions, User};
use jsb_runtime::topology::Wanted;

use crate::exit::Exit;
use crate::nats_conf::{Identity, NatsConf};
use crate::pairs::Pairs;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::terminal::{Terminal, note};

/// What `permissions` was given.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pairs: Pairs,
    /// How the users prove who they are
    #[arg(long, value_enum, default_value_t)]
    auth: Auth,
    /// The folder with each user's USER.password or USER.nk; those that are missing are made
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Auth {
    /// Passwords from the folder of secrets; the output holds their bcrypt hashes
    #[default]
    Password,
    /// Keys from the folder of secrets; the output holds their public parts
    Nkey,
    /// Passwords from variables such as SYSTEM_A_NATS_PASSWORD in the environment of nats-server
    Variables,
}

pub(crate) fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, pairs) = args.pairs.resolve(settings)?;
    let users = Permissions::of(&Wanted::pairs(&config, pairs)?)?.users;
    let proofs = match args.auth {
        Auth::Password | Auth::Nkey => {
            let folder = args.secrets.context("--secrets must name the folder of the passwords or nkeys")?;
            from_secrets(args.auth, &Secrets::open(&folder)?, &users)?
        }
        Auth::Variables => {
            ensure!(args.secrets.is_none(), "--auth variables takes the passwords from variables: leave --secrets out");
            ensure!(!terminal.is_json(), "JSON has no variables: leave --json out, or take --auth password or nkey");
            from_variables(&users)?
        }
    };
    let (identities, hints): (Vec<_>, Vec<_>) = proofs.into_iter().map(|proof| (proof.identity, proof.hint)).unzip();
    let names: Vec<String> = users.iter().map(|user| user.name.clone()).collect();
    terminal.show(&NatsConf::of(users.into_iter().zip(identities)), NatsConf::to_string)?;
    note("How each user connects; the apps with AUTO_PROVISION=false:");
    for (name, hint) in names.iter().zip(hints) {
        note(format_args!("  {name}: {hint}"));
    }
    Ok(Exit::Done)
}

/// The users in the configuration language of nats-server, with passwords from `secrets`, as `jsb permissions` prints them.
///
/// # Errors
///
/// When a name stands for no app, or a secret can neither be read nor made.
pub fn users_with_passwords(wanted: &Wanted, secrets: &Secrets) -> anyhow::Result<String> {
    let users = Permissions::of(wanted)?.users;
    let proofs = from_secrets(Auth::Password, secrets, &users)?;
    let identities = proofs.into_iter().map(|proof| proof.identity);
    Ok(NatsConf::of(users.into_iter().zip(identities)).to_string())
}

/// How a user proves who it is, to the server, and what it must be told for that.
struct Proof {
    identity: Identity,
    hint: String,
}

fn from_secrets(auth: Auth, secrets: &Secrets, users: &[User]) -> anyhow::Result<Vec<Proof>> {
    let proof = |User { name, .. }: &User| match auth {
        Auth::Nkey => {
            Ok(Proof { identity: Identity::Nkey { nkey: secrets.public_nkey(name)? }, hint: with_nkey(name, secrets) })
        }
        _ => Ok(Proof {
            identity: Identity::Password { user: name.clone(), password: secrets.password_hash(name)? },
            hint: with_password(name, secrets)?,
        }),
    };
    users.iter().map(proof).collect()
}

fn with_password(name: &str, secrets: &Secrets) -> anyhow::Result<String> {
    let file = secrets.password_file(name);
    let url = format!("NATS_URL=\"nats://{name}:$(cat '{}')@HOST:4222\"", file.display());
    let plain = secrets.password(name)?.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
    Ok(if plain { url } else { format!("{url}, with the password percent-encoded") })
}

fn with_nkey(name: &str, secrets: &Secrets) -> String {
    // A key does not say whose inbox the answers belong in.
    let seed = secrets.seed_file(name);
    format!("NATS_URL=nats://HOST:4222 NATS_NKEY='{}' NATS_INBOX_PREFIX=_INBOX.{name}", seed.display())
}

fn from_variables(users: &[User]) -> anyhow::Result<Vec<Proof>> {
    let mut variables = BTreeSet::new();
    let proof = |User { name, .. }: &User| {
        let variable = variable(name);
        if variable.starts_with(|c: char| c.is_ascii_digit()) {
            bail!("the variable `{variable}` would begin with a digit: take --auth password or nkey");
        }
        if !variables.insert(variable.clone()) {
            bail!("two users would have their password in `{variable}`: take --auth password or nkey");
        }
        let hint = format!("NATS_URL=\"nats://{name}:${variable}@HOST:4222\"");
        Ok(Proof { identity: Identity::Variable { user: name.clone(), variable }, hint })
    };
    users.iter().map(proof).collect()
}

/// Where nats-server finds the password of a user.
fn variable(user: &str) -> String {
    format!("{}_NATS_PASSWORD", user.to_ascii_uppercase().replace('-', "_"))
}
