//! Resume keys: a client id that only this server can have vouched for. Nothing is stored.

use std::sync::{PoisonError, RwLock};

use arqonbus_protocol::{ClientId, UserId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of the code in a key.
const CODE_BYTES: usize = 16;

/// Makes and checks resume keys.
pub(crate) struct ResumeKeys {
    /// By the present secret, then by those before it.
    macs: RwLock<Vec<Hmac<Sha256>>>,
}

/// Secrets whose keys are still taken: the present one, and what this node had before it learnt those of others.
const SECRETS_MAX: usize = 3;

impl ResumeKeys {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { macs: RwLock::new(vec![mac(&secret)]) }
    }

    /// Makes keys by this secret from now on: the one that all nodes share.
    pub(crate) fn adopt(&self, secret: &[u8]) {
        let mut macs = self.macs.write().unwrap_or_else(PoisonError::into_inner);
        macs.insert(0, mac(secret));
        macs.truncate(SECRETS_MAX);
    }

    /// The key that restores `client`, for the same user.
    pub(crate) fn issue(&self, client: &ClientId, user: Option<&UserId>) -> String {
        let mac = self.macs.read().unwrap_or_else(PoisonError::into_inner)[0].clone();
        let code = over(mac, client, user).finalize().into_bytes();
        let hex: String = code[..CODE_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{client}.{hex}")
    }

    /// The client id that `key` restores for `user`, where it was issued by a secret that this server knows.
    pub(crate) fn redeem(&self, key: &str, user: Option<&UserId>) -> Option<ClientId> {
        let (client, hex) = key.split_once('.')?;
        let client: ClientId = client.parse().ok()?;
        if hex.len() != 2 * CODE_BYTES || !hex.is_ascii() {
            return None;
        }
        let code: Vec<u8> = (0..CODE_BYTES).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16)).collect::<Result<_, _>>().ok()?;
        let macs = self.macs.read().unwrap_or_else(PoisonError::into_inner);
        macs.iter().any(|mac| over(mac.clone(), &client, user).verify_truncated_left(&code).is_ok()).then_some(client)
    }
}

fn mac(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes a key of any length")
}

fn over(mut mac: Hmac<Sha256>, client: &ClientId, user: Option<&UserId>) -> Hmac<Sha256> {
    mac.update(client.as_bytes());
    mac.update(b"\0");
    mac.update(user.map_or(&[], UserId::as_bytes));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_restores_its_client_for_its_user_and_nobody_else() {
        let keys = ResumeKeys::new([7; 32]);
        let (client, ada): (_, UserId) = (ClientId::client(1), "ada".parse().unwrap());
        let key = keys.issue(&client, Some(&ada));
        assert_eq!(keys.redeem(&key, Some(&ada)), Some(client));
        assert_eq!(keys.redeem(&key, None), None);
        assert_eq!(ResumeKeys::new([8; 32]).redeem(&key, Some(&ada)), None);
        keys.adopt(&[9; 32]);
        assert_eq!(keys.redeem(&key, Some(&ada)), Some(client), "a key from before is taken");
        assert_eq!(ResumeKeys::new([9; 32]).redeem(&keys.issue(&client, Some(&ada)), Some(&ada)), Some(client), "and new ones are taken elsewhere");
        let forged = key.replace(client.as_str(), ClientId::client(2).as_str());
        for bad in ["", ".", "c_aaaaaaaa.", "c_aaaaaaaa.zz", &forged, &key[..key.len() - 2], &format!("{key}00"), "é.é"] {
            assert_eq!(keys.redeem(bad, Some(&ada)), None, "{bad}");
        }
    }
}
