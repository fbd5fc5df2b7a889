//! Keys, signatures and ciphers of SNMPv3's User-based Security Model
//! (RFC 3414, RFC 3826, RFC 7860).

use aes::Aes128;
use cfb_mode::{Decryptor, Encryptor, cipher::KeyIvInit as _};
use hmac::Hmac;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::serveriron::{Auth, User};

/// What a password is stretched to before it is hashed (RFC 3414 section A.2).
const STRETCHED: usize = 1 << 20;

/// A user's keys at one engine.
#[derive(Debug)]
pub(super) struct Keys {
    auth: Auth,
    signing: Vec<u8>,
    /// The first 128 bits of the localized key (RFC 3826 section 1.2.1).
    privacy: Option<[u8; 16]>,
}

impl Keys {
    pub(super) fn new(user: &User, engine: &[u8]) -> Self {
        let localize = |password: &str| match user.auth {
            Auth::Sha1 => localized::<Sha1>(password, engine),
            Auth::Sha256 => localized::<Sha256>(password, engine),
        };
        let privacy = user.privacy_password.as_deref().map(localize);
        Self {
            auth: user.auth,
            signing: localize(&user.auth_password),
            privacy: privacy.and_then(|key| key.first_chunk().copied()),
        }
    }

    /// How long a signature is.
    pub(super) fn signature_length(&self) -> usize {
        match self.auth {
            Auth::Sha1 => 12,
            Auth::Sha256 => 24,
        }
    }

    pub(super) fn has_privacy(&self) -> bool {
        self.privacy.is_some()
    }

    /// Of a message in which the signature is zeros.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = match self.auth {
            Auth::Sha1 => mac::<Hmac<Sha1>>(&self.signing, message),
            Auth::Sha256 => mac::<Hmac<Sha256>>(&self.signing, message),
        };
        signature.truncate(self.signature_length());
        signature
    }

    /// Encrypts in place; `None` where the user has no such key.
    pub(super) fn encrypt(&self, nonce: &Nonce, text: &mut [u8]) -> Option<()> {
        let key = self.privacy.as_ref()?;
        Encryptor::<Aes128>::new(key.into(), &nonce.vector().into()).encrypt(text);
        Some(())
    }

    /// Decrypts in place; `None` where the user has no such key.
    pub(super) fn decrypt(&self, nonce: &Nonce, text: &mut [u8]) -> Option<()> {
        let key = self.privacy.as_ref()?;
        Decryptor::<Aes128>::new(key.into(), &nonce.vector().into()).decrypt(text);
        Some(())
    }
}

/// What no two messages under one key may share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonce {
    pub(super) boots: u32,
    pub(super) time: u32,
    pub(super) salt: [u8; 8],
}

impl Nonce {
    /// RFC 3826 section 3.1.2.1.
    fn vector(&self) -> [u8; 16] {
        let mut vector = [0; 16];
        let parts = self.boots.to_be_bytes().into_iter().chain(self.time.to_be_bytes());
        for (to, from) in vector.iter_mut().zip(parts.chain(self.salt)) {
            *to = from;
        }
        vector
    }
}

/// RFC 3414 section A.2 and section 2.6.
fn localized<D: Digest>(password: &str, engine: &[u8]) -> Vec<u8> {
    let stretched: Vec<u8> = password.bytes().cycle().take(STRETCHED).collect();
    let key = D::digest(stretched);
    D::digest([&key, engine, &key].concat()).to_vec()
}

fn mac<M: hmac::Mac + hmac::KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let Ok(mac) = <M as hmac::KeyInit>::new_from_slice(key) else { return Vec::new() };
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::{Sha1, localized};

    /// RFC 3414 section A.3.2.
    #[test]
    fn a_password_becomes_the_key_of_the_standard() {
        let engine = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        let key = localized::<Sha1>("maplesyrup", &engine);
        let expected = [
            0x66, 0x95, 0xfe, 0xbc, 0x92, 0x88, 0xe3, 0x62, 0x82, 0x23, 0x5f, 0xc7, 0x15, 0x1f,
            0x12, 0x84, 0x97, 0xb3, 0x8f, 0x3f,
        ];
        assert_eq!(key, expected);
    }
}
