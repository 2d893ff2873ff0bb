//! Random names and secrets.

use sha2::{Digest, Sha256};

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no random bytes: {0}")]
pub struct NoRandom(String);

/// `length` random letters and digits.
pub(crate) fn alphanumeric(length: usize) -> Result<String, NoRandom> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // Bytes above the last whole multiple of 62 would make some characters likelier than others.
        let fit = random::<64>()?.into_iter().filter(|byte| *byte < 248);
        text.extend(fit.take(length - text.len()).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(text)
}

/// A POP's new token: 32 random bytes in hexadecimal.
pub(crate) fn token() -> Result<String, NoRandom> {
    Ok(hex::encode(random::<32>()?))
}

/// What is kept of a token.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| NoRandom(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_letters_and_digits_and_differ() {
        let (one, other) = (alphanumeric(32).unwrap(), alphanumeric(32).unwrap());
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
    }
}
