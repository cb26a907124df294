//! A database server on a folder of its own, reached by a socket in it; started for some work and stopped cleanly after it.

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Longest time that a server may take to start.
const START_MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MariaDb,
    PostgreSql,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::PostgreSql => "PostgreSQL",
        }
    }

    const fn user(self) -> &'static str {
        match self {
            Self::MariaDb => "mysql",
            Self::PostgreSql => "postgres",
        }
    }

    /// Makes and fills a table of about 300 bytes per row.
    pub fn fill(self, rows: u64) -> String {
        match self {
            Self::MariaDb => format!(
                "create database shop; use shop; create table orders (id int primary key, customer int, amount bigint, \
                 note varchar(256), index (customer)) engine=innodb;\n\
                 insert into orders select seq, seq % 10007, seq * 7, concat(sha2(seq, 512), sha2(seq + {rows}, 384)) \
                 from seq_1_to_{rows};\n"
            ),
            Self::PostgreSql => format!(
                "create table orders (id int primary key, customer int, amount bigint, note varchar(256));\n\
                 create index on orders (customer);\n\
                 insert into orders select n, n % 10007, n * 7, encode(sha512(n::text::bytea), 'hex') || \
                 encode(sha384((n + {rows})::text::bytea), 'hex') from generate_series(1, {rows}) n;\n\
                 vacuum analyze orders; checkpoint;\n"
            ),
        }
    }

    /// Updates of rows chosen without pattern, each a transaction of its own.
    pub fn updates(self, rows: u64, count: u64) -> String {
        let mut script = if self == Self::MariaDb { "use shop;\n".to_owned() } else { String::new() };
        let mut state = 7u64;
        for number in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let row = (state >> 20) % rows + 1;
            let _ = writeln!(
                script,
                "update orders set amount = amount + {number}, note = reverse(note) where id = {row};"
            );
        }
        if self == Self::PostgreSql {
            script.push_str("checkpoint;\n");
        }
        script
    }
}

pub struct Engine {
    kind: Kind,
    folder: PathBuf,
}

impl Engine {
    /// Makes an empty data folder.
    pub fn create(kind: Kind, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let engine = Self { kind, folder: folder.to_owned() };
        if is_root() {
            ensure_done(Command::new("chown").arg(kind.user()).arg(folder))?;
        }
        let data = engine.data();
        match kind {
            Kind::MariaDb => {
                let mut install = Command::new("mariadb-install-db");
                install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                install.arg(format!("--datadir={}", data.display()));
                if is_root() {
                    install.arg("--user=mysql");
                }
                ensure_done(&mut install)?;
            }
            Kind::PostgreSql => {
                let mut init = engine.as_user(&postgres_program("initdb")?);
                init.arg("-D").arg(data).args([
                    "-U",
                    "postgres",
                    "--auth=trust",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "-k",
                ]);
                ensure_done(&mut init)?;
            }
        }
        Ok(engine)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the server, lets `work` run scripts on it, and stops it cleanly.
    pub fn while_running(
        &self,
        work: impl FnOnce(&dyn Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut server = self.start()?;
        let done = self.until_ready(&mut server).and_then(|()| work(&|script| self.script(script)));
        self.stop(&mut server)?;
        done
    }

    fn start(&self) -> anyhow::Result<Child> {
        let (data, folder) = (self.data(), self.folder.display());
        let mut server = match self.kind {
            Kind::MariaDb => {
                let mut server = Command::new("mariadbd");
                server.args(["--no-defaults", "--skip-networking", "--innodb-buffer-pool-size=256M"]);
                server.arg(format!("--datadir={}", data.display())).arg(format!("--socket={folder}/s.sock"));
                server.arg(format!("--pid-file={folder}/pid"));
                if is_root() {
                    server.arg("--user=mysql");
                }
                server
            }
            Kind::PostgreSql => {
                let mut server = self.as_user(&postgres_program("postgres")?);
                server.arg("-D").arg(data).arg("-k").arg(&self.folder).args(["-h", "", "-c", "shared_buffers=256MB"]);
                server
            }
        };
        let log = std::fs::File::create(self.folder.join("log"))?;
        Ok(server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    fn until_ready(&self, server: &mut Child) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.script("select 1;").is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if server.try_wait()?.is_some() || begun.elapsed() > START_MAX {
                bail!("{} does not start: {}", self.kind.name(), log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn script(&self, script: &str) -> anyhow::Result<()> {
        let mut client = match self.kind {
            Kind::MariaDb => {
                let mut client = Command::new("mariadb");
                client.args(["--no-defaults", "-u", "root", "-S"]).arg(self.folder.join("s.sock"));
                client
            }
            Kind::PostgreSql => {
                let mut client = Command::new("psql");
                client.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(&self.folder);
                client
            }
        };
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        // A client that cannot connect is gone before it has read.
        let written = client.stdin.take().context("the input was asked for")?.write_all(script.as_bytes());
        ensure!(client.wait()?.success() && written.is_ok(), "the script fails");
        Ok(())
    }

    fn stop(&self, server: &mut Child) -> anyhow::Result<()> {
        match self.kind {
            Kind::MariaDb => self.script("shutdown;")?,
            Kind::PostgreSql => {
                let mut stop = self.as_user(&postgres_program("pg_ctl")?);
                ensure_done(stop.arg("-D").arg(self.data()).args(["-m", "fast", "-w", "stop"]))?;
            }
        }
        server.wait()?;
        Ok(())
    }

    /// A program as the user that PostgreSQL wants: it refuses to be root.
    fn as_user(&self, program: &Path) -> Command {
        let mut command = Command::new("runuser");
        if is_root() {
            command.args(["-u", self.kind.user(), "--"]).arg(program);
        } else {
            command = Command::new(program);
        }
        command.current_dir(&self.folder);
        command
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A program of the newest PostgreSQL, which Debian keeps off the path.
fn postgres_program(name: &str) -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let mut found: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|program| program.exists());
    found.sort();
    found.pop().with_context(|| format!("{name} is not installed"))
}

fn ensure_done(command: &mut Command) -> anyhow::Result<()> {
    let ended = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}
