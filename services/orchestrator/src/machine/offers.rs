//! Uses offers: asks for them when something waits, launches what fits, and
//! remembers why the rest did not.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_api::marathon::v2::queue::{
    OfferAttribute, OfferResource, OfferSummary, Range, RejectCount, RejectReason, UnusedOffer,
};
use karman_api::marathon::v2::time;
use karman_api::mesos::v1::{self, TaskInfo};
use karman_model::quantity::Quantity;
use karman_model::time::Timestamp;

use crate::instance::Placement;
use crate::launch;
use crate::matcher::ports::PortNeed;
use crate::matcher::{self, Launch, Need, Offer, Report};

use super::service::{Service, Spec, site};
use super::timers::Timer;
use super::{Core, LAUNCH_TIMEOUT, REFUSE_SECONDS, calls};

/// Unused offers kept for each app that waits.
const UNUSED_OFFERS_MAX: usize = 20;

impl Core {
    /// An OFFERS event.
    pub fn offers(&mut self, now: Timestamp, wire: &[v1::Offer]) {
        let offers: Vec<Offer> = wire.iter().map(Offer::from_wire).collect();
        let seed = self.random.number();
        let solution = {
            let demand = self.demand(now);
            let needs: Vec<Need<'_>> =
                demand.iter().map(|(service, spec)| need(service, spec)).collect();
            let mut random = super::random::Random::new(seed);
            matcher::solve(&offers, &needs, &mut || random.number())
        };
        let mut tasks: BTreeMap<usize, Vec<TaskInfo>> = BTreeMap::new();
        for launched in &solution.launches {
            if let Some(task) = self.launch(now, launched, offers.get(launched.offer)) {
                tasks.entry(launched.offer).or_default().push(task);
                self.moved(&launched.app);
            }
        }
        for (app, report) in &solution.reports {
            self.remember(now, app, report, wire);
        }
        let waiting = !self.demand(now).is_empty();
        let unused = offers.iter().enumerate().filter(|(i, _)| !tasks.contains_key(i));
        let unused: Vec<String> = unused.map(|(_, offer)| offer.id.clone()).collect();
        for (i, tasks) in tasks {
            self.out
                .calls
                .extend(offers.get(i).map(|offer| calls::accept(&offer.id, tasks, REFUSE_SECONDS)));
        }
        if !unused.is_empty() {
            self.out.calls.push(calls::decline(unused, REFUSE_SECONDS));
        }
        if !waiting && !self.suppressed {
            self.suppressed = true;
            self.out.calls.push(calls::suppress());
        }
        self.settle(now);
    }

    /// Apps that may launch now, and what.
    fn demand(&self, now: Timestamp) -> Vec<(&Service, &Arc<Spec>)> {
        let services = self.waiting.iter().filter_map(|app| self.services.get(app));
        services
            .filter(|service| service.backoff.permits(now) && service.scheduled().next().is_some())
            .filter_map(|service| Some((service, service.active.as_ref()?)))
            .collect()
    }

    /// Takes refusals back as soon as something new waits.
    pub(super) fn ask_for_offers(&mut self, now: Timestamp) {
        if !self.connected || !self.revive_wanted {
            return;
        }
        if !self.demand(now).is_empty() {
            self.revive_wanted = false;
            self.suppressed = false;
            self.out.calls.push(calls::revive());
        }
    }

    /// A task of the app came or went: where its others may be depends on that
    /// if it has constraints.
    pub(super) fn moved(&mut self, app: &str) {
        let is_waiting = |service: &Service| service.scheduled().next().is_some();
        let constrained =
            |service: &Service| service.active.iter().any(|spec| !spec.constraints.is_empty());
        if self.services.get(app).is_some_and(|it| constrained(it) && is_waiting(it)) {
            self.revive_wanted = true;
        }
    }

