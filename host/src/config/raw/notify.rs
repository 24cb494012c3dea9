//! `[notify.NAME]`.

use super::{RawSecret, RawText, tables};

tables! {
    /// A webhook that is told, by a POST of JSON, of files that were merged in part or failed, of files that did not come,
    /// of integrations that take nothing, and when things are well again. It gets each notice at least once, under an id that stays the same.
    struct RawNotify {
        /// Its address, or a reference to it. Required. It begins with `https://`, or with `http://` for this machine.
        ///
        /// ```toml
        /// url = { credential = "night-shift-url" }
        /// ```
        url: RawText,
        /// A reference to the secret that each notice is signed with: the header `gristmill-signature: t=SECONDS,v1=HEX`
        /// holds the HMAC-SHA256 of `SECONDS.BODY`. The default is no signature.
        ///
        /// ```toml
        /// secret = { credential = "night-shift-secret" }
        /// ```
        secret: RawSecret,
        /// The only tenant whose integrations it is told of. The default is all.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
    }
}
