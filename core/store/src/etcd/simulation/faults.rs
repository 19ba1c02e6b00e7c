//! What goes wrong, and that everything is well again once nothing does.

use super::{Action, CLAIM, DATA, FENCE, HOSTS, Header, MARK, World};
use crate::etcd::machines::call::Call;
use crate::etcd::machines::record::{Claim, Record};

impl World {
    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        self.after(0, 400, Action::Fault);
        let host = self.rng.index(HOSTS);
        match self.rng.below(100) {
            0..20 => self.crash(host),
            20..35 => self.pause(host),
            35..45 => self.skew(host),
            45..52 => self.end_a_lease(),
            52..62 => self.go_away(),
            62..74 => self.compact(),
            74..82 => self.back_up(),
            82..87 => self.restore(),
            87..90 => self.expire_the_claim(),
            90..94 => {
                self.seen.insert("resigned");
                self.after(host, 1, Action::Resign);
            }
            _ => {}
        }
    }

    /// `kill -9`, and a new start after a while.
    fn crash(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        if !host.up {
            return;
        }
        self.seen.insert(if host.token.is_some() { "a leader crashed" } else { "crashed" });
        host.up = false;
        host.life += 1;
        host.token = None;
        host.candidate = None;
        self.note(at, "crash");
        let pause = if self.rng.percent(50) { 20 } else { 2_000 };
        self.after(at, pause, Action::Boot);
    }

    fn pause(&mut self, at: usize) {
        let longest = if self.rng.percent(50) { 1_000 } else { 15_000 };
        self.hosts[at].paused_until = self.now + self.rng.below(longest);
        let leads = self.hosts[at].token.is_some();
        self.seen.insert(if leads { "a leader was paused" } else { "paused" });
        self.note(at, "pause");
    }

    fn skew(&mut self, at: usize) {
        let by = i64::try_from(self.rng.below(200_000)).unwrap() - 100_000;
        self.hosts[at].clock_ms = by;
        self.seen.insert("a clock was set");
    }

    fn end_a_lease(&mut self) {
        let which = self.rng.index(8);
        self.cluster.expire_one(which);
        self.seen.insert("a lease ended early");
        self.claim_changed();
    }

    /// Somebody thinks that the leader has ended, rightly or not.
    fn expire_the_claim(&mut self) {
        let claim = self.cluster.state.data.get(CLAIM);
        let Some(claim) = claim.and_then(|found| Claim::decode(&found.value)) else { return };
        self.cluster.serve(self.now, Call::Txn(claim.expire(CLAIM.to_owned())));
        self.seen.insert("a claim expired");
        self.claim_changed();
    }

    fn go_away(&mut self) {
        self.away_until = self.now + self.rng.between(100, 12_000);
        self.cluster.extend_leases(self.away_until);
        self.seen.insert("etcd was away");
        self.note(0, "away");
    }

    fn compact(&mut self) {
        let keep = i64::try_from(self.rng.below(20)).unwrap();
        self.cluster.compact(self.cluster.state.revision - keep);
    }

    fn back_up(&mut self) {
        self.backups.push(self.cluster.state.clone());
    }

    fn restore(&mut self) {
        if self.backups.is_empty() {
            return;
        }
        let backup = self.rng.index(self.backups.len());
        let state = self.backups[backup].clone();
        // A new cluster token is noticed by everybody. Where an operator forgot it
        // only the smaller revision tells, and only those who look in time.
        let all_look = self.hosts.iter().all(|host| host.paused_until <= self.now);
        let same_id = all_look && self.rng.percent(50);
        self.cluster.restore(state, self.now, same_id);
        self.away_until = self.now;
        for at in 0..HOSTS {
            let sent = self.hosts[at].timeline.sent();
            let revision = self.cluster.state.revision;
            let header = Header { sent, cluster: self.cluster.id, revision };
            self.at(at, self.now, Action::Probed { header });
        }
        // Those that were taken later never happened.
        self.backups.truncate(backup + 1);
        let fence = self.cluster.state.data.get(FENCE).map(|found| found.value.clone());
        self.laws.restored(fence.as_ref(), &self.cluster.keys(MARK));
        self.seen.insert("a backup was restored");
        self.note(0, "restore");
        self.claim_changed();
    }

    pub(super) fn end_trouble(&mut self) {
        self.calm = true;
        self.away_until = self.now;
        self.note(0, "calm");
        for at in 0..HOSTS {
            self.hosts[at].paused_until = self.now;
            if !self.hosts[at].up {
                self.after(at, 1, Action::Boot);
            }
        }
    }

    /// One leads, the others know, nothing promised is missing, all have seen
    /// everything.
    pub(super) fn check_calm(&mut self) {
        self.laws.kept(&self.cluster.keys(MARK));
        let fence = self.cluster.state.data.get(FENCE).expect("somebody led");
        let fence = Record::decode(&fence.value).unwrap();
        assert!(self.cluster.state.data.contains_key(CLAIM), "nobody claims to lead");
        let leaders: Vec<u64> = self.hosts.iter().filter_map(|host| host.token).collect();
        assert_eq!(leaders, [fence.token], "those who think that they lead");
        let newest = self.cluster.under(DATA);
        for host in &self.hosts {
            assert_eq!(host.asked.len(), 0, "{} has open commits", host.name);
            host.follower.check();
            assert!(host.follower.state == newest, "{} has not seen what there is", host.name);
        }
    }
}
