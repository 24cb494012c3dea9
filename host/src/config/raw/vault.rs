//! `[vault]`.

use super::tables;

tables! {
    /// The vault: secrets that `gristmill secret set NAME` stores, encrypted, in the state directory. `{ secret = "NAME" }`
    /// refers to one, wherever a secret belongs.
    struct RawVault {
        /// Where its key stands. Required. `gristmill secret key FILE` makes one.
        ///
        /// ```toml
        /// key = { credential = "vault-key" }
        /// ```
        ///
        /// Or a file that its owner alone can read:
        ///
        /// ```text
        /// key = { file = "/etc/gristmill/vault.key" }
        /// ```
        key: RawVaultKey,
    }

    /// Where the vault's key stands: exactly one of these keys.
    struct RawVaultKey {
        /// The name of a systemd credential, which the unit loads with `LoadCredentialEncrypted=`.
        credential: String,
        /// The absolute path of a file that its owner alone can read.
        file: String,
    }
}
