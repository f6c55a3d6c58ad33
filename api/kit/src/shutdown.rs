//! The one signal that the process stops, as tasks of the runtime wait for it. Never stops anything itself.

use std::sync::Arc;

use tokio::sync::watch;

/// Cloneable; every clone sees the same signal.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// Not stopping.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// The process stops from now on.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Ends when the process stops.
    pub async fn begun(&self) {
        // OK because the sender lives as long as this clone of it.
        let _ = self.0.subscribe().wait_for(|&stopping| stopping).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
