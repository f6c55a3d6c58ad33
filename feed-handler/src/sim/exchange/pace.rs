//! How much happens: decisions per second, so that the average rate of messages is the one that was asked for.

use super::Exchange;
use super::agenda::Event;

/// Steps of the rate control per wall second.
pub(super) const CONTROLS_PER_SECOND: u64 = 4;
/// The rate control makes up for a lag within about this many wall seconds.
const CONTROL_HORIZON_S: f64 = 8.0;
/// Messages that one decision of somebody leads to, all reactions included, until it is measured.
pub(super) const FIRST_MESSAGES_PER_DECISION: f64 = 4.2;
/// Seconds after the start of continuous trading in which activity is higher, and how it fades.
const OPENING_BURST_S: f64 = 120.0;
const OPENING_BURST_FADE_S: f64 = 7.5;

/// Keeps the average rate: the flow's own numbers of messages per decision are measured, not computed.
#[derive(Debug)]
pub(super) struct RateControl {
    /// Messages per exchange second, all shares.
    pub(super) target: f64,
    pub(super) planned: f64,
    pub(super) emitted: f64,
    pub(super) recent_messages: f64,
    pub(super) recent_decisions: f64,
    /// Fresh decisions per exchange second for a share of weight 1.
    pub(super) decisions: f64,
}

impl Exchange {
    pub(super) fn plan_fresh(&mut self, at: usize) {
        let per_second = self.control.decisions * self.profile();
        let book = &mut self.books[at];
        let per_second = per_second * book.weight * book.flow.excitement(self.now_ns);
        let wait_ns = book.flow.wait_ns(per_second);
        let number = book.phase_number;
        self.plan(self.now_ns + wait_ns, Event::Fresh(at as u16, number));
    }

    /// Activity after the opening against the average: a burst that fades, and as much less in the rest of two
    /// minutes. Smaller at high rates, which would otherwise start with several hundred thousand messages a second.
    fn profile(&self) -> f64 {
        let elapsed = self.now_ns.saturating_sub(self.schedule.continuous_ns) as f64 / 1e9;
        if elapsed >= OPENING_BURST_S || self.now_ns < self.schedule.continuous_ns {
            return 1.0;
        }
        let height = 4.0 * (4_000.0 / f64::from(self.config.rate)).min(1.0);
        1.0 - height * OPENING_BURST_FADE_S / OPENING_BURST_S + height * (-elapsed / OPENING_BURST_FADE_S).exp()
    }

    pub(super) fn on_control(&mut self) {
        let exchange_s = self.control_every_ns as f64 / 1e9;
        let wall_s = exchange_s / self.speed;
        self.common.pass(exchange_s, wall_s);
        let profile = self.profile();
        let control = &mut self.control;
        // A decision's messages keep coming for a while; the first seconds would tell too little of them.
        let fade = (-wall_s / 15.0).exp();
        let per_decision =
            (control.recent_messages + 20.0 * FIRST_MESSAGES_PER_DECISION) / (control.recent_decisions + 20.0);
        control.recent_messages *= fade;
        control.recent_decisions *= fade;
        let lag = (control.planned - control.emitted) / (control.target * CONTROL_HORIZON_S * self.speed);
        let gain = lag.clamp(-1.5, 1.5).exp();
        control.planned += control.target * profile * exchange_s;
        control.decisions = control.target / per_decision * gain * self.common.activity();
        if self.now_ns < self.schedule.closing_limits_ns {
            self.plan(self.now_ns + self.control_every_ns, Event::Control);
        }
    }
}
