//! Owns the word that the process is to end. Must not know who gives it or what it ends.

use tokio::sync::watch;

/// Gives the word. Dropping it gives it too.
#[derive(Debug)]
pub struct End(watch::Sender<bool>);

/// Hears it.
#[derive(Clone, Debug)]
pub struct Ending(watch::Receiver<bool>);

/// Both ends.
#[must_use]
pub fn ending() -> (End, Ending) {
    let (sender, receiver) = watch::channel(false);
    (End(sender), Ending(receiver))
}

impl End {
    /// The process is to end.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Ending {
    /// Whether the word has been given.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it has.
    pub async fn begun(&mut self) {
        // An error: whoever gives the word is gone.
        let _ = self.0.wait_for(|ending| *ending).await;
    }
}
