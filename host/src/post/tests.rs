use super::*;

#[test]
fn a_signature_is_the_hmac_of_time_and_body() {
    let secret = SecretString::from("key".to_owned());
    let expected = "91b5374b153842ad05b2c4eab9349b8321b14703165bd3fb8b034dfb8be98ae5";
    assert_eq!(signature(&secret, 1, b"body"), expected);
    assert_ne!(signature(&secret, 2, b"body"), expected);
}

#[test]
fn plain_http_goes_to_this_machine_alone() {
    for url in ["https://example.com/x", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost:1/x?y"] {
        assert!(is_allowed(url), "{url}");
    }
    for url in ["http://example.com/", "http://127.0.0.1@example.com/", "http://10.0.0.1/", "https://", "ftp://x/", ""]
    {
        assert!(!is_allowed(url), "{url}");
    }
}

#[test]
fn a_receiver_says_in_seconds_or_by_date_how_long_to_wait() {
    let now: Timestamp = "2015-10-21T07:27:30Z".parse().unwrap();
    let cases = [
        ("120", Some(120)),
        ("0", Some(0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(30)),
        ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
        ("-1", None),
        ("soon", None),
    ];
    for (text, expected) in cases {
        assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
    }
}
