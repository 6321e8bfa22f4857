//! Whom a server runs as, and a folder that is theirs.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::Error;

const ROOT: u32 = 0;

/// A user of the system that a server runs as, when it must not be the one that we are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Whom to run a server as that refuses to run as root: nobody else, unless we are root.
    pub(crate) fn instead_of_root() -> Result<Option<Self>, Error> {
        if our_uid()? != ROOT {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        let user = Self::find("postgres", &users).or_else(|| Self::find("nobody", &users));
        user.map(Some).ok_or(Error::NoUser)
    }

    /// Finds `name:password:uid:gid:..` in the text of /etc/passwd.
    fn find(name: &str, users: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(Self { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    }

    /// Whether this user gets to what is in the folder: the folders above it may be closed.
    pub(crate) fn can_enter(self, folder: &Path) -> bool {
        command("test", Some(self)).arg("-x").arg(folder).status().is_ok_and(|status| status.success())
    }
}

/// A command that runs as `user`, or as ourselves.
pub(crate) fn command(program: impl AsRef<OsStr>, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// A temporary folder that belongs to `user`, or to ourselves; it goes when it is dropped.
pub(crate) fn temporary_folder(user: Option<User>) -> Result<TempDir, Error> {
    let can_enter = |folder: &PathBuf| user.is_none_or(|user| user.can_enter(folder));
    let parents = [env::temp_dir(), "/tmp".into()];
    let parent = parents.into_iter().find(can_enter).ok_or_else(|| Error::NoFolder(env::temp_dir()))?;
    let make = || {
        let folder = tempfile::Builder::new().prefix("dev-server-").tempdir_in(parent)?;
        if let Some(User { uid, gid }) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        Ok(folder)
    };
    make().map_err(Error::io("make a temporary folder"))
}

/// Our user id, learned from a file of our own: std has no call for it.
pub(crate) fn our_uid() -> Result<u32, Error> {
    let file = tempfile::tempfile().and_then(|file| file.metadata()).map_err(Error::io("make a temporary file"))?;
    Ok(file.uid())
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:5:5::/:/bin/sh\nnobody:x:65534:65533::/:\n";
        let nobody = User::find("nobody", users).expect("nobody is in the list");
        assert_eq!((nobody.uid, nobody.gid), (65534, 65533));
        assert!(User::find("postgres", users).is_none());
    }
}
