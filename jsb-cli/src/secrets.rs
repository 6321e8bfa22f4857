//! The users' secrets: a folder with a file for each, made once and then kept.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nkeys::{KeyPair, KeyPairType};
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use tempfile::NamedTempFile;

/// The cost that nats-server's own tool hashes with.
const BCRYPT_COST: u32 = 11;
/// In bytes: of more, bcrypt would leave out the end. It takes 72, one of which ends the password.
const LONGEST_PASSWORD: usize = 71;
/// Letters and digits, 190 bits; none of them means anything in a URL.
const PASSWORD_LENGTH: usize = 32;

/// A folder with the users' secrets: `USER.password` or `USER.nk`, readable by their owner only.
#[derive(Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Opens the folder; where there is none it is made, for its owner only.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        make_folder(folder).with_context(|| format!("the secrets' folder `{}`", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the password of a user is.
    pub(crate) fn password_file(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.password"))
    }

    /// Where the seed of a user's nkey is.
    pub(crate) fn seed_file(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.nk"))
    }

    /// The password of a user; letters and digits where it is made here.
    ///
    /// # Errors
    ///
    /// When it can neither be read nor made.
    pub fn password(&self, user: &str) -> anyhow::Result<String> {
        kept(&self.password_file(user), || Ok(random_password()))
    }

    /// The hash of a user's password, as nats-server reads it.
    pub(crate) fn password_hash(&self, user: &str) -> anyhow::Result<String> {
        let (password, file) = (self.password(user)?, self.password_file(user));
        ensure!(
            password.len() <= LONGEST_PASSWORD,
            "`{}` holds a password of {} bytes: bcrypt takes {LONGEST_PASSWORD} at the most",
            file.display(),
            password.len()
        );
        let hash = bcrypt::non_truncating_hash_with_result(&password, BCRYPT_COST);
        let hash = hash.with_context(|| format!("hashing `{}`", file.display()))?;
        Ok(hash.format_for_version(bcrypt::Version::TwoA))
    }

    /// The public nkey of a user.
    pub(crate) fn public_nkey(&self, user: &str) -> anyhow::Result<String> {
        let file = self.seed_file(user);
        let seed = kept(&file, || Ok(KeyPair::new_user().seed()?))?;
        let pair =
            KeyPair::from_seed(&seed).with_context(|| format!("`{}` holds no seed of an nkey", file.display()))?;
        let is_user = pair.key_pair_type() == KeyPairType::User;
        ensure!(is_user, "`{}` holds an nkey that is no user's: a user's seed begins with SU", file.display());
        Ok(pair.public_key())
    }
}

fn random_password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

/// The secret in `file`, which is made if it is not there.
fn kept(file: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    let in_file = || format!("the secret `{}`", file.display());
    let mut found = read(file).with_context(in_file)?;
    if found.is_none() {
        write(file, &make()?).with_context(in_file)?;
        // Somebody else may have been faster.
        found = read(file).with_context(in_file)?;
    }
    let secret = found.with_context(in_file)?;
    ensure!(!secret.is_empty(), "`{}` is empty: remove it to have a secret made", file.display());
    Ok(secret)
}

fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the whole secret there, readable by its owner only, or nothing; what is there already stays.
fn write(file: &Path, secret: &str) -> io::Result<()> {
    let mut temporary = NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    temporary.write_all(secret.as_bytes())?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(file) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
