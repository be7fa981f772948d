//! Owns the judgement of what is asked of request signatures.

use super::{Compiler, is_token, quoted};
use crate::config::document as doc;
use crate::signature::{Rules, Signing};
use crate::time::SECOND;

/// The most components that can be asked for.
const MOST_COMPONENTS: usize = 16;

impl Compiler<'_> {
    pub(super) fn signature(&mut self, path: &str, signature: &doc::Signature) -> Rules {
        const DERIVED: [&str; 7] = ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];
        let components = &signature.components;
        if components.len() > MOST_COMPONENTS {
            self.problem(format!("{path}.components"), format!("{} components", components.len()), format!("at most {MOST_COMPONENTS}"));
        }
        for (position, name) in components.iter().enumerate() {
            let header = is_token(name) && name.len() <= 64 && !name.bytes().any(|byte| byte.is_ascii_uppercase());
            if !header && !DERIVED.contains(&name.as_str()) {
                self.problem(
                    format!("{path}.components[{position}]"),
                    quoted(name),
                    format!("a header's name in lower case, or one of `{}`", DERIVED.join("`, `")),
                );
            }
        }
        let tag = signature.tag.clone();
        if let Some(tag) = tag.as_deref().filter(|tag| !(1..=128).contains(&tag.len()) || !tag.bytes().all(is_plain)) {
            self.problem(format!("{path}.tag"), quoted(tag), "1 to 128 printable ASCII characters, none of them `\"` or `\\`");
        }
        let forms = signature.forms.as_deref().unwrap_or(&[doc::SignatureForm::Rfc9421]);
        let cavage = forms.contains(&doc::SignatureForm::Cavage);
        if !forms.contains(&doc::SignatureForm::Rfc9421) {
            self.problem(format!("{path}.forms"), "a list without `rfc9421`", "`rfc9421`, alone or with `cavage`");
        }
        if cavage && tag.is_some() {
            self.problem(format!("{path}.forms"), "`cavage` where a `tag` is asked for", "`rfc9421` alone: the draft has no tag");
        }
        let mesh = signature.replay == doc::Replay::Mesh;
        if mesh && !self.has_backend {
            self.problem(
                format!("{path}.replay"),
                "`mesh` without a `backend`",
                "`node`, or a `backend` that knows what was used elsewhere",
            );
        }
        let seconds = |nanos: Option<u64>| nanos.unwrap_or(SECOND) / SECOND;
        Rules {
            components: components.clone().into(),
            max_age: seconds(self.span(&format!("{path}.max_age"), signature.max_age.as_deref(), "5m", SECOND, 3_600 * SECOND)),
            clock_skew: seconds(self.span(&format!("{path}.clock_skew"), signature.clock_skew.as_deref(), "10s", 0, 300 * SECOND)),
            tag,
            nonce: signature.nonce == doc::Nonce::Required,
            checks_body: signature.body == doc::SignedBody::Check,
            mesh,
            cavage,
        }
    }

    pub(super) fn signing(&mut self, path: &str, signing: &doc::Signing) -> Option<Signing> {
        let secret = self.secret(&format!("{path}.secret"), &signing.secret)?;
        Some(Signing { secret, required: signing.required })
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}
