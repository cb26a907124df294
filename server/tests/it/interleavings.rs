//! Every order in which the steps of two backups and of the collector can follow each other, played on the real engine.
//!
//! The store begins with chunks that no snapshot reaches any more. One backup refers to them and to those of a snapshot that is about to expire; another
//! one of a second source sends one of them anew; the collector expires, marks, waits out the grace, purges and compacts. Whatever the order, what a
//! committed snapshot reaches can be read, before and after one more night. A step that is refused ends its backup, which is no loss.

use std::sync::Arc;

use common::id::{ChunkId, SessionId};
use server::session::commit::CommitAnswer;
use server::session::open::Opened;
use server::session::subscription::Subscription;

use crate::engine::{Agent, DAY_NS, Made, OTHER_SOURCE, copy_folder, scratch};
use crate::site::{Site, World};
use crate::support::campaign::Campaign;

/// Contents whose snapshots are gone when the steps begin.
const GONE: [&[u8]; 2] = [b"shared later", b"old only"];

type Step = fn(&mut Run) -> anyhow::Result<()>;

/// What each of the three does, in its order.
const FIRST: &[Step] = &[Run::first_opens, Run::first_refers, Run::first_sends_what_is_missing, Run::first_commits];
const SECOND: &[Step] = &[Run::second_opens, Run::second_sends, Run::second_commits];
const COLLECTOR: &[Step] = &[Run::expires, Run::marks, Run::waits, Run::purges, Run::compacts];

/// A backup that has begun.
struct Backup {
    agent: Agent,
    open: Arc<Subscription>,
    opened: Opened,
    made: Vec<Made>,
    leaf: Option<Made>,
}

struct Run {
    site: Site,
    first: Option<Backup>,
    second: Option<Backup>,
    committed: Vec<(SessionId, Vec<ChunkId>)>,
}

impl Run {
    fn begin(site: &Site, agent: Agent) -> anyhow::Result<Backup> {
        let (open, opened) = agent.open(&site.server)?;
        Ok(Backup { agent, open, opened, made: Vec::new(), leaf: None })
    }

    fn first_opens(&mut self) -> anyhow::Result<()> {
        let mut agent = self.site.agent(10);
        agent.parent = self.site.newest();
        self.first = Some(Self::begin(&self.site, agent)?);
        Ok(())
    }

    fn first_refers(&mut self) -> anyhow::Result<()> {
        let backup = self.first.as_mut().ok_or_else(|| anyhow::anyhow!("it ended"))?;
        backup.made = [GONE[0], GONE[1], b"third"].map(|content| backup.agent.data(content)).into();
        let leaf = backup.agent.leaf(&backup.made.iter().collect::<Vec<_>>(), b"by reference");
        backup.agent.put(&backup.open, &[&leaf])?;
        backup.leaf = Some(leaf);
        Ok(())
    }

    fn first_sends_what_is_missing(&mut self) -> anyhow::Result<()> {
        let backup = self.first.as_mut().ok_or_else(|| anyhow::anyhow!("it ended"))?;
        let ids: Vec<ChunkId> = backup.made.iter().map(|made| made.id).collect();
        let have = backup.open.have(&backup.agent.who.scope, &ids)?;
        for (made, _) in backup.made.iter().zip(have).filter(|(_, has)| !has) {
            backup.agent.put(&backup.open, &[made])?;
        }
        Ok(())
    }

    fn first_commits(&mut self) -> anyhow::Result<()> {
        let backup = self.first.take().ok_or_else(|| anyhow::anyhow!("it ended"))?;
        self.commit(backup)
    }

    fn second_opens(&mut self) -> anyhow::Result<()> {
        self.second = Some(Self::begin(&self.site, self.site.agent(20).of(OTHER_SOURCE))?);
        Ok(())
    }

    fn second_sends(&mut self) -> anyhow::Result<()> {
        let backup = self.second.as_mut().ok_or_else(|| anyhow::anyhow!("it ended"))?;
        backup.made = [GONE[1], b"of the second"].map(|content| backup.agent.data(content)).into();
        let leaf = backup.agent.leaf(&backup.made.iter().collect::<Vec<_>>(), b"by the second");
        backup.agent.put(&backup.open, &backup.made.iter().collect::<Vec<_>>())?;
        backup.agent.put(&backup.open, &[&leaf])?;
        backup.leaf = Some(leaf);
        Ok(())
    }

    fn second_commits(&mut self) -> anyhow::Result<()> {
        let backup = self.second.take().ok_or_else(|| anyhow::anyhow!("it ended"))?;
        self.commit(backup)
    }

    /// Commits, and sends what the server says is missing, as an agent does.
    fn commit(&mut self, backup: Backup) -> anyhow::Result<()> {
        let leaf = backup.leaf.as_ref().ok_or_else(|| anyhow::anyhow!("nothing was sent"))?;
        let all = || backup.made.iter().chain([leaf]);
        for _ in 0..3 {
            match backup.agent.commit(&backup.open, &backup.opened, leaf)? {
                CommitAnswer::Missing(ids) => {
                    for made in all().filter(|made| ids.contains(&made.id)) {
                        backup.agent.put(&backup.open, &[made])?;
                    }
                }
                CommitAnswer::Committed { .. } => {
                    self.committed.push((backup.agent.session, all().map(|made| made.id).collect()));
                    return Ok(());
                }
            }
        }
        panic!("what was sent is missing again and again");
    }

