//! Owns the rows of nonces that nodes have taken. Must not know what is signed with them.

use super::{Reader, StoreError, Write};
use crate::clock::Time;

/// Forgets nonces that have ended, as many as that at most.
pub(crate) async fn forget(write: &mut Write, most: u32) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM nonces WHERE sha256 IN (SELECT sha256 FROM nonces WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)");
    query.bind(write.now()).bind(most).execute(write.connection()).await?;
    Ok(())
}

/// Takes a nonce; whether nobody has it.
pub(crate) async fn take(write: &mut Write, sha256: &[u8; 32], ends_at: Time) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO nonces (sha256, ends_at) VALUES (?1, ?2) \
         ON CONFLICT (sha256) DO UPDATE SET ends_at = ?2 WHERE nonces.ends_at <= ?3",
    );
    let query = query.bind(sha256.as_slice()).bind(ends_at).bind(write.now());
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

/// How many there are.
pub(crate) async fn count(write: &mut Write) -> Result<u32, StoreError> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM nonces").fetch_one(write.connection()).await?)
}
