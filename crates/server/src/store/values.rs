//! Owns how our values are columns. Must not know which columns there are.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteRow, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, FromRow, Row, Sqlite, Type};

use super::StoreError;
use crate::clock::Time;
use crate::permission::Role;
use crate::secrets::{Hash, KeyHashing};

/// A number as SQLite keeps it: there are no unsigned ones.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Broken(format!("{number} is too large to store")))
}

impl Type<Sqlite> for Time {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(info)
    }
}

impl Encode<'_, Sqlite> for Time {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode_by_ref(&self.millis(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Time {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::from_millis(<i64 as Decode<Sqlite>>::decode(value)?))
    }
}

impl Type<Sqlite> for Role {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<'r> Decode<'r, Sqlite> for Role {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Sqlite>>::decode(value)?;
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| format!("`{text}` is no role").into())
    }
}

impl Type<Sqlite> for KeyHashing {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<'r> Decode<'r, Sqlite> for KeyHashing {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Sqlite>>::decode(value)?;
        Self::ALL.into_iter().find(|hashing| hashing.name() == text).ok_or_else(|| format!("`{text}` is no hashing").into())
    }
}

impl FromRow<'_, SqliteRow> for Hash {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self { hashing: row.try_get("hashing")?, pepper: row.try_get("pepper")?, bytes: row.try_get("hash")? })
    }
}
