//! The answer to a symbol that nothing is called, with those that may have been meant.
//!
//! Looks at all symbols once in a request at the most; changes nothing.

use book::Nanos;

use crate::ids::ClientId;
use crate::websocket::requests::{Context, Refusal};
use crate::websocket::shard::Shard;

/// Names of an answer at the most, as many as REST gives.
const NEAR_NAMES_MAX: usize = 5;

impl Shard {
    /// Refuses `name`. `may_look`: no name of this request was looked for yet.
    pub(super) fn refuse_symbol(
        &mut self,
        client: ClientId,
        context: &Context,
        time_in_ns: Nanos,
        name: &str,
        may_look: &mut bool,
    ) {
        let short: String = name.chars().take(32).collect();
        let message = format!("no symbol {short}; see /api/v1/market-data/symbols");
        let mut refusal = Refusal::new("SYMBOL_NOT_FOUND", message);
        if std::mem::take(may_look) {
            refusal.near = self.market.near(name, NEAR_NAMES_MAX);
        }
        self.refuse(client, context, time_in_ns, &refusal, Some(name));
    }
}
