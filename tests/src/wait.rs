//! Owns time in the tests: one runtime for all cases, a limit for each, and waiting for a condition.
//!
//! It must not offer a plain sleep: a case that waits says what for.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// Longer than any case takes on a loaded machine of two cores, and short enough to name the case that hangs.
const CASE_LIMIT: Duration = Duration::from_secs(120);

/// How often a condition is looked at again.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// Outlives every case, so that proxies and upstreams can be shared between them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    say_why_tasks_fail();
    Builder::new_multi_thread().worker_threads(2).thread_name(TASKS).enable_all().build().expect("a runtime for the tests")
});

/// The name of the threads that run what cases spawn.
const TASKS: &str = "tasks of cases";

/// The test harness keeps what a thread prints for the case that started the thread. The runtime's threads serve all cases, so what made
/// a task fail would be kept with the first case, which passed, and shown to nobody: it is written past the harness.
fn say_why_tasks_fail() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(TASKS) {
            let _ = writeln!(std::io::stderr(), "a task of a case failed: {panic}");
        } else {
            usual(panic);
        }
    }));
}

/// Runs one case to its end on the shared runtime; fails it after two minutes.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { timeout(CASE_LIMIT, case).await.unwrap_or_else(|_| panic!("the case did not end within {CASE_LIMIT:?}")) })
}

/// Spawns onto the shared runtime, from inside or outside of it.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    RUNTIME.spawn(task).abort_handle()
}

/// Looks again and again until `probe` yields a value; fails with `what` after `limit`.
pub async fn until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        sleep(PROBE_INTERVAL).await;
    }
}
