//! Access tokens: JWT (RFC 7519) signed with EdDSA (RFC 8037), and the keys that sign them.
//!
//! The algorithm comes from here and never from a token. A header with anything but `alg`, `kid` and `typ` is refused, so
//! that no `jwk`, `jku`, `x5u` or `crit` is ever looked at. Never decides whether a session still stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_kit::auth::Refusal;
use arc_swap::ArcSwap;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::error::{Result, UsersError};

pub mod keys;

use keys::SigningKey;

/// `use` of an access token.
const ACCESS: &str = "access";

/// A token from the future by more than this is not ours.
const SKEW_S: i64 = 60;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    /// The user's roles at the time of issue, for other services to show; doors read the stored ones.
    pub roles: Vec<String>,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Ends at, Unix seconds.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
    /// What it is for.
    #[serde(rename = "use")]
    pub purpose: String,
}

/// The only header that is taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    kid: String,
    typ: Option<String>,
}

/// Makes tokens and knows them again.
pub struct Tokens {
    issuer: String,
    audience: String,
    life_s: i64,
    keys: ArcSwap<Keys>,
    validation: Validation,
}

struct Keys {
    signs: (String, EncodingKey),
    verify: BTreeMap<String, DecodingKey>,
    jwks: Arc<serde_json::Value>,
}

impl Tokens {
    /// Tokens of `issuer` for `audience`, signed by the newest of `keys` and known by all of them.
    ///
    /// # Errors
    /// There is no key, or one is damaged.
    pub fn new(issuer: &str, audience: &str, life_s: i64, keys: &[SigningKey]) -> Result<Self> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Against the clock that is handed in, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let keys = ArcSwap::from_pointee(Keys::new(keys)?);
        Ok(Self { issuer: issuer.to_owned(), audience: audience.to_owned(), life_s, keys, validation })
    }

    /// Signs and verifies by other keys from now on.
    ///
    /// # Errors
    /// There is no key, or one is damaged.
    pub fn replace_keys(&self, keys: &[SigningKey]) -> Result<()> {
        self.keys.store(Arc::new(Keys::new(keys)?));
        Ok(())
    }

    /// The public keys (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Arc<serde_json::Value> {
        Arc::clone(&self.keys.load().jwks)
    }

    /// Life of a token, seconds.
    #[must_use]
    pub const fn life_s(&self) -> i64 {
        self.life_s
    }

    /// An access token of a session.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn access(&self, user_id: &str, session_id: &str, roles: Vec<String>, now_ms: i64) -> Result<String> {
        let iat = now_ms / 1_000;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user_id.to_owned(),
            sid: session_id.to_owned(),
            roles,
            iat,
            exp: iat + self.life_s,
            jti: uuid::Uuid::now_v7().to_string(),
            purpose: ACCESS.to_owned(),
        };
        let keys = self.keys.load();
        let header = Header { kid: Some(keys.signs.0.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &keys.signs.1).map_err(|error| fault(format!("a token cannot be signed: {error}")))
    }

    /// What a good access token says.
    ///
    /// # Errors
    /// Why it is none.
    pub fn verify(&self, token: &str, now_ms: i64) -> std::result::Result<Claims, Refusal> {
        let header = strict_header(token)?;
        let keys = self.keys.load();
        let key = keys.verify.get(&header.kid).ok_or(Refusal::Signature)?;
        let claims = decode::<Claims>(token, key, &self.validation).map_err(|error| refusal(error.kind()))?.claims;
        let now_s = now_ms / 1_000;
        let is_ours =
            claims.purpose == ACCESS && claims.exp - claims.iat <= self.life_s && claims.iat <= now_s + SKEW_S;
        if !is_ours {
            return Err(Refusal::Claims);
        }
        if claims.exp <= now_s { Err(Refusal::Expired) } else { Ok(claims) }
    }
}

