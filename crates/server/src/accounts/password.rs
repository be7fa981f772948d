//! Owns what a password may be (NIST SP 800-63B, section 5.1.1.2): long enough, and nothing that everybody tries first. Must not keep one.

use std::collections::HashSet;

use crate::failure::Problems;
use crate::users::User;

/// The fewest and the most characters.
const LEAST: usize = 12;
const MOST: usize = 128;
/// Different characters that one has at least.
const LEAST_DIFFERENT: usize = 5;
/// Why one is refused that is long enough.
pub(super) const OBVIOUS: &str = "not one that is tried first: a common one, few different characters, or your own name or address";

/// Those of at least 12 characters that are found in stolen lists most often, in lower case.
const COMMON: [&str; 39] = [
    "111111111111",
    "112233445566",
    "123123123123",
    "1234567890-=",
    "1234567890ab",
    "1234567890qwe",
    "1234567890qwer",
    "1234567890qwertyuiop",
    "123456789012",
    "1234567891011",
    "123456789abc",
    "123456789qwe",
    "123qwe123qwe",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abcdefghijkl",
    "abcdefghijklm",
    "administrator",
    "admin1234567",
    "asdfghjkl123",
    "changemechangeme",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "letmeinletmein",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopasdfghjkl",
    "tollgatetollgate",
];

/// Notes what is wrong with a password.
pub(super) fn judge(problems: &mut Problems, field: &str, password: &str) {
    let length = password.chars().count();
    problems.check((LEAST..=MOST).contains(&length), field, format!("{length} characters; {LEAST} to {MOST}"));
    let different = password.chars().collect::<HashSet<_>>().len();
    let obvious = length >= LEAST && (different < LEAST_DIFFERENT || COMMON.contains(&password.to_lowercase().as_str()));
    problems.check(!obvious, field, OBVIOUS);
}

/// Whether a password is little more than the name or address of whoever chooses it.
pub(super) fn is_of(password: &str, user: &User) -> bool {
    let password = password.to_lowercase();
    let own = [Some(user.name.as_str()), user.email.as_deref(), user.email.as_deref().and_then(|email| email.split('@').next())];
    own.into_iter().flatten().map(str::to_lowercase).any(|own| own.chars().count() >= 4 && password.replace(&own, "").chars().count() < 6)
}

/// Whether anybody can have this one: what is longer is compared with nothing.
pub(super) fn may_be(password: &str) -> bool {
    password.chars().count() <= MOST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn is_right(password: &str) -> bool {
        let mut problems = Problems::default();
        judge(&mut problems, "password", password);
        match problems.finish() {
            Ok(()) => true,
            Err(Failure::Invalid { problems }) => {
                assert!(problems.iter().all(|problem| problem.reason.contains(password) == password.is_empty()), "it shows");
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_password_is_long_and_not_what_is_tried_first() {
        for right in ["a long sentence", "ünïcödé çharacters", "x7#kQ9!mZ2pL", &"abcde".repeat(25)] {
            assert!(is_right(right), "{right}");
        }
        for wrong in
            ["", "elevenchars", "aaaaaaaaaaaa", "abababababab", "PasswordPassword", "Correcthorsebatterystaple", &"abcde".repeat(26)]
        {
            assert!(!is_right(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_more_than_its_owner() {
        let time = crate::clock::Time::from_millis(0);
        let user = User {
            id: "usr_1".to_owned(),
            name: "Ada Lovelace".to_owned(),
            email: Some("countess@example.com".to_owned()),
            role: crate::permission::Role::Viewer,
            organisation: None,
            consumer: None,
            verified: true,
            disabled: false,
            version: 1,
            created_at: time,
            updated_at: time,
        };
        for wrong in ["ada lovelace", "Ada Lovelace1", "countess@example.com", "Countess1843"] {
            assert!(is_of(wrong, &user), "{wrong}");
        }
        assert!(!is_of("notes on the engine", &user));
    }
}