    fn expires(&mut self) -> anyhow::Result<()> {
        self.site.expire()?;
        Ok(())
    }

    fn marks(&mut self) -> anyhow::Result<()> {
        self.site.mark()?;
        Ok(())
    }

    fn waits(&mut self) -> anyhow::Result<()> {
        // Sessions that are at work all the time stay open through the grace.
        for _ in 0..16 {
            self.site.jump(DAY_NS / 2);
            self.site.guards.tick(self.site.now())?;
            for backup in [&self.first, &self.second].into_iter().flatten() {
                backup.agent.at_now(self.site.now_ns());
                if let Some(made) = backup.made.first() {
                    let _ = backup.agent.put(&backup.open, &[made]);
                }
            }
        }
        Ok(())
    }

    fn purges(&mut self) -> anyhow::Result<()> {
        self.site.purge()?;
        self.site.jump(3_600_000_000_000);
        self.site.purge()?;
        Ok(())
    }

    fn compacts(&mut self) -> anyhow::Result<()> {
        self.site.compact()?;
        Ok(())
    }

    fn all_committed_is_readable(&self, order: &str) {
        let there = self.site.sessions();
        for (session, reached) in self.committed.iter().filter(|(session, _)| there.contains(session)) {
            let readable = self.site.readable(&Agent::new(1, 1).who.scope, reached);
            assert_eq!(readable, reached.len(), "{order}: snapshot {session} lost content");
        }
        let newest = self.committed.last().map(|(session, _)| *session);
        assert!(newest.is_none_or(|newest| there.contains(&newest)), "{order}: the newest snapshot is gone");
    }
}

/// A site whose first snapshots are out of the history, and whose chunks are in trash.
fn prepared(root: &std::path::Path) -> World {
    let site = Site::new(root, 1);
    site.back_up(1, &GONE);
    site.pass_days(1);
    site.back_up(2, &[b"second"]);
    site.pass_days(1);
    site.back_up(3, &[b"third"]);
    site.pass_days(3);
    site.expire().unwrap();
    site.mark().unwrap();
    site.world.clone()
}

#[test]
fn in_every_order_of_two_backups_and_the_collector_committed_content_stays() {
    let orders = orders(FIRST.len(), SECOND.len(), COLLECTOR.len());
    let mut campaign = Campaign::begin("C10", "orders of steps", 150);
    let wanted = usize::try_from(campaign.rounds()).unwrap().min(orders.len());
    let folder = scratch();
    let origin = folder.path().join("origin");
    std::fs::create_dir(&origin).unwrap();
    let world = prepared(&origin);
    let begins_ns = world.now_ns.load(std::sync::atomic::Ordering::SeqCst);
    let mut dice = campaign.dice();
    let first = dice.index(orders.len());
    for at in 0..wanted {
        // Evenly over all of them, from a place that follows from the seed.
        let order = &orders[(first + at * orders.len() / wanted) % orders.len()];
        let root = folder.path().join("run");
        copy_folder(&origin, &root);
        world.now_ns.store(begins_ns, std::sync::atomic::Ordering::SeqCst);
        let site = Site::start(&root, &world);
        let mut run = Run { site, first: None, second: None, committed: Vec::new() };
        let mut next = [FIRST.iter(), SECOND.iter(), COLLECTOR.iter()];
        for who in order.bytes() {
            let step = next[usize::from(who - b'0')].next().unwrap();
            campaign.count("steps", 1);
            campaign.count("steps refused", u64::from(step(&mut run).is_err()));
        }
        run.all_committed_is_readable(order);
        (run.first, run.second) = (None, None);
        run.site.mark().unwrap();
        run.waits().unwrap();
        run.purges().unwrap();
        run.compacts().unwrap();
        run.all_committed_is_readable(order);
        campaign.count("snapshots committed", run.committed.len() as u64);
        campaign.count("orders", 1);
        drop(run);
        std::fs::remove_dir_all(&root).unwrap();
    }
    assert!(campaign.counted("snapshots committed") > campaign.counted("orders"), "most backups commit");
    eprintln!("{} of {} orders", wanted, orders.len());
    campaign.pass();
}

/// All orders of so many steps of each of three, as words of `0`, `1` and `2`.
fn orders(first: usize, second: usize, third: usize) -> Vec<String> {
    fn grow(left: [usize; 3], word: &mut String, found: &mut Vec<String>) {
        if left == [0; 3] {
            found.push(word.clone());
        }
        for who in (0..3).filter(|who| left[*who] > 0) {
            let mut left = left;
            left[who] -= 1;
            word.push(char::from(b'0' + u8::try_from(who).unwrap()));
            grow(left, word, found);
            word.pop();
        }
    }
    let mut found = Vec::new();
    grow([first, second, third], &mut String::new(), &mut found);
    found
}