/// The header of a token, when it is one that this platform writes.
fn strict_header(token: &str) -> std::result::Result<StrictHeader, Refusal> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    if signature.is_empty() {
        return Err(Refusal::Signature);
    }
    let header = BASE64URL_NOPAD.decode(header.as_bytes()).map_err(|_| Refusal::Malformed)?;
    let header: StrictHeader = serde_json::from_slice(&header).map_err(|_| Refusal::Malformed)?;
    let is_ours = header.alg == "EdDSA" && header.typ.as_deref().is_none_or(|typ| typ == "JWT");
    if is_ours { Ok(header) } else { Err(Refusal::Signature) }
}

fn refusal(kind: &jsonwebtoken::errors::ErrorKind) -> Refusal {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => Refusal::Malformed,
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Refusal::Signature,
        _ => Refusal::Claims,
    }
}

impl Keys {
    fn new(keys: &[SigningKey]) -> Result<Self> {
        let newest =
            keys.iter().max_by_key(|key| key.created_ms).ok_or_else(|| fault("there is no signing key".into()))?;
        let signs = (newest.kid.clone(), newest.encoding());
        let verify = keys.iter().map(|key| Ok((key.kid.clone(), key.decoding()?))).collect::<Result<_>>()?;
        let jwks = serde_json::json!({ "keys": keys.iter().map(SigningKey::jwk).collect::<Vec<_>>() });
        Ok(Self { signs, verify, jwks: Arc::new(jwks) })
    }
}

