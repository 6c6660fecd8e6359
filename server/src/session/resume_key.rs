//! Resume keys: a client id that only this server can have vouched for. Nothing is stored.

use arqonbus_protocol::{ClientId, UserId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of the code in a key.
const CODE_BYTES: usize = 16;

/// Makes and checks resume keys.
pub(crate) struct ResumeKeys {
    mac: Hmac<Sha256>,
}

impl ResumeKeys {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { mac: Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length") }
    }

    /// The key that restores `client`, for the same user.
    pub(crate) fn issue(&self, client: &ClientId, user: Option<&UserId>) -> String {
        let code = self.over(client, user).finalize().into_bytes();
        let hex: String = code[..CODE_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{client}.{hex}")
    }

    /// The client id that `key` restores for `user`, where it was issued here.
    pub(crate) fn redeem(&self, key: &str, user: Option<&UserId>) -> Option<ClientId> {
        let (client, hex) = key.split_once('.')?;
        let client: ClientId = client.parse().ok()?;
        if hex.len() != 2 * CODE_BYTES || !hex.is_ascii() {
            return None;
        }
        let code: Vec<u8> = (0..CODE_BYTES).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16)).collect::<Result<_, _>>().ok()?;
        self.over(&client, user).verify_truncated_left(&code).ok().map(|()| client)
    }

    fn over(&self, client: &ClientId, user: Option<&UserId>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(client.as_bytes());
        mac.update(b"\0");
        mac.update(user.map_or(&[], UserId::as_bytes));
        mac
    }
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
        let forged = key.replace(client.as_str(), ClientId::client(2).as_str());
        for bad in ["", ".", "c_aaaaaaaa.", "c_aaaaaaaa.zz", &forged, &key[..key.len() - 2], &format!("{key}00"), "é.é"] {
            assert_eq!(keys.redeem(bad, Some(&ada)), None, "{bad}");
        }
    }
}
