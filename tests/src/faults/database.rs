//! The database of one side: a PostgreSQL server of its own, or a SQLite file.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use dev_servers::Postgres;
use sea_orm::{ConnectOptions, ConnectionTrait, Database as Orm, DatabaseConnection, Statement};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::Backend;

/// The size of a small disk.
const SMALL: &str = "96m";

/// A database that the harness reaches past every link.
pub struct Database {
    /// Where the harness reaches it.
    pub url: String,
    server: Option<Mutex<Postgres>>,
    disk: Option<SmallDisk>,
    log: Option<PathBuf>,
    _folder: TempDir,
}

/// A file system of its own, which can be filled. Needs root.
struct SmallDisk {
    folder: PathBuf,
}

impl Database {
    /// Makes an empty one; on PostgreSQL, if `small_disk`, in a tablespace that can be filled.
    pub async fn create(backend: Backend, small_disk: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        if backend == Backend::Sqlite {
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("app.sqlite").display());
            return Ok(Self { url, server: None, disk: None, log: None, _folder: folder });
        }
        let postgres = Postgres::start_own().await?;
        let url = postgres.create_database("app").await?;
        let data = data_folder(&postgres).await?;
        let disk = match small_disk {
            true => Some(SmallDisk::under(&postgres, &data, folder.path().join("disk")).await?),
            false => None,
        };
        let log = Some(data.with_file_name("server.log"));
        Ok(Self { url, server: Some(Mutex::new(postgres)), disk, log, _folder: folder })
    }

    /// Whether it is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// The server's port; `None` for SQLite.
    pub async fn port(&self) -> Option<u16> {
        let server = self.server.as_ref()?.lock().await;
        url::Url::parse(&server.url("app")).ok()?.port()
    }

    /// A connection past the links, for a moment.
    pub async fn connect(&self) -> anyhow::Result<DatabaseConnection> {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).acquire_timeout(Duration::from_secs(10)).sqlx_logging(false);
        Ok(Orm::connect(options).await?)
    }

    /// Runs statements on a connection of their own.
    pub async fn execute(&self, statements: &[&str]) -> anyhow::Result<()> {
        let db = self.connect().await?;
        for statement in statements {
            db.execute_unprepared(statement).await?;
        }
        Ok(db.close().await?)
    }

    /// Stops the server, in order or not.
    pub async fn stop(&self, in_order: bool) -> anyhow::Result<()> {
        let mut server = self.server.as_ref().context("SQLite has no server")?.lock().await;
        let stopped = if in_order { server.stop().await } else { server.kill().await };
        Ok(stopped?)
    }

    /// Starts the server again.
    pub async fn restart(&self) -> anyhow::Result<()> {
        Ok(self.server.as_ref().context("SQLite has no server")?.lock().await.restart().await?)
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        let log = self.log.as_ref().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Fills the disk to the last byte.
    pub async fn fill(&self) -> anyhow::Result<()> {
        let disk = self.disk.as_ref().context("its disk is not small")?;
        let mut ballast = std::fs::File::create(disk.ballast())?;
        // It ends with the error that there is no room.
        tokio::task::spawn_blocking(move || drop(std::io::copy(&mut std::io::repeat(0), &mut ballast))).await?;
        Ok(())
    }

    /// Makes room again.
    pub fn clear(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.disk.as_ref().context("its disk is not small")?.ballast())?)
    }
}

/// Where a server keeps its data; its log lies beside.
async fn data_folder(postgres: &Postgres) -> anyhow::Result<PathBuf> {
    let db = Orm::connect(postgres.url("postgres")).await?;
    let data = Statement::from_string(sea_orm::DbBackend::Postgres, "SHOW data_directory");
    let data = db.query_one_raw(data).await?.context("a server that has its data somewhere")?;
    db.close().await?;
    Ok(data.try_get_by_index::<String>(0)?.into())
}

impl SmallDisk {
    async fn under(postgres: &Postgres, data: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        let db = Orm::connect(postgres.url("postgres")).await?;
        let owner = std::fs::metadata(data)?;
        std::fs::create_dir(&folder)?;
        let options = format!("size={SMALL},mode=700,uid={},gid={}", owner.uid(), owner.gid());
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status()?;
        anyhow::ensure!(mounted.success(), "a small disk cannot be mounted: that takes root");
        let disk = Self { folder };
        open_way_to(&disk.folder)?;
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.folder.display());
        for statement in [tablespace.as_str(), "ALTER DATABASE app SET TABLESPACE small"] {
            db.execute_unprepared(statement).await?;
        }
        db.close().await?;
        Ok(disk)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

/// The server is another user, who has to get past the folder around its disk.
fn open_way_to(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let around = folder.parent().unwrap_or(folder);
    std::fs::set_permissions(around, std::fs::Permissions::from_mode(0o711))
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server, which goes at the same time, may still have files open there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}
