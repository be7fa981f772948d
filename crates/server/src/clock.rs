//! Owns wall-clock time: what an instant is, how it is written, and where it is read. Must not wait for anything.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::Instant;

/// The last instant that RFC 3339 can write: the end of the year 9999.
const LAST: i64 = 253_402_300_799_999;

/// An instant: milliseconds since 1970, UTC. Its text is RFC 3339 in UTC with seconds; a fraction is accepted and not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// The text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time from 1970 to 9999 as in RFC 3339, such as `2026-01-14T00:00:00Z`")]
pub struct TimeError;

/// Reads the time. The store asks it, so that all times in it come from one clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Time;

    /// Milliseconds that have passed since some moment, however the clock is set meanwhile.
    fn passed(&self) -> u64;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still until it is moved: for tests. Clones share the time.
#[derive(Clone, Debug)]
pub struct FakeClock {
    now: Arc<AtomicI64>,
    passed: Arc<AtomicI64>,
}

// === impl Time ===

impl Time {
    /// The instant `millis` milliseconds after 1970 began; held to 1970 and 9999.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 {
            0
        } else if millis > LAST {
            LAST
        } else {
            millis
        })
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The instant so much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(LAST)))
    }

    /// The instant so much earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(LAST)))
    }

    /// The time from `earlier` to `self`; none if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = jiff::Timestamp::from_second(self.0.div_euclid(1000)).unwrap_or_default();
        timestamp.fmt(formatter)
    }
}

impl std::str::FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let millis = text.parse::<jiff::Timestamp>().map_err(|_| TimeError)?.as_millisecond();
        if (0..=LAST).contains(&millis) { Ok(Self(millis)) } else { Err(TimeError) }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples([serde_json::json!("2026-01-14T00:00:00Z")])
            .into()
    }
}

impl utoipa::ToSchema for Time {}

// === impl Clock ===

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::default().after(std::time::UNIX_EPOCH.elapsed().unwrap_or_default())
    }

    fn passed(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::SeqCst))
    }

    fn passed(&self) -> u64 {
        u64::try_from(self.passed.load(Ordering::SeqCst)).unwrap_or(0)
    }
}

impl FakeClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn at(time: Time) -> Self {
        Self { now: Arc::new(AtomicI64::new(time.millis())), passed: Arc::new(AtomicI64::new(0)) }
    }

    /// Moves it on.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().after(duration));
        self.passed.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets it, without that time passes.
    pub fn set(&self, time: Time) {
        self.now.store(time.millis(), Ordering::SeqCst);
    }
}