fn fault(text: String) -> UsersError {
    UsersError::Store(api_store::StoreError::Fault(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_796_000_000_000;

    fn tokens() -> (Tokens, SigningKey) {
        let key = SigningKey::generate(NOW_MS, NOW_MS + 1).unwrap();
        (Tokens::new("bist", "bist", 900, std::slice::from_ref(&key)).unwrap(), key)
    }

    fn access(tokens: &Tokens) -> String {
        tokens.access("u1", "s1", vec!["trader".to_owned()], NOW_MS).unwrap()
    }

    /// The claims of `token`, changed and signed with `key`.
    fn signed(key: &SigningKey, token: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let mut claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        change(&mut claims);
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key.encoding()).unwrap()
    }

    #[test]
    fn a_token_is_known_until_it_ends() {
        let (tokens, _) = tokens();
        let token = access(&tokens);
        let claims = tokens.verify(&token, NOW_MS + 899_000).unwrap();
        assert_eq!((claims.sub.as_str(), claims.sid.as_str(), claims.exp - claims.iat), ("u1", "s1", 900));
        assert_eq!(tokens.verify(&token, NOW_MS + 900_000), Err(Refusal::Expired));
    }

    #[test]
    fn a1_tokens_other_headers_are_refused_unread() {
        let (tokens, key) = tokens();
        let token = access(&tokens);
        let parts: Vec<&str> = token.split('.').collect();
        let with_header = |header: serde_json::Value| {
            format!("{}.{}.{}", BASE64URL_NOPAD.encode(header.to_string().as_bytes()), parts[1], parts[2])
        };
        let kid = &key.kid;
        for header in [
            serde_json::json!({ "alg": "none", "kid": kid }),
            serde_json::json!({ "alg": "None", "kid": kid }),
            serde_json::json!({ "alg": "HS256", "kid": kid }),
            serde_json::json!({ "alg": "RS256", "kid": kid }),
            serde_json::json!({ "alg": "ES256", "kid": kid }),
            serde_json::json!({ "alg": "EdDSA" }),
            serde_json::json!({ "alg": "EdDSA", "kid": "../../etc/passwd" }),
            serde_json::json!({ "alg": "EdDSA", "kid": "' OR 1=1 --" }),
            serde_json::json!({ "alg": "EdDSA", "kid": "k".repeat(10_000) }),
            serde_json::json!({ "alg": "EdDSA", "kid": kid, "jku": "https://evil.example" }),
            serde_json::json!({ "alg": "EdDSA", "kid": kid, "x5u": "https://evil.example" }),
            serde_json::json!({ "alg": "EdDSA", "kid": kid, "jwk": key.jwk() }),
            serde_json::json!({ "alg": "EdDSA", "kid": kid, "crit": ["x"] }),
            serde_json::json!({ "alg": "EdDSA", "kid": kid, "typ": "JWE" }),
        ] {
            assert!(tokens.verify(&with_header(header.clone()), NOW_MS).is_err(), "{header}");
        }
    }

    #[test]
    fn a1_tokens_other_bytes_are_refused() {
        let (tokens, _) = tokens();
        let token = access(&tokens);
        let parts: Vec<&str> = token.split('.').collect();
        for at in (0..token.len()).filter(|&at| token.as_bytes()[at] != b'.') {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of a part may carry bits that do not count; then it must not decode either.
            assert!(tokens.verify(&changed, NOW_MS).is_err(), "byte {at}");
        }
        let zero = BASE64URL_NOPAD.encode(&[0; 64]);
        for changed in [
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{zero}", parts[0], parts[1]),
            format!("{token}="),
            format!("{token}\n"),
            format!("{token}.{}.{}", parts[0], parts[1]),
            "a".repeat(1 << 20),
            String::new(),
        ] {
            assert!(tokens.verify(&changed, NOW_MS).is_err());
        }
    }

    #[test]
    fn a1_tokens_other_claims_are_refused() {
        let (tokens, key) = tokens();
        let token = access(&tokens);
        assert!(tokens.verify(&signed(&key, &token, |_| {}), NOW_MS).is_ok());
        type Change = fn(&mut serde_json::Value);
        let changes: [Change; 15] = [
            |claims| claims["iss"] = "evil".into(),
            |claims| drop(claims.as_object_mut().unwrap().remove("iss")),
            |claims| claims["aud"] = "evil".into(),
            |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
            |claims| drop(claims.as_object_mut().unwrap().remove("sub")),
            |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
            |claims| claims["exp"] = "1796000900".into(),
            |claims| claims["exp"] = serde_json::json!(1u64 << 63),
            |claims| claims["exp"] = 4_000_000_000i64.into(),
            |claims| claims["exp"] = 1.into(),
            |claims| claims["iat"] = 1_796_090_000i64.into(),
            |claims| claims["nbf"] = 1_896_090_000i64.into(),
            |claims| claims["use"] = "refresh".into(),
            |claims| claims["admin"] = true.into(),
            |claims| claims["aud"] = serde_json::json!(["bist", "evil"]),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert!(tokens.verify(&signed(&key, &token, change), NOW_MS).is_err(), "change {at}");
        }
        let mut other = SigningKey::generate(NOW_MS, NOW_MS + 1).unwrap();
        other.kid.clone_from(&key.kid);
        assert_eq!(tokens.verify(&signed(&other, &token, |_| {}), NOW_MS), Err(Refusal::Signature));
    }

    #[test]
    fn old_keys_verify_and_the_newest_signs() {
        let (tokens, key) = tokens();
        let token = access(&tokens);
        let newer = SigningKey::generate(NOW_MS + 5, NOW_MS + 9).unwrap();
        tokens.replace_keys(&[key.clone(), newer.clone()]).unwrap();
        assert!(tokens.verify(&token, NOW_MS).is_ok());
        assert_eq!(strict_header(&access(&tokens)).unwrap().kid, newer.kid);
        assert_eq!(tokens.jwks()["keys"].as_array().unwrap().len(), 2);
        tokens.replace_keys(&[newer]).unwrap();
        assert_eq!(tokens.verify(&token, NOW_MS), Err(Refusal::Signature));
    }

    #[test]
    fn the_published_key_verifies_what_we_sign() {
        let (tokens, _) = tokens();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(tokens.jwks()["keys"][0].clone()).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        assert!(decode::<Claims>(access(&tokens), &key, &tokens.validation).is_ok());
    }
}