    fn launch(
        &mut self,
        now: Timestamp,
        launched: &Launch,
        offer: Option<&Offer>,
    ) -> Option<TaskInfo> {
        let site = offer?.site();
        let placement = Placement {
            agent_id: site.agent_id,
            host: site.host,
            region: site.region,
            zone: site.zone,
            attributes: site.attributes,
            ports: launched.ports.clone(),
        };
        let spec = Arc::clone(self.services.get(&launched.app)?.active.as_ref()?);
        let mut task = None;
        self.change(&launched.instance, |instance| {
            instance.provision(now, placement.clone(), spec.version, spec.config);
            task = Some(launch::task(&spec.app, instance, &placement));
        });
        self.timers.insert((now + LAUNCH_TIMEOUT, Timer::Launch(launched.instance.clone())));
        self.dirty.insert(launched.app.clone());
        task
    }

    fn remember(&mut self, now: Timestamp, app: &str, report: &Report, wire: &[v1::Offer]) {
        let Some(service) = self.services.get_mut(app) else { return };
        let at = time::format(now.as_ms());
        let summary = &mut service.queue.summary;
        let (used, refused) = (report.used.len() as u64, report.refused.len() as u64);
        summary.processed_offers_count += used + refused;
        summary.unused_offers_count += refused;
        if used > 0 {
            summary.last_used_offer_at = Some(at.clone());
        }
        if refused == 0 {
            return;
        }
        summary.last_unused_offer_at = Some(at.clone());
        summary.reject_summary_last_offers = funnel(report);
        add_up(&mut summary.reject_summary_launch_attempt, &summary.reject_summary_last_offers);
        let unused = report.refused.iter().filter_map(|(i, reason)| {
            Some(UnusedOffer {
                offer: describe(wire.get(*i)?),
                reason: vec![*reason],
                timestamp: at.clone(),
            })
        });
        service.queue.unused = unused.take(UNUSED_OFFERS_MAX).collect();
        self.out.touched.insert(app.to_owned());
    }
}

fn need<'a>(service: &'a Service, spec: &'a Spec) -> Need<'a> {
    let app = &spec.app;
    let amount = |value: f64| Quantity::from_f64(value).unwrap_or_default();
    let port = |port: u16| {
        if app.require_ports && port != 0 { PortNeed::Exactly(port) } else { PortNeed::Any }
    };
    let launched = service.instances.values().filter(|instance| instance.condition.is_launched());
    Need {
        app: &app.id,
        instances: service.scheduled().map(|instance| instance.id.as_str()).collect(),
        cpus: amount(app.cpus),
        mem: amount(app.mem),
        disk: amount(app.disk),
        ports: app.port_definitions.iter().map(|definition| port(definition.port)).collect(),
        constraints: &spec.constraints,
        neighbours: launched.filter_map(site).collect(),
    }
}

/// Each reason with how many offers came that far and how many it refused.
fn funnel(report: &Report) -> Vec<RejectCount> {
    let mut left = (report.used.len() + report.refused.len()) as u64;
    let mut counts = Vec::new();
    for reason in RejectReason::ALL {
        let declined = report.refused.values().filter(|one| **one == reason).count() as u64;
        counts.push(RejectCount { reason, declined, processed: left });
        left -= declined;
    }
    counts
}

fn add_up(total: &mut Vec<RejectCount>, more: &[RejectCount]) {
    if total.is_empty() {
        total.extend_from_slice(more);
        return;
    }
    for (total, more) in total.iter_mut().zip(more) {
        total.declined += more.declined;
        total.processed += more.processed;
    }
}

fn describe(offer: &v1::Offer) -> OfferSummary {
    let resource = |resource: &v1::Resource| OfferResource {
        name: resource.name.clone(),
        role: resource
            .reservations
            .last()
            .and_then(|one| one.role.clone())
            .unwrap_or_else(|| "*".into()),
        scalar: resource.scalar.as_ref().map(|scalar| scalar.value),
        ranges: resource.ranges.as_ref().map(|ranges| {
            ranges.range.iter().map(|range| Range { begin: range.begin, end: range.end }).collect()
        }),
    };
    let attribute = |attribute: &v1::Attribute| OfferAttribute {
        name: attribute.name.clone(),
        text: attribute.text.as_ref().map(|text| text.value.clone()),
    };
    OfferSummary {
        id: offer.id.value.clone(),
        hostname: offer.hostname.clone(),
        agent_id: offer.agent_id.value.clone(),
        resources: offer.resources.iter().map(resource).collect(),
        attributes: offer.attributes.iter().map(attribute).collect(),
    }
}
