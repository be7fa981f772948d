//! Owns the group commit: asks that come while a transaction is under way go together in the next one. Must not judge them.
//!
//! A commit costs a write to the disk that is waited for, whether it holds one grant or a thousand.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::{SqlitePool, Transaction};
use tokio::sync::{Notify, mpsc, oneshot};

use super::super::StoreError;
use super::accounts::Accounts;
use super::batch::{self, Judged};
use super::rates::Rates;
use super::{Answered, Asked, Recalls};
use crate::clock::Clock;

/// Asks after which no more messages go in a transaction: enough that its commit no longer counts, and few enough that nobody waits long for
/// the others.
const MOST_TOGETHER: usize = 1_024;
/// Messages that wait for their turn; whoever comes later waits before that.
const MOST_WAITING: usize = 4_096;

/// Where asks are left.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Sender<Waiting>,
    closing: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    asked: Asked,
    answer: Answer,
}

/// Who waits for an answer.
type Answer = oneshot::Sender<Result<Answered, StoreError>>;

/// Who commits.
struct Committer {
    writer: SqlitePool,
    accounts: Accounts,
    rates: Rates,
    clock: Arc<dyn Clock>,
    recalls: Arc<Recalls>,
}

impl Queue {
    /// Starts to commit what is asked, until it is closed or dropped.
    pub(super) fn start(writer: SqlitePool, accounts: Accounts, clock: Arc<dyn Clock>, recalls: Arc<Recalls>) -> Self {
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        let closing = Arc::new(Notify::new());
        tokio::spawn(Committer { writer, accounts, rates: Rates::default(), clock, recalls }.run(waiting, Arc::clone(&closing)));
        Self { waiting: sender, closing }
    }

    /// What came of it, once that is durable.
    pub(super) async fn settle(&self, asked: Asked) -> Result<Answered, StoreError> {
        let closed = || StoreError::Unavailable("the ledger is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Waiting { asked, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Commits no more.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        self.waiting.closed().await;
    }
}

impl Committer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>, closing: Arc<Notify>) {
        loop {
            let first = tokio::select! {
                first = waiting.recv() => first,
                () = closing.notified() => None,
            };
            let Some(first) = first else { break };
            let mut count = first.asked.asks.len();
            let mut together = vec![first];
            while count < MOST_TOGETHER
                && let Ok(next) = waiting.try_recv()
            {
                count += next.asked.asks.len();
                together.push(next);
            }
            // Whoever has gone asks again, and need not be waited for by the others.
            together.retain(|waiting| !waiting.answer.is_closed());
            let (asked, answers): (Vec<Asked>, Vec<_>) = together.into_iter().map(|waiting| (waiting.asked, waiting.answer)).unzip();
            match self.commit(&asked).await {
                // What is broken for one must not be for the others, who would come together with it again and again.
                Err(StoreError::Broken(_)) if asked.len() > 1 => {
                    for (asked, answer) in asked.into_iter().zip(answers) {
                        let asked = [asked];
                        let committed = self.commit(&asked).await;
                        self.answer(&asked, vec![answer], committed);
                    }
                }
                committed => self.answer(&asked, answers, committed),
            }
        }
        self.accounts.close().await;
    }

    fn answer(&self, asked: &[Asked], answers: Vec<Answer>, committed: Result<(u64, Judged), StoreError>) {
        match committed {
            Ok((revision, judged)) => {
                count(asked, &judged);
                for (answer, answers) in answers.into_iter().zip(judged.answers) {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok(Answered { revision, answers }));
                }
                self.recalls.want(judged.news);
            }
            Err(error) => answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone())))),
        }
    }

    async fn commit(&mut self, asked: &[Asked]) -> Result<(u64, Judged), StoreError> {
        let asks = asked.iter().flat_map(|asked| &asked.asks).map(|ask| ask.consumer.as_str());
        let overages = asked.iter().filter_map(|asked| asked.overages.as_ref()).flat_map(|overages| &overages.units);
        let consumers: HashSet<&str> = asks.chain(overages.map(|overage| overage.consumer.as_str())).collect();
        let (revision, accounts) = self.accounts.of(&consumers).await?;
        let mut transaction = begin(&self.writer).await?;
        let now = self.clock.now();
        self.rates.tick(u64::try_from(now.millis()).unwrap_or(0), self.clock.passed());
        let judged = batch::judge(&mut transaction, asked, &accounts, &mut self.rates, now).await?;
        transaction.commit().await?;
        Ok((revision, judged))
    }
}

/// Begins to write, after those who asked before.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, sqlx::Sqlite>, StoreError> {
    Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
}

fn count(asked: &[Asked], judged: &Judged) {
    let asks: usize = asked.iter().map(|asked| asked.asks.len()).sum();
    metrics::counter!("tollgate_ledger_commits_total").increment(1);
    metrics::counter!("tollgate_ledger_asks_total").increment(u64::try_from(asks).unwrap_or(u64::MAX));
    metrics::counter!("tollgate_ledger_refused_total").increment(judged.refused);
    metrics::counter!("tollgate_ledger_granted_units_total").increment(judged.granted);
    if let Some(asked) = &judged.forgot {
        tracing::error!(
            asked,
            "a node was granted what the ledger does not know: no quota is granted from until its window ends or it is reopened"
        );
    }
}
